"""Splits that keep equal examples on one side and classes in their shares."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_ai.data.column import Column, Ragged, items, update_digest
from lepton_ai.errors import EmptyDataError

if TYPE_CHECKING:
    from lepton_ai.data.dataset import Dataset


def row_digests(data: Dataset, names: Sequence[str] | None = None) -> np.ndarray:
    """A 64-bit number for each example: equal values have equal numbers, ``[N]`` uint64."""
    chosen = list(names) if names is not None else list(data.columns)
    columns = [data.columns[name] for name in chosen]
    fast = [_vectorised(column) for column in columns]
    numbers = np.empty(len(data), dtype=np.uint64)
    for index in range(len(data)):
        digest = hashlib.blake2b(digest_size=8)
        for column, rows in zip(columns, fast, strict=True):
            digest.update(b"\x00")
            if rows is not None:
                digest.update(rows[index])
            else:
                _update_value(digest, column, index)
        numbers[index] = int.from_bytes(digest.digest(), "little")
    return numbers


def _vectorised(column: Column) -> list[bytes] | None:
    if hasattr(column, "numpy") and not isinstance(column, np.ndarray) and hasattr(column, "ndim"):
        column = column.numpy()
    if isinstance(column, np.ndarray):
        flat = np.ascontiguousarray(column).reshape(len(column), -1)
        return [row.tobytes() for row in flat]
    if isinstance(column, Ragged):
        return ["\x1f".join(map(str, items(value))).encode() for value in column]
    if hasattr(column, "to_pylist"):
        return [v if isinstance(v, bytes) else repr(v).encode() for v in column.to_pylist()]
    return None


def _update_value(digest: Any, column: Column, index: int) -> None:
    value = column[index]
    if isinstance(value, np.ndarray):
        update_digest(digest, value)
    else:
        digest.update(value if isinstance(value, bytes) else repr(value).encode())


def split_indices(
    data: Dataset, fraction: float, *, seed: int, stratify: str | None,
    groups: Sequence[Any] | str | None, duplicates: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Indices of the two parts, each in the order of the data.

    Groups (and equal examples) are kept whole; within each class of ``stratify`` the groups are
    shuffled and taken until the class has its share.
    """
    count = len(data)
    if groups is not None:
        values = items(data[groups]) if isinstance(groups, str) else list(groups)
        _, group = np.unique(np.asarray([str(v) for v in values]), return_inverse=True)
    elif duplicates:
        names = [name for name in data.columns if name != stratify] or None
        _, group = np.unique(row_digests(data, names), return_inverse=True)
    else:
        group = np.arange(count)
    strata = np.asarray([str(v) for v in items(data[stratify])]) if stratify else np.zeros(count)
    rng = np.random.default_rng(seed)
    total = group.max() + 1
    first_member = np.full(total, count)
    np.minimum.at(first_member, group, np.arange(count))
    sizes = np.bincount(group, minlength=total)
    second = np.zeros(total, dtype=bool)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata[first_member] == stratum)
        own = own[rng.permutation(len(own))]
        want = fraction * sizes[own].sum()
        reached = np.cumsum(sizes[own])
        chosen = reached <= want + 0.5 * sizes[own]
        if len(own) > 1:
            chosen[-1] = False
            second[own[chosen]] = True
    chosen_rows = second[group]
    if not chosen_rows.any():
        chosen_rows = group == group[rng.integers(count)]
    if chosen_rows.all():
        raise EmptyDataError(
            "Expected at least two different examples to split; all of them are equal."
        )
    return np.flatnonzero(~chosen_rows), np.flatnonzero(chosen_rows)
