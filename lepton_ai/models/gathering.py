"""Gathering: batches and rows from other libraries, put together as columns.

Training works on columns that lie in memory, so whatever gives batches is read once: a DataLoader,
a generator, a Sequence. An endless generator is read for ``steps_per_epoch`` batches, which every
epoch then goes through; random changes belong into ``transforms``, which differ in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lepton_ai.data.column import Ragged, as_column, concatenate
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.label import Label
from lepton_ai.data.sources.arrow import columns_of_table
from lepton_ai.errors import DataError, EmptyDataError, LimitError

MOST_ROWS = 2_000_000


@dataclass
class Given:
    """Data as the user gave it, gathered where it came in batches.

    Attributes:
        inputs: Inputs, or whole examples where ``targets`` is ``None``.
        targets: What is expected of them.
        weights: One number for each example.
        batch_size: The size of the batches it came in.
    """

    inputs: Any
    targets: Any = None
    weights: Any = None
    batch_size: int | None = None


def gather(
    data: Any, targets: Any = None, weights: Any = None, *, steps: int | None = None
) -> Given:
    """Data in columns: batches and rows are read and put together, all else stays as it is.

    Args:
        data: Whatever holds examples.
        targets: What is expected of them, where it does not come along.
        weights: One number for each example, likewise.
        steps: How many batches to read, where they come in batches.

    Raises:
        DataError: A generator ends before ``steps`` batches, or batches differ in kind.
        LimitError: It gives more than 2,000,000 examples.
        EmptyDataError: It gives none.

    Example:
        >>> batches = ((np.ones((4, 2)), np.zeros(4)) for _ in range(3))
        >>> given = gather(batches)
        >>> given.inputs.shape, given.targets.shape, given.batch_size
        ((12, 2), (12,), 4)
    """
    if isinstance(data, Dataset) or data is None:
        return Given(data, targets, weights)
    if _is_hugging_face(data):
        return Given(_of_hugging_face(data), targets, weights)
    batches = batches_of(data)
    if batches is None:
        return Given(data, targets, weights)
    if targets is not None:
        raise DataError(
            f"Expected y to come with the batches of the {type(data).__name__}; received it "
            "beside them. Let each batch be (x, y), and leave y out."
        )
    given = _joined(_read(batches, steps, type(data).__name__))
    if weights is not None:
        given.weights = weights
    if isinstance(data, torch.utils.data.Dataset):
        given.batch_size = None
    return given


def batches_of(data: Any) -> Iterable[Any] | None:
    """The batches of a source that gives them; ``None`` for what holds examples otherwise."""
    if isinstance(data, torch.utils.data.DataLoader):
        return data
    if isinstance(data, torch.utils.data.IterableDataset):
        return _one_by_one(data)
    if isinstance(data, torch.utils.data.Dataset):
        count: int = len(data)  # type: ignore[arg-type]
        return _one_by_one(data[index] for index in range(count))
    if hasattr(data, "as_numpy_iterator"):
        return data.as_numpy_iterator()
    if _is_sequence(data):
        return (data[index] for index in range(len(data)))
    if isinstance(data, Iterator):
        return data
    return None


def _is_sequence(data: Any) -> bool:
    """Whether an object gives whole batches by their number, as Keras's Sequence does."""
    kinds = {kind.__name__ for kind in type(data).__mro__}
    return bool(kinds & {"Sequence", "PyDataset"}) and hasattr(data, "__getitem__")


def _is_hugging_face(data: Any) -> bool:
    return all(hasattr(data, name) for name in ("column_names", "features", "with_format"))


def _of_hugging_face(data: Any) -> Dataset:
    """A ``datasets.Dataset``: its arrow table, with the names of its classes."""
    table = data.with_format("arrow")[:]
    columns, fields = columns_of_table(table, "the data set"), {}
    for name, column in columns.items():
        if isinstance(column, Ragged) and len(set(column.lengths.tolist())) == 1:
            values = np.asarray(column.values)
            if values.dtype.kind in "iufb":  # lists of one length are an array
                columns[name] = values.reshape(len(column), -1)
    for name, feature in dict(data.features).items():
        names = getattr(feature, "names", None)
        if names and name in columns:
            told = [None if n is None or n < 0 else names[n] for n in columns[name].to_pylist()]
            columns[name] = pa.array(told, pa.string())
            fields[name] = Label(list(names))
    return Dataset(columns, fields)


def _one_by_one(rows: Iterable[Any]) -> Iterator[Any]:
    """Rows as batches of one."""
    for row in rows:
        if isinstance(row, (tuple, list)):
            yield tuple(_alone(part) for part in row)
        else:
            yield _alone(row)


def _alone(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _alone(inner) for key, inner in value.items()}
    if isinstance(value, Tensor):
        return value[None]
    return [value] if isinstance(value, (str, bytes)) else np.asarray(value)[None]


def _read(batches: Iterable[Any], steps: int | None, kind: str) -> list[Any]:
    read: list[Any] = []
    rows = 0
    for batch in islice(iter(batches), steps):
        read.append(_parts(batch))
        rows += _rows(read[-1][0])
        if rows > MOST_ROWS:
            raise LimitError(
                f"Expected at most {MOST_ROWS:,} examples from the {kind}; it gives more, perhaps "
                "without end. Type: steps_per_epoch=..., the batches of an epoch."
            )
    if steps is not None and len(read) < steps:
        raise DataError(
            f"Expected {steps} batches (steps_per_epoch); the {kind} ended after {len(read)}. "
            f"Type: steps_per_epoch={max(len(read), 1)}, or let it go on."
        )
    if not rows:
        raise EmptyDataError(
            f"Expected at least one batch; the {kind} gave none. A generator is empty once it was "
            "gone through: make a new one."
        )
    return read


def _parts(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a batch."""
    if isinstance(batch, (tuple, list)) and not isinstance(batch, str):
        if not 1 <= len(batch) <= 3:
            raise DataError(
                f"Expected batches (x, y) or (x, y, sample_weight); received {len(batch)} parts. "
                "Several inputs go into one list or dict: ([x1, x2], y)."
            )
        first, second, third = (*batch, None, None)[:3]
        return first, second, third
    return batch, None, None


def _rows(value: Any) -> int:
    while isinstance(value, (dict, tuple, list)) and not _is_values(value):
        value = next(iter(value.values() if isinstance(value, dict) else value))
    return len(value)


def _is_values(value: Any) -> bool:
    """Whether a list holds the values of one column, and not several columns."""
    return isinstance(value, (list, tuple)) and (
        not value or isinstance(value[0], (str, bytes, int, float, np.generic))
    )


def _joined(read: list[Any]) -> Given:
    inputs, targets, weights = zip(*read, strict=True)
    columns = _column(list(inputs))
    expected = None if targets[0] is None else _column(list(targets))
    counted = None if weights[0] is None else _column(list(weights))
    return Given(columns, expected, counted, _rows(inputs[0]))


def _column(parts: list[Any]) -> Any:
    """Batches of one kind, one after the other: of dicts a dict, of lists a list."""
    first = parts[0]
    if isinstance(first, dict):
        for part in parts:
            if not isinstance(part, dict) or set(part) != set(first):
                raise DataError(
                    f"Expected every batch to hold {', '.join(map(str, first))}; one holds "
                    f"{', '.join(map(str, part)) if isinstance(part, dict) else 'no dict'}."
                )
        return {str(key): _column([part[key] for part in parts]) for key in first}
    if isinstance(first, (list, tuple)) and not _is_values(first):
        return [_column([part[place] for part in parts]) for place in range(len(first))]
    found = [_array(part) for part in parts]
    shapes = {getattr(part, "shape", (0,))[1:] for part in found}
    if len(shapes) > 1:
        raise DataError(
            f"Expected batches of one shape; received {' and '.join(map(str, sorted(shapes)))}. "
            "Pad values of differing length to one length."
        )
    return concatenate(found)


def _array(part: Any) -> Any:
    return part.detach().cpu().numpy() if isinstance(part, Tensor) else as_column(part)
