"""Layers that make one tensor out of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, Shapes, dimension, is_shapes

variants = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


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
