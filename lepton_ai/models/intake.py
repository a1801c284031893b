"""Intake: data and examples in the forms in which users hold them, as typed data sets."""

from __future__ import annotations

from typing import Any

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset, as_dataset, columns_of
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError
from lepton_ai.models.binding import field_names
from lepton_ai.tasks.task import Task


def training_data(task: Task, data: Any, targets: Any) -> Dataset:
    """Training data from a data set, a path, columns, or plain inputs and targets."""
    if targets is None:
        return as_dataset(data).require()
    inputs = data if isinstance(data, dict) else {next(iter(task.inputs)): data}
    outputs = targets if isinstance(targets, dict) else {task.target: targets}
    fields: dict[str, Field] = {**task.inputs, **task.outputs}
    columns = {**inputs, **outputs}
    return Dataset(columns, {k: f for k, f in fields.items() if k in columns}).require()


def validation_data(task: Task, data: Any) -> Dataset | None:
    """Validation data in the same forms, ``(x, y)`` too."""
    if data is None:
        return None
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return training_data(task, *data)
    return training_data(task, data, None)


def examples(task: Task, given: Any) -> tuple[Dataset, bool]:
    """Examples with the inputs only, and whether there was just one, not in a list.

    Raises:
        DataError: An input is missing, or a value is not what its field expects.
    """
    inputs = task.inputs
    single = False
    if isinstance(given, Dataset):
        data = given
    elif isinstance(given, dict):
        single = _is_example(given, inputs)
        data = _columns([given] if single else given, inputs)
    elif isinstance(given, (list, tuple)) and given and isinstance(given[0], dict):
        data = _columns(list(given), inputs)
    elif len(inputs) == 1:
        name, field = next(iter(inputs.items()))
        single = bool(field.is_single(given))
        data = Dataset({name: [given] if single else given}, {name: field})
    else:
        raise DataError(
            f"Expected examples with {field_names(inputs)}; received "
            f"{type(given).__name__}. Pass a dict of columns or a Dataset."
        )
    return task.typed(data.require(), targets=False), single


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
