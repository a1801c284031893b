"""Layers that disturb their input while training, and pass it on unchanged otherwise."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.randomness import Seeded, keep_mask, normal
from lepton_ai.layers.window import as_data_format, check_places

variants = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "GaussianDropout", "GaussianNoise",
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
