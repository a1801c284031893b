"""Example weights: how much each example counts, from ``sample_weight`` and ``class_weight``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lepton_ai.data.column import as_column
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError, DataError, ShapeError
from lepton_ai.registry import near_miss
from lepton_ai.tasks.task import Task

COLUMN = "sample_weight"
"""The name under which the trainer finds them beside the encoded columns."""


def taken_out(data: Dataset, sample_weight: Any) -> tuple[Dataset, np.ndarray | None]:
    """The data without its column of weights, and the weights ``[examples]``.

    Args:
        data: The examples.
        sample_weight: One number for each example, or the name of a column that holds them.

    Raises:
        DataError: There is no such column, or a weight is negative or no number.
        ShapeError: They are not as many as the examples.
    """
    if sample_weight is None:
        return data, None
    if isinstance(sample_weight, str):
        values: Any = data[sample_weight]
        data = data.select([name for name in data.columns if name != sample_weight])
    else:
        values = sample_weight
    return data, checked(values, len(data))


def checked(values: Any, count: int) -> np.ndarray:
    """Weights as float32 ``[count]``.

    Raises:
        ShapeError: They are not one number for each example.
        DataError: One is negative, or no finite number.

    Example:
        >>> checked([1, 2], 2)
        array([1., 2.], dtype=float32)
    """
    array = np.asarray(Number().read(as_column(values))) if np.ndim(values) < 2 else values
    if np.ndim(array) == 2 and np.shape(array)[1] == 1:
        array = np.asarray(array)[:, 0]
    if np.shape(array) != (count,):
        raise ShapeError(
            f"Expected sample_weight as one number for each of the {count} examples; received the "
            f"shape {list(np.shape(array))}. Type: sample_weight=np.ones({count})."
        )
    array = np.asarray(array, dtype=np.float32)
    wrong = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if len(wrong):
        raise DataError(
            f"Expected sample_weight of at least 0; example {wrong[0]} has {array[wrong[0]]:g}. "
            "Type: np.clip(np.nan_to_num(weights), 0, None)."
        )
    return array


def with_classes(
    task: Task, data: Dataset, weights: np.ndarray | None, class_weight: Any
) -> np.ndarray | None:
    """Weights of examples multiplied with those of their classes.

    Args:
        task: Its classes are known.
        data: Typed examples.
        weights: The examples' own.
        class_weight: Class, by name or number, to weight; classes that are not named count 1.

    Raises:
        ConfigError: It names a class that the data does not have, or there are no classes.
    """
    if class_weight is None:
        return weights
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"Expected class_weight as a dict from class to weight; received "
            f"{type(class_weight).__name__}. Type: class_weight={{0: 1.0, 1: 5.0}}."
        )
    if len(task.outputs) > 1:
        raise ConfigError(
            f"Expected one output for class_weight; the model has {', '.join(task.outputs)}. "
            "Type: sample_weight=..., one number for each example."
        )
    name, field = task.target, task.outputs[task.target]
    numbers = _numbers(name, field, data)
    table = np.ones(int(numbers.max(initial=0)) + 1, dtype=np.float32)
    present = {int(number) for number in np.unique(numbers) if number >= 0}
    for key, value in class_weight.items():
        number = _number(key, field, present)
        weight = float(checked([value], 1)[0])
        if number < len(table):
            table[number] = weight
    found = np.where(numbers >= 0, table[numbers.clip(0)], 1.0).astype(np.float32)
    return found if weights is None else weights * found


def _numbers(name: str, field: Field, data: Dataset) -> np.ndarray:
    """The class number of each example."""
    if isinstance(field, Label):
        return np.asarray(field.to_tensor(data[name], {"classes": field.known}))
    values = np.asarray(data[name]) if isinstance(data[name], np.ndarray) else np.zeros((1, 1, 2))
    if values.ndim == 2 and values.shape[1] > 1 and ((values == 0) | (values == 1)).all():
        return values.argmax(axis=1)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.ndim != 1 or not (values == np.floor(values)).all():
        raise ConfigError(
            f"Expected one class for each example, for class_weight; {name!r} holds something "
            "else. Type: sample_weight=..., one number for each example."
        )
    return values.astype(np.int64)


def _number(key: Any, field: Field, present: set[int]) -> int:
    """The number of a class that the user named."""
    if isinstance(field, Label):
        known = field.known
        if str(key) in known:
            return known.index(str(key))
        whole = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
        named = not all(name.lstrip("-").isdigit() for name in known)
        if whole and named and 0 <= key < len(known):
            return int(key)
        listed, hint = ", ".join(known[:20]), near_miss(str(key), known)
    else:
        try:
            number = int(key)
        except (TypeError, ValueError):
            number = -1
        if number in present:
            return number
        listed, hint = ", ".join(str(n) for n in sorted(present)[:20]), ""
    raise ConfigError(
        f"Expected class_weight for the classes of the data, {listed}; received {key!r}.{hint}"
    )


def attached(data: Dataset, weights: np.ndarray | None) -> Dataset:
    """Typed data with the weights beside it, as the trainer reads them."""
    if weights is None:
        return data
    if COLUMN in data.columns:
        raise ConfigError(
            f"Expected no column {COLUMN!r} among inputs and outputs when examples are weighted. "
            f"Rename it: data.rename({{{COLUMN!r}: 'weight'}})."
        )
    return data.with_column(COLUMN, weights, Number())
