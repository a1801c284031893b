"""Activations as layers of their own."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import Shape, dimension
from lepton_ai.layers.nonlinearity import activated, as_activation
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")


class _Named(Activated):
    """An activation that may have a name; then ``linear`` gives the input itself.

    One that has arguments of its own has no name: all of it happens in ``linear``.
    """

    def apply_to(self, x: Tensor) -> Tensor:
        """The activation with its arguments."""
        raise NotImplementedError

    def linear(self, x: Tensor) -> Tensor:
        """The input, or what the nameless activation makes of it."""
        x = self.ready(x)
        return self.apply_to(x) if self.activation == "linear" else x

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the input, which is left as it is."""
        return self.activate(self.linear(x))


class Activation(_Named):
    """An activation by its name.

    Example:
        >>> Activation("relu")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def __init__(self, activation: str | None, **common: Any) -> None:
        super().__init__(**common)
        self.activation = as_activation(activation)

    def apply_to(self, x: Tensor) -> Tensor:
        """The named activation."""
        return activated(self.activation, x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Hyperbolic tangent of four features."""
        return cls("tanh"), (4,)


class ReLU(_Named):
    """``x`` above ``threshold`` (at most ``max_value``), else ``negative_slope * (x - threshold)``.

    Example:
        >>> ReLU(max_value=6)(torch.tensor([-1.0, 2.0, 9.0]))
        tensor([0., 2., 6.])
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold
        if (max_value or 0) < 0 or negative_slope < 0 or threshold < 0:
            raise ConfigError(
                "ReLU expected max_value, negative_slope and threshold of at least 0; received "
                f"{max_value}, {negative_slope} and {threshold}."
            )
        plain = max_value is None and not negative_slope and not threshold
        self.activation = "relu" if plain else "linear"

    def apply_to(self, x: Tensor) -> Tensor:
        """The rectified input."""
        below = self.negative_slope * (x - self.threshold) if self.negative_slope else 0.0
        y = torch.where(x >= self.threshold, x, below)
        return y if self.max_value is None else y.clamp(max=self.max_value)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Rectified up to one."""
        return cls(max_value=1.0, negative_slope=0.1), (4,)


class LeakyReLU(Layer):
    """``x`` where positive, else ``negative_slope * x`` (Maas et al. 2013)."""

    def __init__(self, negative_slope: float = 0.3, **common: Any) -> None:
        super().__init__(**common)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """The leaky input."""
        return F.leaky_relu(self.ready(x), self.negative_slope)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Four features."""
        return cls(), (4,)


class ELU(Layer):
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015)."""

    def __init__(self, alpha: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """The exponential linear unit."""
        return F.elu(self.ready(x), self.alpha)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Four features."""
        return cls(0.7), (4,)


class PReLU(Layer):
    """A leaky unit whose slopes are learned (He et al. 2015), one per feature.

    ``shared_axes`` (1 is the first axis after the batch) share a slope: ``[1, 2]`` on images gives
    one slope per channel.
    """

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {"alpha_constraint": ("alpha",)}
    alpha: Tensor

    def __init__(
        self,
        alpha_initializer: str | dict = "zeros",
        alpha_regularizer: str | dict | None = None,
        alpha_constraint: str | dict | None = None,
        shared_axes: int | list[int] | tuple[int, ...] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(alpha_constraint=alpha_constraint, **common)
        self.alpha_initializer = as_initializer(alpha_initializer, "alpha_initializer")
        self.alpha_regularizer = as_penalty(alpha_regularizer, "alpha_regularizer")
        axes = (shared_axes,) if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else tuple(axes)

    def declare(self, shape: Shape) -> list[Weight]:
        """One slope for each feature that shares none."""
        shared = self.shared_axes or ()
        sizes = tuple(1 if axis in shared else n or 0 for axis, n in enumerate(shape, start=1))
        if 0 in sizes:
            axis = sizes.index(0) + 1
            raise ConfigError(
                f"PReLU expected a known size for every axis that shares no slope, received "
                f"{shape}. Type shared_axes=[{axis}]."
            )
        turned = len(sizes) >= 3
        return [
            Weight(
                "alpha", sizes, self.alpha_initializer,
                (lambda t: t.movedim(-1, 0).contiguous()) if turned else (lambda t: t),
                (lambda t: t.movedim(0, -1)) if turned else (lambda t: t),
                self.alpha_regularizer,
            )
        ]  # fmt: skip

    def decisive(self, shape: Shape) -> Shape:
        """The sizes of the axes that share no slope."""
        shared = self.shared_axes or ()
        return tuple(n for axis, n in enumerate(shape, start=1) if axis not in shared)

    def forward(self, x: Tensor) -> Tensor:
        """The input with its negative part scaled."""
        x = self.ready(x)
        return torch.where(x >= 0, x, self.alpha * x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """One slope per channel of small maps."""
        return cls("ones", shared_axes=[1, 2]), (5, 4, 3)


class Softmax(_Named):
    """Positive numbers that sum to one along an axis (-1: the channels)."""

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis
        self.activation = "softmax" if axis == -1 else "linear"

    def apply_to(self, x: Tensor) -> Tensor:
        """The softmax."""
        return torch.softmax(x, dimension(self.axis, x.ndim))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Over the rows of small maps."""
        return cls(axis=1), (5, 4, 3)
