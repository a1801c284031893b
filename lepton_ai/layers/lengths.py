"""Sequences of different lengths, padded on the right: which steps count, and who says so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.layers.layer import Layer


def within(lengths: Tensor, count: int) -> Tensor:
    """Which of ``count`` steps lie inside each sequence: booleans ``[batch, count]``."""
    return torch.arange(count, device=lengths.device) < lengths.unsqueeze(1)


def call(
    module: nn.Module, x: Any, lengths: Tensor | None = None, **named: Any
) -> tuple[Any, Tensor | None]:
    """Run a module of any kind; give its output and the lengths of the output's sequences.

    Example:
        >>> from lepton_ai.layers.embedding import Embedding
        >>> output, lengths = call(Embedding(9, 4, mask_zero=True), torch.tensor([[3, 5, 0]]))
        >>> lengths
        tensor([2])
    """
    if not isinstance(module, Layer):
        y = module(x, **named)
        kept = isinstance(x, Tensor) and isinstance(y, Tensor) and y.ndim >= 3
        return y, lengths if kept and y.shape[1] == x.shape[1] else None
    if lengths is None and isinstance(x, Tensor):
        lengths = module.find_lengths(x)
    if module.takes_lengths and lengths is not None:
        named["lengths"] = lengths
    y = module(x, **named)
    return y, module.lengths_after(lengths)
