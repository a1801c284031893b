"""Intake: data and examples in the forms in which users hold them, as typed data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset, as_dataset, columns_of
from lepton_ai.data.field import Field
from lepton_ai.data.sources.frames import Frames
from lepton_ai.errors import DataError
from lepton_ai.models.binding import field_names
from lepton_ai.models.gathering import gather
from lepton_ai.tasks.task import Task


def training_data(task: Task, data: Any, targets: Any) -> Dataset:
    """Training data from a data set, a path, columns, or plain inputs and targets."""
    if targets is None:
        return as_dataset(data).require()
    inputs = named_columns(data, list(task.inputs), "inputs")
    outputs = named_columns(targets, list(task.outputs), "outputs")
    fields: dict[str, Field] = {**task.inputs, **task.outputs}
    columns = {**inputs, **outputs}
    return Dataset(columns, {k: f for k, f in fields.items() if k in columns}).require()


def validation_data(task: Task, data: Any) -> Dataset | None:
    """Validation data in the same forms, ``(x, y)`` too."""
    found, _ = weighted_validation(task, data)
    return found


def weighted_validation(task: Task, data: Any) -> tuple[Dataset | None, Any]:
    """Validation data, and the weights of its examples where ``(x, y, weights)`` was given."""
    if data is None:
        return None, None
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return training_data(task, data[0], data[1]), data[2] if len(data) == 3 else None
    given = gather(data)
    return training_data(task, given.inputs, given.targets), given.weights


def named_columns(values: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """Columns by name, from a dict, a list in the order of the names, a frame, or one column.

    Args:
        values: One array, or several.
        names: What the columns are called.
        what: ``"inputs"`` or ``"outputs"``, for messages.

    Raises:
        DataError: They are not as many as the names, or have others.
    """
    if is_frame(values):
        values = _of_frame(values, names)
    if isinstance(values, dict):
        columns = dict(_leaves(values, names))
        missing = [name for name in names if name not in columns]
        if missing and len(columns) == len(names) == 1:
            return {names[0]: next(iter(columns.values()))}
        if missing:
            raise DataError(
                f"Expected the {what} {', '.join(names)}; received {', '.join(columns)}: "
                f"{', '.join(missing)} missing.{registry.mistaken(missing[0], columns)} Type: "
                f"{{{missing[0]!r}: ...}}."
            )
        return columns
    if len(names) == 1:
        return {names[0]: values}
    if isinstance(values, (list, tuple)) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    count = len(values) if isinstance(values, (list, tuple)) else 1
    raise DataError(
        f"Expected {len(names)} {what} ({', '.join(names)}); received {count}. Type: "
        f"{{{', '.join(f'{name!r}: ...' for name in names)}}}."
    )


def _leaves(values: dict[Any, Any], names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Columns by name out of nested dicts; a list under a name that is none holds several."""
    free = [name for name in names if name not in _keys(values)]
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, names)
        elif isinstance(value, (list, tuple)) and key not in names and _is_columns(value):
            yield from zip(free, value, strict=False)
        else:
            yield str(key), value


def _keys(values: dict[Any, Any]) -> list[str]:
    inner = [_keys(value) for value in values.values() if isinstance(value, dict)]
    return [*map(str, values), *(key for keys in inner for key in keys)]


def is_frame(values: Any) -> bool:
    """Whether values are a data frame or an arrow table, and not one column of it."""
    return bool(Frames.recognises(values)) and hasattr(values, "columns")


def _of_frame(frame: Any, names: Sequence[str]) -> Any:
    """The columns of a frame by the names asked for, or all its numbers as one array."""
    columns = Dataset.read(frame).columns
    if set(names) <= set(columns):
        return {name: columns[name] for name in names}
    if len(columns) == 1:
        return next(iter(columns.values()))
    numbers = []
    for name, column in columns.items():
        array = np.asarray(column) if isinstance(column, np.ndarray) else column.to_numpy(False)
        if array.dtype.kind not in "uifb" or array.ndim != 1:
            raise DataError(
                f"Expected columns of numbers in the frame; {name!r} is none. Turn it into numbers "
                "first, or pass the whole table as a Dataset with a task: lai.train(frame, ...)."
            )
        numbers.append(array.astype(np.float32))
    return np.stack(numbers, axis=1)


def examples(task: Task, given: Any) -> tuple[Dataset, bool]:
    """Examples with the inputs only, and whether there was just one, not in a list.

    Raises:
        DataError: An input is missing, or a value is not what its field expects.
    """
    inputs = task.inputs
    single = False
    if isinstance(given, Dataset):
        data = given
    elif is_frame(given):
        data = _columns(named_columns(given, list(inputs), "inputs"), inputs)
    elif isinstance(given, dict):
        if any(isinstance(value, dict) for value in given.values()):
            given = dict(_leaves(given, list(inputs)))
        single = _is_example(given, inputs)
        data = _columns([given] if single else given, inputs)
    elif isinstance(given, (list, tuple)) and given and isinstance(given[0], dict):
        data = _columns(list(given), inputs)
    elif len(inputs) == 1:
        name, field = next(iter(inputs.items()))
        single = bool(field.is_single(given))
        data = Dataset({name: [given] if single else given}, {name: field})
    elif isinstance(given, (list, tuple)) and len(given) == len(inputs) and _is_columns(given):
        data = _columns(dict(zip(inputs, given, strict=True)), inputs)
    else:
        raise DataError(
            f"Expected examples with {field_names(inputs)}; received "
            f"{type(given).__name__}. Pass a dict of columns or a Dataset."
        )
    return task.typed(data.require(), targets=False), single


def _is_columns(given: Sequence[Any]) -> bool:
    return all(isinstance(one, (np.ndarray, Tensor, list)) for one in given)


def _columns(given: Any, inputs: dict[str, Field]) -> Dataset:
    columns = columns_of(given) if isinstance(given, list) else given
    missing = [name for name in inputs if name not in columns]
    if missing:
        raise DataError(
            f"Expected {field_names(inputs)}; {', '.join(missing)} missing from "
            f"{', '.join(map(str, columns)) or 'nothing'}."
            f"{registry.mistaken(missing[0], columns)}"
        )
    return Dataset({name: columns[name] for name in inputs}, inputs)


def _is_example(value: dict[str, Any], inputs: dict[str, Field]) -> bool:
    """Whether a dict is one example (its values single) and not columns."""
    for name, field in inputs.items():
        if name in value:
            single = field.is_single(value[name])
            if single is not None:
                return single
    return False
