"""Where layers draw their random numbers from: one generator per thread.

Two threads that share torch's global generator give different results in every run. A trainer
therefore opens :func:`drawing_from` in each of its threads, and every layer that draws (it declares
``draws = True``) takes its numbers from there; without it, from the layer's own ``seed``, else from
torch's global generator.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_thread = threading.local()


def generator() -> torch.Generator | None:
    """The generator of this thread, or None when :func:`drawing_from` is not open."""
    return getattr(_thread, "generator", None)


@contextmanager
def drawing_from(source: torch.Generator | None) -> Generator[None]:
    """Let the layers called inside, on this thread, draw from a generator.

    Example:
        >>> from lepton_ai.layers.regularization import Dropout
        >>> layer, ones = Dropout(0.5).train(), torch.ones(1, 8)
        >>> with drawing_from(torch.Generator().manual_seed(1)):
        ...     first = layer(ones)
        >>> with drawing_from(torch.Generator().manual_seed(1)):
        ...     bool((layer(ones) == first).all())
        True
    """
    before = generator()
    _thread.generator = source
    try:
        yield
    finally:
        _thread.generator = before


class Seeded:
    """The own generator of a layer that was given a ``seed``; made when it is first needed."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed
        self._own: torch.Generator | None = None

    def source(self) -> torch.Generator | None:
        """The generator to draw from now: the thread's, else the layer's own, else None."""
        current = generator()
        if current is not None or self.seed is None:
            return current
        if self._own is None:
            self._own = torch.Generator().manual_seed(self.seed)
        return self._own

    def __deepcopy__(self, memo: dict) -> Seeded:
        return Seeded(self.seed)


def keep_mask(shape: Sequence[int], rate: float, like: Tensor, seeded: Seeded) -> Tensor:
    """Zeros with probability ``rate``, else 1 / (1 - rate): what inverted dropout multiplies by."""
    source = seeded.source()
    device = like.device if source is None else source.device
    mask = torch.empty(tuple(shape), dtype=like.dtype, device=device)
    mask.bernoulli_(1 - rate, generator=source)
    if rate < 1:
        mask.div_(1 - rate)
    return mask.to(like.device)


def normal(shape: Sequence[int], like: Tensor, seeded: Seeded) -> Tensor:
    """Draws of the standard normal distribution with the type and device of ``like``."""
    source = seeded.source()
    device = like.device if source is None else source.device
    drawn = torch.empty(tuple(shape), dtype=like.dtype, device=device)
    return drawn.normal_(generator=source).to(like.device)


def uniform(shape: Sequence[int], low: float, high: float, like: Tensor, seeded: Seeded) -> Tensor:
    """Draws between two bounds, each as likely, with the type and device of ``like``."""
    source = seeded.source()
    device = like.device if source is None else source.device
    drawn = torch.empty(tuple(shape), dtype=like.dtype, device=device)
    return drawn.uniform_(low, high, generator=source).to(like.device)
