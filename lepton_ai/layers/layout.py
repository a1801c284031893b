"""Shapes as users write them, and where their axes lie in the tensors inside.

A shape is written without the batch and with the channels last. A tensor of four or more
dimensions has its channels first; one of fewer dimensions is laid out as written.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.registry import near_miss

Shape = tuple[int | None, ...]
Shapes = tuple[Shape, ...]


def is_shapes(value: object) -> bool:
    """Whether a value holds several shapes (for a layer with several inputs) and not one."""
    return isinstance(value, list | tuple) and any(isinstance(v, list | tuple) for v in value)


def as_shape(value: object, who: str = "input_shape") -> Shape:
    """A shape as a tuple of whole numbers and None (not known yet).

    Raises:
        ShapeError: The value is no shape.

    Example:
        >>> as_shape([28, 28, 1]), as_shape(784), as_shape((None, 16))
        ((28, 28, 1), (784,), (None, 16))
    """
    items = (value,) if isinstance(value, int) else value
    if not isinstance(items, list | tuple | torch.Size) or any(
        isinstance(n, bool) or not (n is None or (isinstance(n, int) and n > 0)) for n in items
    ):
        raise ShapeError(
            f"{who} expected a shape without the batch, such as (28, 28, 1); received {value!r}. "
            f"Type positive whole numbers, and None for a size that varies."
        )
    return tuple(items)


def shape_of(tensor: Tensor) -> Shape:
    """The shape of a tensor as users write it: without the batch, channels last.

    Example:
        >>> shape_of(torch.zeros(2, 3, 32, 24))
        (32, 24, 3)
    """
    sizes = tuple(tensor.shape)
    return (*sizes[2:], sizes[1]) if tensor.ndim >= 4 else sizes[1:]


def to_written(tensor: Tensor) -> Tensor:
    """A view of a tensor with its axes in the order in which users write them."""
    return tensor.movedim(1, -1) if tensor.ndim >= 4 else tensor


def from_written(tensor: Tensor) -> Tensor:
    """A view of a tensor written channels last, in the order that layers use inside."""
    return tensor.movedim(-1, 1) if tensor.ndim >= 4 else tensor


def dimension(axis: int, rank: int) -> int:
    """Where a written axis (0 is the batch, -1 the channels) lies in a tensor of ``rank`` axes.

    Example:
        >>> dimension(-1, 4), dimension(1, 4), dimension(-1, 3)
        (1, 2, 2)
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"Expected an axis from {-rank} to {rank - 1}, received {axis}.")
    axis %= rank
    if rank < 4 or axis == 0:
        return axis
    return 1 if axis == rank - 1 else axis + 1


def sizes(value: object, rank: int, name: str, *, least: int = 1) -> tuple[int, ...]:
    """One whole number per spatial axis: a single number stands for all of them.

    Raises:
        ConfigError: Wrong count, wrong type or below ``least``.

    Example:
        >>> sizes(3, 2, "kernel_size")
        (3, 3)
    """
    items: tuple = (value,) * rank if isinstance(value, int) else tuple(_items(value))
    if len(items) != rank or any(
        isinstance(n, bool) or not isinstance(n, int) or n < least for n in items
    ):
        example = 3 if rank == 1 else (3,) * rank
        raise ConfigError(
            f"{name} expected a whole number of at least {least}, or {rank} of them; "
            f"received {value!r}. Type for example {name}={example}."
        )
    return items


def _items(value: object) -> Sequence:
    return value if isinstance(value, list | tuple) else ()


def choice(value: object, options: Sequence[str], name: str) -> str:
    """A word out of a few, in small letters.

    Raises:
        ConfigError: None of the options; the message offers the near miss.
    """
    word = value.lower() if isinstance(value, str) else value
    if word not in options:
        listed = ", ".join(repr(option) for option in options)
        raise ConfigError(
            f"{name} expected one of {listed}; received {value!r}.{near_miss(str(value), options)}"
        )
    return str(word)


def channels_last(tensor: Tensor) -> Tensor:
    """A copy with the channels innermost in memory, also where there is a single channel.

    ``contiguous(memory_format=...)`` leaves a kernel of one input channel as it is, and the
    convolution then answers with channels first, which the next one has to turn around.
    """
    if tensor.ndim not in (4, 5):
        return tensor
    order = (0, *range(2, tensor.ndim), 1)
    strides, step = [0] * tensor.ndim, 1
    for axis in reversed(order):
        strides[axis] = step
        step *= tensor.shape[axis]
    laid = torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=tensor.device)
    return laid.copy_(tensor)
