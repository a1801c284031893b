"""Layers that make one tensor out of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import (
    Shape,
    Shapes,
    dimension,
    from_written,
    is_shapes,
    to_written,
)

variants = (
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot",
)  # fmt: skip


class Merge(Layer):
    """What merging layers share: called on a list of tensors, or on the tensors one by one."""

    least = 2

    def check(self, shapes: Any) -> Shapes:
        """Refuse anything but several shapes with the same number of axes.

        Raises:
            ShapeError: With what to type.
        """
        if not is_shapes(shapes) or len(shapes) < self.least:
            raise ShapeError(
                f"{self.title} expected several inputs, received one of shape {shapes}. "
                f"Call it on a list: {type(self).__name__}()([first, second])."
            )
        if len({len(shape) for shape in shapes}) != 1:
            raise ShapeError(
                f"{self.title} expected inputs with the same number of axes, received {shapes}."
            )
        return shapes

    def infer(self, shape: Any) -> Shape:
        """The common shape; a size of 1 stretches."""
        shapes = self.check(shape)
        common = []
        for along in zip(*shapes, strict=True):
            wide = {n for n in along if n != 1}
            if len(wide - {None}) > 1:
                raise ShapeError(f"{self.title} expected inputs of one shape, received {shapes}.")
            common.append(next(iter(wide - {None}), None if wide else 1))
        return tuple(common)

    def forward(self, *inputs: Tensor | Sequence[Tensor]) -> Tensor:
        """The merged tensor."""
        given = inputs[0] if len(inputs) == 1 and not isinstance(inputs[0], Tensor) else inputs
        return self.merge(self.ready(list(given)))

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The merging itself."""
        raise NotImplementedError

    @classmethod
    def sample(cls) -> tuple[Layer, Shapes]:
        """Two small maps."""
        return cls(), ((4, 5, 3), (4, 5, 3))


class Add(Merge):
    """The sum.

    Example:
        >>> Add()([torch.ones(1, 2), torch.ones(1, 2)])
        tensor([[2., 2.]])
    """

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The sum of all inputs."""
        return reduce(torch.add, inputs)


class Subtract(Merge):
    """The first input minus the second."""

    def check(self, shapes: Any) -> Shapes:
        """Refuse anything but two shapes."""
        if len(super().check(shapes)) != 2:
            raise ShapeError(f"{self.title} expected two inputs, received {len(shapes)}.")
        return shapes

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The difference."""
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """The product, value by value."""

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The product of all inputs."""
        return reduce(torch.mul, inputs)


class Average(Merge):
    """The mean, value by value."""

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The mean of all inputs."""
        return reduce(torch.add, inputs) / len(inputs)


class Maximum(Merge):
    """The largest, value by value."""

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The largest of all inputs."""
        return reduce(torch.maximum, inputs)


class Minimum(Merge):
    """The smallest, value by value."""

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The smallest of all inputs."""
        return reduce(torch.minimum, inputs)


class Concatenate(Merge):
    """One after the other along an axis, written channels last (-1: the channels)."""

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def infer(self, shape: Any) -> Shape:
        """The sizes along the axis added up."""
        shapes = self.check(shape)
        rank = len(shapes[0]) + 1
        if not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ShapeError(
                f"{self.title} expected an axis of the shape {shapes[0]} (1 is its first, -1 its "
                f"last), received axis={self.axis}."
            )
        place = self.axis % rank - 1
        for one in shapes[1:]:
            for axis, (n, m) in enumerate(zip(shapes[0], one, strict=True)):
                if axis != place and None not in (n, m) and n != m:
                    raise ShapeError(
                        f"{self.title} expected inputs that differ along axis {self.axis} only, "
                        f"received {shapes}."
                    )
        along = [one[place] for one in shapes]
        total = None if None in along else sum(n or 0 for n in along)
        return (*shapes[0][:place], total, *shapes[0][place + 1 :])

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """All inputs joined."""
        return torch.cat(inputs, dimension(self.axis, inputs[0].ndim))

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The same lengths, unless the steps themselves were joined."""
        rank = len(self.output_shape_) + 1
        return None if self.axis % rank == 1 else super().lengths_after(lengths)

    @classmethod
    def sample(cls) -> tuple[Layer, Shapes]:
        """Three and two channels."""
        return cls(), ((4, 5, 3), (4, 5, 2))


class Dot(Merge):
    """Products of two inputs summed along an axis of each, example by example.

    ``axes`` is one axis for both, or one for each (0 is the batch). The output has the other axes
    of the first input, then those of the second: ``(length, d)`` and ``(other, d)`` with ``axes=2``
    give ``(length, other)``, two vectors one number. ``normalize`` divides by the lengths along
    the axes first, so that the output is the cosine.

    Example:
        >>> Dot(axes=1, normalize=True)([torch.ones(1, 4), 2 * torch.ones(1, 4)])
        tensor([[1.]])
    """

    def __init__(
        self, axes: int | tuple[int, int] | list[int], normalize: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) for n in pair):
            raise ConfigError(
                f"axes expected a whole number, or one for each input; received {axes!r}. "
                f"Type for example Dot(axes=1)."
            )
        self.axes = axes if isinstance(axes, int) else pair
        self.normalize = bool(normalize)

    def check(self, shapes: Any) -> Shapes:
        """Refuse anything but two shapes."""
        if not is_shapes(shapes) or len(shapes) != 2:
            raise ShapeError(
                f"{self.title} expected two inputs, received {shapes}. Call it on a list: "
                f"Dot(axes=1)([first, second])."
            )
        return shapes

    def _places(self, ranks: tuple[int, int]) -> tuple[int, int]:
        """The axis of each input, from 1 on."""
        pair = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        first, second = (
            axis % rank if -rank <= axis < rank else 0
            for axis, rank in zip(pair, ranks, strict=True)
        )
        if first == 0 or second == 0:
            raise ShapeError(
                f"{self.title} expected axes of the inputs other than the batch (1 is the first), "
                f"received axes={self.axes}."
            )
        return first, second

    def infer(self, shape: Any) -> Shape:
        """The other axes of both."""
        one, other = self.check(shape)
        first, second = self._places((len(one) + 1, len(other) + 1))
        sizes = (one[first - 1], other[second - 1])
        if None not in sizes and sizes[0] != sizes[1]:
            raise ShapeError(
                f"{self.title} expected as many values along axis {first} of the first input as "
                f"along axis {second} of the second, received {shape}."
            )
        left = (*one[: first - 1], *one[first:], *other[: second - 1], *other[second:])
        return left or (1,)

    def merge(self, inputs: list[Tensor]) -> Tensor:
        """The summed products."""
        one, other = to_written(inputs[0]), to_written(inputs[1])
        first, second = self._places((one.ndim, other.ndim))
        one, other = one.movedim(first, -1), other.movedim(second, -1)
        if self.normalize:
            one = torch.nn.functional.normalize(one, dim=-1)
            other = torch.nn.functional.normalize(other, dim=-1)
        left, right = one.shape[1:-1], other.shape[1:-1]
        count = one.shape[-1]
        flat = (one.reshape(one.shape[0], -1, count), other.reshape(one.shape[0], -1, count))
        y = flat[0] @ flat[1].transpose(1, 2)
        return from_written(y.reshape(one.shape[0], *((*left, *right) or (1,))))

    def lengths_after(self, lengths: Tensor | None) -> None:
        """What were steps are no more."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shapes]:
        """Two short sequences of vectors."""
        return cls(axes=2), ((5, 4), (3, 4))
