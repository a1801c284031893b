"""Layers that disturb their input while training, and pass it on unchanged otherwise."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, is_shapes
from lepton_ai.layers.randomness import Seeded, keep_mask, normal
from lepton_ai.layers.window import as_data_format, check_places

variants = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "GaussianDropout", "GaussianNoise", "AlphaDropout", "StochasticDepth",
    "ActivityRegularization",
)  # fmt: skip


def as_rate(rate: float, name: str = "rate") -> float:
    """A share from 0 to 1.

    Raises:
        ConfigError: Anything else.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ConfigError(
            f"{name} expected a share from 0 to 1; received {rate!r}. Type for example {name}=0.25."
        )
    return float(rate)


class Dropout(Layer):
    """Sets a share ``rate`` of the values to 0 and scales the others up (Srivastava et al. 2014).

    ``noise_shape`` is written with the batch and channels last; where it holds 1, all values along
    that axis share their fate: ``(None, 1, 16)`` drops whole features of a sequence.

    Example:
        >>> import torch
        >>> Dropout(0.5).eval()(torch.ones(1, 3))
        tensor([[1., 1., 1.]])
    """

    draws = True

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.rate = as_rate(rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self._seeded = Seeded(seed)

    def mask_shape(self, x: Tensor) -> tuple[int, ...]:
        """The shape of what is drawn."""
        if self.noise_shape is None:
            return tuple(x.shape)
        if len(self.noise_shape) != x.ndim:
            raise ShapeError(
                f"{self.title} expected a noise_shape of {x.ndim} sizes (batch first, channels "
                f"last), received {self.noise_shape}."
            )
        drawn = self.noise_shape
        if x.ndim >= 4:
            drawn = (drawn[0], drawn[-1], *drawn[1:-1])
        return tuple(n if d is None else d for n, d in zip(x.shape, drawn, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """The input with values dropped."""
        x = self.ready(x)
        if not self.training or self.rate == 0:
            return x
        return x * keep_mask(self.mask_shape(x), self.rate, x, self._seeded)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Half of six features."""
        return cls(0.5), (6,)


class _SpatialDropout(Dropout):
    """Drops whole channels, since neighbouring places say much the same."""

    rank = 2

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **common: Any
    ) -> None:
        super().__init__(rate, None, seed, **common)
        self.data_format = as_data_format(data_format)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        check_places(self, shape, self.rank)
        return shape

    def mask_shape(self, x: Tensor) -> tuple[int, ...]:
        """One draw for each channel of each example."""
        if self.rank == 1:
            return (x.shape[0], 1, x.shape[2])
        return (*x.shape[:2], *(1,) * self.rank)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps."""
        return cls(0.5), (*range(3, 3 + cls.rank), 4)


class SpatialDropout1D(_SpatialDropout):
    """Drops whole features of sequences."""

    rank = 1


class SpatialDropout2D(_SpatialDropout):
    """Drops whole channels of images."""


class SpatialDropout3D(_SpatialDropout):
    """Drops whole channels of volumes."""

    rank = 3


class GaussianDropout(Layer):
    """Multiplies by normal noise around 1 with the variance that dropout has."""

    draws = True

    def __init__(self, rate: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.rate = as_rate(rate)
        self.seed = seed
        self._seeded = Seeded(seed)

    def forward(self, x: Tensor) -> Tensor:
        """The noisy input."""
        x = self.ready(x)
        if not self.training or self.rate == 0:
            return x
        deviation = (self.rate / max(1 - self.rate, 1e-7)) ** 0.5
        return x * (1 + deviation * normal(x.shape, x, self._seeded))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Six features."""
        return cls(0.3), (6,)


class GaussianNoise(Layer):
    """Adds normal noise with a given deviation."""

    draws = True

    def __init__(self, stddev: float, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        if not isinstance(stddev, int | float) or stddev < 0:
            raise ConfigError(f"stddev expected a number of at least 0; received {stddev!r}.")
        self.stddev = float(stddev)
        self.seed = seed
        self._seeded = Seeded(seed)

    def forward(self, x: Tensor) -> Tensor:
        """The noisy input."""
        x = self.ready(x)
        if not self.training or self.stddev == 0:
            return x
        return x + self.stddev * normal(x.shape, x, self._seeded)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Six features."""
        return cls(0.2), (6,)


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance of what follows a SELU (Klambauer et al. 2017).

    Dropped values become the least that SELU gives, and all are shifted and scaled so that values
    of mean 0 and variance 1 keep both.

    Example:
        >>> import torch
        >>> AlphaDropout(0.5).eval()(torch.ones(1, 3))
        tensor([[1., 1., 1.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The input with values dropped."""
        x = self.ready(x)
        if not self.training or self.rate in (0, 1):
            return x
        least = -1.6732632423543772 * 1.0507009873554805
        kept = keep_mask(self.mask_shape(x), self.rate, x, self._seeded) * (1 - self.rate)
        scale = ((1 - self.rate) * (1 + self.rate * least**2)) ** -0.5
        return scale * (x * kept + least * (1 - kept)) - scale * least * self.rate


class StochasticDepth(Layer):
    """Drops a branch as a whole, example by example (Huang et al. 2016).

    Called on the output of a branch, it gives zeros with probability ``rate`` and else the branch
    divided by ``1 - rate``; called on ``[shortcut, branch]`` it gives their sum.

    Example:
        >>> import torch
        >>> StochasticDepth(0.5).eval()([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[2., 2.]])
    """

    draws = True

    def __init__(self, rate: float = 0.5, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.rate = as_rate(rate)
        self.seed = seed
        self._seeded = Seeded(seed)

    def infer(self, shape: Any) -> Shape:
        """The shape of the branch."""
        if is_shapes(shape):
            if len(shape) != 2 or tuple(shape[0]) != tuple(shape[1]):
                raise ShapeError(
                    f"{self.title} expected one branch, or a shortcut and a branch of one shape; "
                    f"received {shape}."
                )
            return tuple(shape[1])
        return shape

    def forward(self, x: Any) -> Tensor:
        """The branch, kept or dropped, with the shortcut added where there is one."""
        if not isinstance(x, Tensor):
            shortcut, branch = self.ready(list(x))
            return shortcut + self._dropped(branch)
        return self._dropped(self.ready(x))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return branch
        shape = (branch.shape[0], *(1,) * (branch.ndim - 1))
        return branch * keep_mask(shape, self.rate, branch, self._seeded)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Short sequences."""
        return cls(0.5), (3, 4)


class ActivityRegularization(Layer):
    """Passes its input on, and adds ``l1 * sum(|x|) + l2 * sum(x ** 2)`` to the penalty.

    The sums are averaged over the batch. :func:`lepton_ai.layers.penalty` gives them while
    training, and ``fit`` adds them to the loss.

    Example:
        >>> import torch
        >>> from lepton_ai.layers import penalty
        >>> layer = ActivityRegularization(l2=0.5).train()
        >>> layer(torch.full((3, 2), 2.0)).shape, penalty(layer).item()
        (torch.Size([3, 2]), 4.0)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **common: Any) -> None:
        common.pop("activity_regularizer", None)  # made of l1 and l2
        super().__init__(activity_regularizer={"l1": l1, "l2": l2}, **common)
        self.l1 = float(l1)
        self.l2 = float(l2)

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return self.ready(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Four features."""
        return cls(0.1, 0.2), (4,)
