"""Splits that keep equal examples on one side and classes in their shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from lepton_ai.data.column import Column, Ragged, items, update_digest
from lepton_ai.errors import ConfigError, EmptyDataError

if TYPE_CHECKING:
    from lepton_ai.data.dataset import Dataset

_ODD = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 1 << 22


def row_digests(data: Dataset, names: Sequence[str] | None = None) -> np.ndarray:
    """A 64-bit number for each example: equal values have equal numbers, ``[N]`` uint64.

    It depends on the values only, so it can be compared between data sets.
    """
    chosen = list(names) if names is not None else list(data.columns)
    numbers = np.zeros(len(data), dtype=np.uint64)
    for place, name in enumerate(chosen, 1):
        numbers = _mixed(numbers * _ODD + np.uint64(place) + column_digests(data.columns[name]))
    return numbers


def column_digests(column: Column) -> np.ndarray:
    """A 64-bit number for each value of a column, ``[N]`` uint64."""
    if isinstance(column, Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, np.ndarray):
        return _array_digests(column)
    if isinstance(column, pa.Array):
        if not isinstance(column, pa.DictionaryArray):
            column = column.dictionary_encode(null_encoding="encode")
        distinct = _hashed(_raw(value) for value in column.dictionary.to_pylist())
        places = column.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
        return np.append(distinct, np.uint64(0))[places]
    if isinstance(column, Ragged):
        return _hashed(
            b"\x1f".join(_raw(v) for v in items(value))
            if isinstance(value, pa.Array)
            else _raw(np.asarray(value))
            for value in column
        )
    return _hashed(_raw(column[index]) for index in range(len(column)))


def _hashed(values: Iterable[bytes]) -> np.ndarray:
    raw = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in values)
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes):
        return b"b" + value
    if isinstance(value, str):
        return b"s" + value.encode("utf8", "surrogatepass")
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256()
        update_digest(digest, value)
        return digest.digest()
    return repr(value).encode("utf8", "surrogatepass")


def _mixed(values: np.ndarray) -> np.ndarray:
    """Bits of 64-bit numbers spread over all of them (the finalizer of MurmurHash3), in place."""
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values


def _array_digests(array: np.ndarray) -> np.ndarray:
    """Rows of bytes, eight at a time: each is mixed with a key of its place, and they are added."""
    count = len(array)
    size = int(np.prod(array.shape[1:], dtype=np.int64)) * array.dtype.itemsize
    words = -(-size // 8)
    keys = np.random.default_rng(0).integers(0, 2**64, max(words, 1), dtype=np.uint64)
    numbers = np.full(count, size, dtype=np.uint64)
    step = max(1, _CHUNK // max(words * 8, 1))
    for start in range(0, count if size else 0, step):
        part = np.ascontiguousarray(array[start : start + step])
        padded = np.zeros((len(part), words * 8), dtype=np.uint8)
        padded[:, :size] = part.view(np.uint8).reshape(len(part), size)
        mixed = padded.view("<u8").astype(np.uint64, copy=False) ^ keys
        mixed *= _ODD
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        numbers[start : start + step] += mixed.sum(axis=1, dtype=np.uint64)
    return _mixed(numbers)


def split_indices(
    data: Dataset, fraction: float, *, seed: int, stratify: str | None,
    groups: Sequence[Any] | str | None, duplicates: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Indices of the two parts, each in the order of the data.

    Groups (and equal examples) are kept whole; within each class of ``stratify`` the groups are
    shuffled and taken until the class has its share, within one example where groups are single
    ones. A group belongs to the class of its first example; a class with one group stays in the
    first part.

    Raises:
        EmptyDataError: All examples are one group.
    """
    count = len(data)
    group = _groups(data, stratify, groups, duplicates=duplicates)
    total = int(group.max()) + 1
    if total < 2:
        raise EmptyDataError(
            "Expected at least two different examples to split; all of them are equal, or of one "
            "group."
        )
    strata = np.zeros(count, dtype=np.uint64)
    if stratify is not None:
        strata = column_digests(data[stratify])
    first_member = np.full(total, count)
    np.minimum.at(first_member, group, np.arange(count))
    sizes = np.bincount(group, minlength=total)
    rng = np.random.default_rng(seed)
    second = np.zeros(total, dtype=bool)
    home = strata[first_member]
    _, first_seen = np.unique(home, return_index=True)
    for stratum in home[np.sort(first_seen)]:  # in the order of the data, not of the hashes
        own = np.flatnonzero(home == stratum)
        if len(own) > 1:
            own = own[rng.permutation(len(own))]
            second[_taken(own, sizes[own], fraction * sizes[own].sum())] = True
    if not second.any():
        second[rng.integers(total)] = True
    rows = second[group]
    return np.flatnonzero(~rows), np.flatnonzero(rows)


def _groups(
    data: Dataset, stratify: str | None, groups: Sequence[Any] | str | None, *, duplicates: bool
) -> np.ndarray:
    """The number of the group of each example; numbers follow the order of the data."""
    count = len(data)
    if groups is not None:
        values = items(data[groups]) if isinstance(groups, str) else list(groups)
        if len(values) != count:
            raise ConfigError(
                f"Expected {count} groups, one for each example; received {len(values)}."
            )
        keys = np.asarray([str(value) for value in values])
    elif duplicates:
        # what is to be predicted is left out: equal inputs with other labels are duplicates too
        keys = row_digests(data, [name for name in data.columns if name != stratify] or None)
    else:
        return np.arange(count)
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first, kind="stable")] = np.arange(len(first))
    return order[number]


def _taken(own: np.ndarray, sizes: np.ndarray, want: float) -> np.ndarray:
    """Groups, in their order, that together come closest to what is wanted; never all of them."""
    if sizes.max() == 1:
        return own[: min(round(want), len(own) - 1)]
    chosen, reached = [], 0
    for number, size in zip(own.tolist(), sizes.tolist(), strict=True):
        if reached + size <= want + size / 2 and len(chosen) < len(own) - 1:
            chosen.append(number)
            reached += size
    return np.array(chosen, dtype=np.int64)
