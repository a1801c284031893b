"""What a layer says about one of its weights before it exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lepton_ai.layers.initializers import Initializer, start
from lepton_ai.layers.regularizers import Penalty


def _unchanged(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Weight:
    """A weight: its name, its shape in Keras's layout, and how the stored tensor is laid out.

    Args:
        name: Attribute of the layer that holds the tensor.
        shape: Shape in Keras's layout.
        initializer: How it starts.
        inward: From Keras's layout to the stored one.
        outward: The way back.
        penalty: Regulariser, if any.
        learned: False for statistics such as moving averages: stored as a buffer.
    """

    name: str
    shape: tuple[int, ...]
    initializer: Initializer
    inward: Callable[[Tensor], Tensor] = _unchanged
    outward: Callable[[Tensor], Tensor] = _unchanged
    penalty: Penalty | None = None
    learned: bool = True

    def first_value(self, source: torch.Generator | None, dtype: torch.dtype) -> Tensor:
        """The stored tensor as it is before any training."""
        drawn = start(self.initializer, self.shape, source)
        return self.inward(drawn.to(dtype)).detach()
