"""Feeding: batches of encoded examples, transformed and on the device where they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.encoding import Encoded
from lepton_ai.data.transform import EpochTransforms
from lepton_ai.training.breakdown import Breakdown

BLOCK_BYTES = 16 * 2**20
"""How much is gathered at once: large enough that a batch costs no more than a view of it."""
BLOCK_BATCHES = 32

Batch = tuple[np.ndarray, dict[str, Tensor]]


class Feed:
    """Cuts batches out of encoded columns; what it gives depends on the indices only.

    Args:
        encoded: The columns.
        transforms: Random changes of this epoch, or ``None``.
        device: Where the batches go.
        clock: Takes the time of reading, changing and copying, where it is wanted.
    """

    def __init__(
        self, encoded: Encoded, transforms: EpochTransforms | None, device: torch.device,
        clock: Breakdown | None = None,
    ) -> None:  # fmt: skip
        self.encoded, self.transforms, self.device, self.clock = encoded, transforms, device, clock
        self.moves = device.type != "cpu"

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The examples at ``indices``."""
        clock = self.clock
        columns = self.encoded.batch(indices)
        if clock is not None:
            clock.mark("read")
        if self.transforms is not None:
            columns = self.transforms(columns, torch.from_numpy(indices))
            if clock is not None:
                clock.mark("augment")
        if self.moves:
            columns = {n: c.to(self.device, non_blocking=True) for n, c in columns.items()}
            if clock is not None:
                clock.mark("copy")
        return columns

    def blocks(self, order: Iterable[np.ndarray], batch_size: int) -> Iterator[Batch]:
        """Batch after batch; several are gathered at once, and the next while one is worked on.

        Columns of differing length are filled up to the longest of their batch, so these are cut
        batch by batch.
        """
        if self.encoded.lengths() is not None:
            chunks = ([indices] for indices in order)
        else:
            size = max(self.encoded.example_bytes() * batch_size, 1)
            many = max(1, min(BLOCK_BATCHES, BLOCK_BYTES // size))
            chunks = _chunked(order, many)
        if self.clock is None and (
            self.moves or self.transforms is not None or self.encoded.on_disk
        ):
            yield from self._ahead(chunks)
            return
        for chunk in chunks:
            yield from self._cut(chunk)

    def _cut(self, chunk: Sequence[np.ndarray]) -> list[Batch]:
        if len(chunk) == 1:
            return [(chunk[0], self.batch(chunk[0]))]
        block = self.batch(np.concatenate(chunk))
        out, start = [], 0
        for indices in chunk:
            stop = start + len(indices)
            out.append((indices, {name: column[start:stop] for name, column in block.items()}))
            start = stop
        return out

    def _ahead(self, chunks: Iterator[Sequence[np.ndarray]]) -> Iterator[Batch]:
        """The same, the next chunk being prepared while this one is worked on."""
        with ThreadPoolExecutor(1, "lepton-feed") as pool:
            waiting = None
            for chunk in chunks:
                following = pool.submit(self._cut, chunk)
                if waiting is not None:
                    yield from waiting.result()
                waiting = following
            if waiting is not None:
                yield from waiting.result()


def _chunked(order: Iterable[np.ndarray], many: int) -> Iterator[list[np.ndarray]]:
    walking = iter(order)
    while chunk := list(islice(walking, many)):
        yield chunk


def grouped(batches: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Batches in groups of ``count``; the last group may be smaller."""
    return _chunked(batches, count)
