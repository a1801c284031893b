"""Normalisation of each example by itself: by its size, by its length, channel by channel."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, dimension, from_written, to_written
from lepton_ai.layers.normalization import GroupNormalization
from lepton_ai.layers.weight import Weight

variants = ("RMSNormalization", "UnitNormalization", "InstanceNormalization")


class _OverAxes(Layer):
    axis: int | tuple[int, ...]

    def axes(self, rank: int) -> list[int]:
        """The axes as written, from 1 on, in order; ``rank`` counts the batch.

        Raises:
            ShapeError: No such axis, or the batch.
        """
        chosen = (self.axis,) if isinstance(self.axis, int) else self.axis
        for axis in chosen:
            if not -rank <= axis < rank or axis % rank == 0:
                raise ShapeError(
                    f"{self.title} expected axes of an input with {rank - 1} of them (1 is its "
                    f"first, -1 its last), received axis={self.axis}."
                )
        return sorted(axis % rank for axis in chosen)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        self.axes(len(shape) + 1)
        return shape


class RMSNormalization(_OverAxes):
    """``x / sqrt(mean(x ** 2) + epsilon) * scale`` over the features (Zhang & Sennrich 2019).

    ``axis`` is one axis or several, written channels last (-1: the features).

    Example:
        >>> RMSNormalization()(torch.tensor([[3.0, 4.0]])).detach()
        tensor([[0.8485, 1.1314]])
    """

    scale: Tensor

    def __init__(
        self, axis: int | tuple[int, ...] | list[int] = -1, epsilon: float = 1e-6, **common: Any
    ) -> None:
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.epsilon = float(epsilon)

    def declare(self, shape: Shape) -> list[Weight]:
        """A factor for each normalised value."""
        size = tuple(shape[axis - 1] for axis in self.axes(len(shape) + 1))
        if None in size:
            raise ShapeError(f"{self.title} expected known sizes along its axes, received {shape}.")
        return [Weight("scale", tuple(n or 0 for n in size), "ones")]

    def decisive(self, shape: Shape) -> Any:
        """The sizes of the weights."""
        return [weight.shape for weight in self.declare(shape)]

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input."""
        x = to_written(self.ready(x))
        axes = self.axes(x.ndim)
        last = list(range(x.ndim - len(axes), x.ndim))
        moved = x if axes == last else x.movedim(axes, last)
        size = list(self.scale.shape)
        if x.dtype is self.scale.dtype:
            y = F.rms_norm(moved, size, self.scale, self.epsilon)
        else:  # mixed precision: the fused kernel knows one type only
            y = F.rms_norm(moved, size, None, self.epsilon) * self.scale
        return from_written(y if axes == last else y.movedim(last, axes))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sequences of six features."""
        return cls(), (5, 6)


class UnitNormalization(_OverAxes):
    """Each example divided by its length ``sqrt(sum(x ** 2))`` along ``axis``.

    Example:
        >>> UnitNormalization()(torch.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """

    def __init__(self, axis: int | tuple[int, ...] | list[int] = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def forward(self, x: Tensor) -> Tensor:
        """The input with length 1."""
        x = self.ready(x)
        axes = [dimension(axis, x.ndim) for axis in self.axes(x.ndim)]
        length = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
        return x / length.clamp(min=1e-12)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps."""
        return cls(), (4, 5, 3)


class InstanceNormalization(GroupNormalization):
    """Each channel of each example to mean 0 and variance 1 over its places (Ulyanov et al. 2016).

    The same as ``GroupNormalization(groups=-1)``.

    Example:
        >>> InstanceNormalization().build((28, 28, 3))
        (28, 28, 3)
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | dict = "zeros",
        gamma_initializer: str | dict = "ones",
        beta_regularizer: str | dict | None = None,
        gamma_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            -1, axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, **common,
        )  # fmt: skip

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        if len(shape) < 2:
            raise ShapeError(
                f"{self.title} expected places with channels, received {shape}: of one number "
                f"nothing is left. Type LayerNormalization() for vectors."
            )
        return super().infer(shape)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three channels of small maps."""
        return cls(), (4, 5, 3)
