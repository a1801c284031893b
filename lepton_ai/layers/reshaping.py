"""Layers that change the shape or the scale of their input and learn nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, from_written, sizes, to_written
from lepton_ai.layers.window import as_data_format

variants = ("InputLayer", "Identity", "Flatten", "Reshape", "Permute", "RepeatVector", "Rescaling")


class InputLayer(Layer):
    """The shape that a network takes; passes its input on.

    Example:
        >>> InputLayer((28, 28, 1)).input_shape
        (28, 28, 1)
    """

    def __init__(
        self,
        shape: Shape | int | None = None,
        batch_size: int | None = None,
        dtype: str | None = None,
        *,
        input_shape: Shape | int | None = None,
        **common: Any,
    ) -> None:
        given = shape if shape is not None else input_shape
        super().__init__(dtype=dtype, input_shape=given, **common)
        if given is None:
            raise ConfigError(
                "InputLayer expected the shape of one example, received none. "
                "Type InputLayer(shape=(28, 28, 1))."
            )
        self.shape = self.input_shape
        self.batch_size = batch_size

    def forward(self, x: Tensor) -> Tensor:
        """The input, in the type asked for."""
        x = self.ready(x)
        return x if self.dtype is None else x.to(getattr(torch, self.dtype))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls((4, 5, 3)), (4, 5, 3)


class Identity(Layer):
    """Passes its input on."""

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        return self.ready(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Four features."""
        return cls(), (4,)


class Flatten(Layer):
    """One vector for each example, in Keras's order: rows, columns, channels.

    Example:
        >>> Flatten()(torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 48])
    """

    def __init__(self, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.data_format = as_data_format(data_format)

    def infer(self, shape: Shape) -> Shape:
        """The product of all sizes."""
        known = [n for n in shape if n is not None]
        return (math.prod(known),) if len(known) == len(shape) else (None,)

    def forward(self, x: Tensor) -> Tensor:
        """The vectors; nothing is copied when the channels are innermost in memory."""
        return to_written(self.ready(x)).reshape(x.shape[0], -1)

    def lengths_after(self, lengths: Tensor | None) -> None:
        """No steps are left."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps."""
        return cls(), (3, 4, 2)


class Reshape(Layer):
    """The same values in another shape, written channels last; one size may be -1.

    Example:
        >>> Reshape((28, 28, 1))(torch.zeros(2, 784)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(self, target_shape: tuple[int, ...] | int, **common: Any) -> None:
        super().__init__(**common)
        target = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        if target.count(-1) > 1 or any(not isinstance(n, int) or n == 0 or n < -1 for n in target):
            raise ConfigError(
                f"target_shape expected positive whole numbers and at most one -1; received "
                f"{target_shape!r}. Type for example Reshape((28, 28, 1))."
            )
        self.target_shape = target

    def infer(self, shape: Shape) -> Shape:
        """The target, its -1 worked out."""
        fixed = math.prod(n for n in self.target_shape if n != -1)
        if None in shape:
            return tuple(None if n == -1 else n for n in self.target_shape)
        count = math.prod(n or 0 for n in shape)
        if count % fixed or (-1 not in self.target_shape and count != fixed):
            raise ShapeError(
                f"{self.title} expected {fixed} values an example for the shape "
                f"{self.target_shape}, received {count} in the shape {shape}."
            )
        return tuple(count // fixed if n == -1 else n for n in self.target_shape)

    def forward(self, x: Tensor) -> Tensor:
        """The same values in the new shape."""
        written = to_written(self.ready(x))
        return from_written(written.reshape(x.shape[0], *self.target_shape))

    def lengths_after(self, lengths: Tensor | None) -> None:
        """What were steps are no more."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A vector of 24 to small maps."""
        return cls((3, -1, 2)), (24,)


class Permute(Layer):
    """The axes in another order; 1 is the first after the batch.

    Example:
        >>> Permute((2, 1)).build((10, 64))
        (64, 10)
    """

    def __init__(self, dims: tuple[int, ...], **common: Any) -> None:
        super().__init__(**common)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ConfigError(
                f"dims expected the numbers from 1 to {len(self.dims)} in a new order; received "
                f"{dims!r}. Type for example Permute((2, 1))."
            )

    def infer(self, shape: Shape) -> Shape:
        """The sizes in the new order."""
        if len(shape) != len(self.dims):
            raise ShapeError(
                f"{self.title} expected an input of {len(self.dims)} axes, received {shape}."
            )
        return tuple(shape[axis - 1] for axis in self.dims)

    def forward(self, x: Tensor) -> Tensor:
        """A view with the axes in the new order."""
        return from_written(to_written(self.ready(x)).permute(0, *self.dims))

    def lengths_after(self, lengths: Tensor | None) -> None:
        """What were steps are no more."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Rows, columns and channels turned round."""
        return cls((3, 1, 2)), (2, 3, 4)


class RepeatVector(Layer):
    """A vector ``n`` times, as the steps of a sequence."""

    def __init__(self, n: int, **common: Any) -> None:
        super().__init__(**common)
        self.n = sizes(n, 1, "n")[0]

    def infer(self, shape: Shape) -> Shape:
        """``n`` steps of the features."""
        if len(shape) != 1:
            raise ShapeError(f"{self.title} expected vectors (features,), received {shape}.")
        return (self.n, *shape)

    def forward(self, x: Tensor) -> Tensor:
        """The sequence."""
        return self.ready(x).unsqueeze(1).expand(-1, self.n, -1)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three times four features."""
        return cls(3), (4,)


class Rescaling(Layer):
    """``x * scale + offset``: ``Rescaling(1 / 255)`` brings bytes to the range 0 to 1.

    ``scale`` and ``offset`` may be one number for each channel.

    Example:
        >>> Rescaling(1 / 255)(torch.tensor([[0, 255]], dtype=torch.uint8))
        tensor([[0., 1.]])
    """

    def __init__(
        self,
        scale: float | tuple[float, ...] | list[float],
        offset: float | tuple[float, ...] | list[float] = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.scale = _numbers(scale, "scale")
        self.offset = _numbers(offset, "offset")

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, tuple) and shape and len(value) not in (1, shape[-1]):
                raise ShapeError(
                    f"{self.title} expected {name} to be one number or {shape[-1]} of them, one "
                    f"for each channel of {shape}; received {len(value)}."
                )
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """The scaled input, as decimal numbers."""
        x = self.ready(x)
        if self.dtype is not None or not x.is_floating_point():
            x = x.to(self.weight_type())
        return x * self._wide(self.scale, x) + self._wide(self.offset, x)

    def _wide(self, value: float | tuple[float, ...], x: Tensor) -> float | Tensor:
        if not isinstance(value, tuple):
            return value
        along = (-1, *(1,) * (x.ndim - 2)) if x.ndim >= 4 else (-1,)
        return x.new_tensor(value).view(along)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Another scale for each channel of small pictures."""
        return cls((0.5, 1.0, 2.0), -1.0), (4, 5, 3)


def _numbers(value: Any, name: str) -> float | tuple[float, ...]:
    items = value if isinstance(value, list | tuple) else (value,)
    if not items or any(isinstance(n, bool) or not isinstance(n, int | float) for n in items):
        raise ConfigError(
            f"{name} expected a number, or one for each channel; received {value!r}. "
            f"Type for example Rescaling(1 / 255)."
        )
    return tuple(map(float, items)) if isinstance(value, list | tuple) else float(value)
