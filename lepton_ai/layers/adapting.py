"""What layers share that learn from data before training: batches, categories, encodings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import DataError, EmptyDataError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, from_written, to_written

MODES = ("int", "one_hot", "multi_hot", "count")


def as_array(values: Any) -> np.ndarray:
    """Values of any kind as an array written channels last; a tensor is taken as layers lay it."""
    if isinstance(values, Tensor):
        return to_written(values).detach().cpu().numpy()
    return np.asarray(values)


def batches(data: Any, steps: int | None = None) -> Iterator[np.ndarray]:
    """The batches of what ``adapt`` was given: one array, or (``steps`` of) an iterable of them.

    Raises:
        EmptyDataError: There is nothing.
    """
    one = isinstance(data, Tensor | np.ndarray | list | tuple) or hasattr(data, "__array__")
    count = 0
    parts: Iterable = (data,) if one or not isinstance(data, Iterable) else data
    for part in islice(parts, steps):
        array = as_array(part[0] if isinstance(part, tuple) else part)
        count += array.size
        if array.size:
            yield array
    if not count:
        raise EmptyDataError("adapt expected some values to learn from, received none.")


class Preparing(Layer):
    """A layer that prepares data and learns nothing by gradients; its output is no maths of them.

    ``reads`` says what it takes: ``"numbers"``, ``"whole_numbers"`` or ``"words"`` (text, which no
    tensor holds: a list or an array of strings goes in, a tensor comes out).
    """

    reads: ClassVar[str] = "numbers"
    differentiable: ClassVar[bool] = False

    def of_numbers(self, x: Any) -> Tensor:
        """The input as a tensor, built for at the first call."""
        x = torch.as_tensor(x)
        return self.ready(x)


def words_of(values: Any) -> np.ndarray:
    """Strings in an array; whole numbers are written out.

    Raises:
        DataError: Neither strings nor whole numbers.
    """
    array = as_array(values)
    if array.dtype.kind == "O":
        kinds = {type(value) for value in array.flat}
        if kinds - {str, bytes}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds - {str, bytes}))
            raise DataError(f"Expected strings; received values of the kind {names}.")
        flat = [v.decode() if isinstance(v, bytes) else v for v in array.flat]
        return np.array(flat, dtype=str).reshape(array.shape)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind in "iub":
        return array.astype(str)
    if array.dtype.kind != "U":
        raise DataError(f"Expected strings or whole numbers; received {array.dtype}.")
    return array


def encoded_shape(shape: Shape, mode: str, depth: int | None) -> Shape:
    """The shape that :func:`encoded` gives."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if shape and shape[-1] == 1 else shape), depth)
    return (*shape[:-1], depth)


def encoded(
    numbers: Tensor, mode: str, depth: int, type_: torch.dtype, weights: Tensor | None = None
) -> Tensor:
    """Categories written channels last, as numbers, or as vectors of ``depth``.

    ``"one_hot"`` gives a vector for each number, ``"multi_hot"`` marks all numbers along the last
    axis in one vector, ``"count"`` counts them (adding ``weights``). One axis of size 1 at the end
    is that of the vector. The output is in the order of axes that layers use.

    Raises:
        DataError: A number outside of 0 to ``depth - 1``.
    """
    if mode == "int":
        return from_written(numbers)
    if not torch.compiler.is_compiling() and numbers.numel():
        least, most = int(numbers.min()), int(numbers.max())
        if least < 0 or most >= depth:
            raise DataError(
                f"Expected categories from 0 to {depth - 1}, received numbers from {least} to "
                f"{most}. Give room for {most + 1} categories."
            )
    if numbers.ndim == 1:
        numbers = numbers.unsqueeze(1)
        weights = None if weights is None else weights.unsqueeze(1)
    if mode == "one_hot":
        numbers = numbers.squeeze(-1) if numbers.shape[-1] == 1 else numbers
        numbers, weights = numbers.unsqueeze(-1), None
    found = torch.zeros(*numbers.shape[:-1], depth, dtype=type_, device=numbers.device)
    if mode == "count":
        ones = torch.ones_like(numbers, dtype=type_) if weights is None else weights.to(type_)
        found = found.scatter_add(-1, numbers, ones)
    else:
        found = found.scatter(-1, numbers, 1.0)
    return from_written(found)
