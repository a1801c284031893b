"""Finiteness: whether tensors hold NaN or infinity, and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Look:
    """What is seen of some tensors.

    Attributes:
        value: ``"NaN"``, ``"inf"`` or ``"-inf"``, the first that is not finite; empty if all are.
        largest: Largest size of a finite number.

    Example:
        >>> look = Look.at([torch.tensor([1.0, -3.0]), torch.tensor([float("nan")])])
        >>> look.finite, look.value, look.largest
        (False, 'NaN', 3.0)
    """

    value: str = ""
    largest: float = 0.0

    @property
    def finite(self) -> bool:
        """Whether all is finite."""
        return not self.value

    @classmethod
    def at(cls, thing: Any) -> Look:
        """A look at the tensors in a thing: one, or nested dicts, lists and tuples of them."""
        look = cls()
        for tensor in tensors_in(thing):
            if not (tensor.is_floating_point() and tensor.numel()):
                continue
            flat = tensor.detach().reshape(-1)
            fine = torch.isfinite(flat)
            if not bool(fine.all()):
                look.value = look.value or told(flat[~fine][0])
                flat = flat[fine]
            if flat.numel():
                look.largest = max(look.largest, float(flat.abs().max()))
        return look


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """The tensors in nested dicts, lists and tuples."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from tensors_in(value)
    elif isinstance(thing, (list, tuple)):
        for value in thing:
            yield from tensors_in(value)


def bad_columns(arguments: Sequence[Any]) -> Iterator[tuple[str, tuple[str, list[int]]]]:
    """Columns of a batch that are not finite: their value and the places in the batch."""
    for place, argument in enumerate(arguments):
        columns = argument if isinstance(argument, dict) else {f"input {place + 1}": argument}
        for name, column in columns.items():
            if isinstance(column, Tensor) and column.is_floating_point() and column.ndim:
                rows = ~torch.isfinite(column.detach()).reshape(len(column), -1).all(1)
                if bool(rows.any()):
                    odd = column.detach()[rows].reshape(-1)
                    value = told(odd[~torch.isfinite(odd)][0])
                    yield str(name), (value, rows.nonzero()[:, 0].tolist())


def told(number: Tensor) -> str:
    """A number that is not finite, in words."""
    value = float(number)
    return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
