"""Columns: what the values of one field are held in, from the source to the prediction.

A column is one of

- a numpy array or a torch tensor whose first axis counts the examples;
- a pyarrow array of strings, numbers or bytes (texts, class names, encoded pictures);
- :class:`Ragged`, values of differing length laid end to end (words, tags, token numbers);
- :class:`Files`, paths that are read when their bytes are needed;
- :class:`Items`, a list of objects of differing shape (decoded pictures of several sizes).

Everything between the source and the JSON edge works on whole columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lepton_ai.errors import DataError


@dataclass(frozen=True, eq=False)
class Ragged:
    """Values of differing length, laid end to end.

    Args:
        values: All values one after the other: a tensor, numpy array or arrow array whose first
            axis is the sum of the lengths.
        lengths: How many of them belong to each example, ``[examples]`` int64.

    Example:
        >>> words = Ragged.of([["a", "b"], ["c"]])
        >>> words.lengths.tolist(), words[0].to_pylist()
        ([2, 1], ['a', 'b'])
    """

    values: Any
    lengths: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Ragged:
        """Lay the rows end to end; strings become an arrow array, numbers a numpy array."""
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        flat = [value for row in rows for value in row]
        if not flat or isinstance(flat[0], str):
            return cls(pa.array(flat, type=pa.string()), lengths)
        return cls(np.asarray(flat), lengths)

    @property
    def offsets(self) -> np.ndarray:
        """Where each example begins, and the end of the last: ``[examples + 1]``."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]
        start = int(self.offsets[index])
        return self.values[start : start + int(self.lengths[index])]

    def __iter__(self) -> Iterator[Any]:
        offsets = self.offsets
        for start, stop in zip(offsets[:-1], offsets[1:], strict=True):
            yield self.values[int(start) : int(stop)]

    def take(self, indices: np.ndarray) -> Ragged:
        """The examples at ``indices``, in that order."""
        lengths = self.lengths[indices]
        starts = self.offsets[:-1][indices]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        positions = np.repeat(starts, lengths) + within
        return Ragged(take(self.values, positions), lengths)

    def padded(self, fill: float = 0, *, longest: int | None = None) -> Tensor:
        """A tensor ``[examples, longest, ...]``, filled up with ``fill`` on the right."""
        values = torch.as_tensor(self.values)
        lengths = torch.as_tensor(self.lengths)
        longest = longest or max(int(lengths.max()) if len(lengths) else 0, 1)
        mask = torch.arange(longest)[None, :] < lengths[:, None]
        shape = (len(lengths), longest, *values.shape[1:])
        padded = torch.full(shape, fill, dtype=values.dtype)
        padded[mask] = values
        return padded

    @classmethod
    def unpadded(cls, padded: Tensor | np.ndarray, lengths: Tensor | np.ndarray) -> Ragged:
        """The way back from :meth:`padded`."""
        counts = np.asarray(lengths, dtype=np.int64)
        mask = np.arange(padded.shape[1])[None, :] < counts[:, None]
        if isinstance(padded, np.ndarray):
            return cls(padded[mask], counts)
        return cls(padded[torch.from_numpy(mask)], counts)


@dataclass(frozen=True, eq=False)
class Files:
    """Paths whose bytes are read when they are needed."""

    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> bytes:
        return Path(self.paths[index]).read_bytes()

    def take(self, indices: np.ndarray) -> Files:
        """The files at ``indices``, in that order."""
        return Files([self.paths[i] for i in indices])


@dataclass(frozen=True, eq=False)
class Items:
    """A list of objects of differing shape, such as decoded pictures of several sizes."""

    values: Sequence[Any]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    def take(self, indices: np.ndarray) -> Items:
        """The objects at ``indices``, in that order."""
        return Items([self.values[i] for i in indices])


Column = Any
"""``np.ndarray | Tensor | pa.Array | Ragged | Files | Items``."""
Columns = Mapping[str, Any]


def as_column(values: Any) -> Column:
    """Make a column of whatever a user may hold: lists, series, frames' columns, tensors.

    Example:
        >>> as_column(["a", "b"]).type
        DataType(string)
        >>> as_column([[1, 2], [3]]).lengths.tolist()
        [2, 1]
    """
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = list(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "US" and values.ndim > 1:
        return Ragged.of(values.reshape(len(values), -1).tolist())
    if isinstance(values, np.ndarray) and values.dtype.kind in "US":
        return pa.array(values.astype(str).tolist(), type=pa.string())
    if isinstance(values, (np.ndarray, Tensor, Ragged, Files, Items, pa.Array)):
        return values
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if hasattr(values, "to_arrow"):  # polars
        return as_column(values.to_arrow())
    if hasattr(values, "__array__") and hasattr(values, "to_numpy"):  # pandas
        return pa.Array.from_pandas(values)
    return _from_list(list(values))


def _from_list(values: list[Any]) -> Column:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Path):
        return Files([str(value) for value in values])
    if isinstance(first, (str, bytes, bool, int, float, np.generic)) or first is None:
        plain = [v.item() if isinstance(v, np.generic) else v for v in values]
        try:
            return pa.array(plain, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            kinds = sorted({type(value).__name__ for value in plain})
            raise DataError(
                f"Expected values of one type in a column; received {', '.join(kinds)}. "
                "Convert them first, for example with [str(value) for value in values]."
            ) from error
    if isinstance(first, (list, tuple)) and first and isinstance(first[0], (str, int, float)):
        return Ragged.of(values)
    if isinstance(first, (np.ndarray, Tensor)):
        arrays = [np.asarray(value) for value in values]
        if len({(array.shape, array.dtype) for array in arrays}) == 1:
            return np.stack(arrays)
        return Items(arrays)
    if isinstance(first, (list, tuple)):
        return Ragged.of(values)
    return Items(values)


def length(column: Column) -> int:
    """How many examples a column holds."""
    return len(column)


def take(column: Column, indices: Any) -> Column:
    """The examples at ``indices`` (integers), in that order; repeats are allowed."""
    indices = np.asarray(indices)
    if not indices.size:
        indices = indices.astype(np.int64)  # an empty list is floats to numpy
    if isinstance(column, pa.Array):
        return column.take(pa.array(indices))
    if isinstance(column, Tensor):
        return column[torch.as_tensor(indices)]
    if isinstance(column, np.ndarray):
        return column[indices]
    return column.take(indices)


def concatenate(columns: Sequence[Column]) -> Column:
    """Columns of one kind, one after the other."""
    first = columns[0]
    if len(columns) == 1:
        return first
    if isinstance(first, pa.Array):
        return pa.concat_arrays([column.cast(first.type) for column in columns])
    if isinstance(first, Tensor):
        return torch.cat(list(columns))
    if isinstance(first, np.ndarray):
        if len({column.shape[1:] for column in columns}) > 1:
            return Items([item for column in columns for item in column])
        return np.concatenate(columns)
    if isinstance(first, Ragged):
        values = concatenate([column.values for column in columns])
        return Ragged(values, np.concatenate([column.lengths for column in columns]))
    if isinstance(first, Files):
        return Files([path for column in columns for path in column.paths])
    return Items([value for column in columns for value in column.values])


def item(column: Column, index: int) -> Any:
    """One value as a person would write it: ``str``, ``float``, an array, a list of words."""
    value = column[index]
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if isinstance(value, pa.Array):
        return value.to_pylist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 else value.numpy()
    return value


def items(column: Column) -> list[Any]:
    """All values as a person would write them."""
    if isinstance(column, pa.Array):
        return column.to_pylist()
    return [item(column, index) for index in range(len(column))]


def missing(column: Column) -> np.ndarray:
    """Which values are missing (null, or NaN in a column of plain numbers): ``[examples]`` bool."""
    if isinstance(column, pa.Array):
        nulls = column.is_null(nan_is_null=True)
        return nulls.to_numpy(zero_copy_only=False)
    if isinstance(column, Tensor):
        column = column.numpy()
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and column.ndim == 1:
        return np.isnan(column)
    if isinstance(column, Items):
        return np.array([value is None for value in column.values], dtype=bool)
    return np.zeros(len(column), dtype=bool)


def update_digest(digest: hashlib._Hash, column: Column) -> None:
    """Feed the content of a column into a running hash; equal values give equal hashes."""
    if isinstance(column, Tensor):
        column = column.numpy()
    if isinstance(column, np.ndarray):
        digest.update(f"{column.dtype.str}{column.shape}".encode())
        digest.update(np.ascontiguousarray(column).view(np.uint8).data)
    elif isinstance(column, Ragged):
        update_digest(digest, column.lengths)
        update_digest(digest, column.values)
    elif isinstance(column, pa.Array):
        _update_arrow(digest, column)
    else:
        for index in range(len(column)):
            value = column[index]
            if isinstance(value, bytes):
                digest.update(len(value).to_bytes(8, "little") + value)
            elif isinstance(value, np.ndarray):
                update_digest(digest, value)
            else:
                digest.update(repr(value).encode())


def _update_arrow(digest: hashlib._Hash, column: pa.Array) -> None:
    digest.update(f"{column.type}{len(column)}".encode())
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if text or pa.types.is_binary(column.type):
        for value in column.to_pylist():  # offsets of a slice differ, so hash the values
            raw = b"\xff" if value is None else value.encode() if text else value
            digest.update(len(raw).to_bytes(8, "little") + raw)
    else:
        digest.update(repr(column.to_pylist()).encode())
