"""Encoded columns in memory, and the batches that are cut from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.column import Ragged, take
from lepton_ai.data.decoding import decoded, kept_on_disk
from lepton_ai.data.field import Field, Spec


class Encoded:
    """Encoded columns: tensors and :class:`Ragged`, of one length.

    ``batch`` gives tensors only: ragged columns are filled up to the longest of the batch and come
    with ``"<name>.lengths"``.
    """

    def __init__(self, columns: Mapping[str, Tensor | Ragged], fills: Mapping[str, float]) -> None:
        self.columns = dict(columns)
        self.fills = dict(fills)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def batch(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The examples at ``indices`` as tensors."""
        out: dict[str, Tensor] = {}
        whole = torch.from_numpy(indices)
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                chosen = column.take(indices)
                out[name] = chosen.padded(self.fills.get(name, 0))
                out[f"{name}.lengths"] = torch.from_numpy(chosen.lengths)
            else:
                out[name] = column[whole]
        return out

    def slice(self, start: int, stop: int) -> dict[str, Tensor]:
        """The examples from ``start`` to ``stop`` without copying what need not be copied."""
        plain = {n: c[start:stop] for n, c in self.columns.items() if not isinstance(c, Ragged)}
        if len(plain) < len(self.columns):
            return self.batch(np.arange(start, min(stop, len(self))))
        return plain

    def example_bytes(self) -> int:
        """The size of one example's tensors; ragged columns are not counted."""
        plain = [c for c in self.columns.values() if isinstance(c, Tensor)]
        return sum(c[:1].numel() * c.element_size() for c in plain)

    @property
    def on_disk(self) -> bool:
        """Whether some column is read from the disk while it is used."""
        return any(kept_on_disk(c) for c in self.columns.values())

    def lengths(self) -> np.ndarray | None:
        """How long each example is, where some column is ragged."""
        ragged = [c.lengths for c in self.columns.values() if isinstance(c, Ragged)]
        return ragged[0] if ragged else None

    def merged(self, other: Encoded) -> Encoded:
        """The columns of both."""
        return Encoded({**self.columns, **other.columns}, {**self.fills, **other.fills})


def encode_inputs(
    fields: Mapping[str, Field], specs: Mapping[str, Spec], columns: Mapping[str, Any]
) -> Encoded:
    """Encode the input columns, with the companions that their fields give."""
    encoded: dict[str, Tensor | Ragged] = {}
    for name, field in fields.items():
        encoded[name] = decoded(field, columns[name], specs[name])
        for suffix, companion in field.companions(columns[name], specs[name]).items():
            encoded[f"{name}.{suffix}"] = companion
    return Encoded(encoded, {name: field.fill() for name, field in fields.items()})


def encode_targets(head: Any, specs: Mapping[str, Spec], columns: Mapping[str, Any]) -> Encoded:
    """Encode the target columns as the head wants them."""
    targets = head.encode(columns, specs)
    return Encoded(targets, {name: -1 for name in targets})


def training_order(
    count: int, *, seed: int, epoch: int, batch_size: int, lengths: np.ndarray | None,
    least: int = 0, shuffle: bool = True,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Indices of the batches of one epoch; a function of the seed and the epoch only.

    Without ``shuffle`` they follow one another as they lie. Examples of differing length are
    gathered with others of about their length, so that little of a batch is filling. A last batch
    of fewer than ``least`` is left out, unless it is the only one.
    """
    rng = np.random.default_rng([seed & 0xFFFFFFFF, epoch, 7])
    order = rng.permutation(count) if shuffle else np.arange(count)
    if not shuffle or lengths is None or count <= 2 * batch_size:
        for start in range(0, count, batch_size):
            if start == 0 or count - start >= least:
                yield order[start : start + batch_size]
        return
    pool = batch_size * 50
    batches: list[np.ndarray] = []
    for start in range(0, count, pool):
        some = order[start : start + pool]
        some = some[np.argsort(lengths[some], kind="stable")]
        batches += [some[i : i + batch_size] for i in range(0, len(some), batch_size)]
    for place in rng.permutation(len(batches)):
        if len(batches[place]) >= least:
            yield batches[place]


def subset(encoded: Encoded, indices: np.ndarray) -> Encoded:
    """Encoded columns of some examples."""
    return Encoded({n: take(c, indices) for n, c in encoded.columns.items()}, encoded.fills)
