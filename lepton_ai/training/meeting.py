"""Meeting: data in the forms of ``fit``, and models that have not seen any yet."""

from __future__ import annotations

import copy
from typing import Any

from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.errors import DataError


def as_data(model: Any, data: Any) -> Dataset:
    """Data in the forms that ``fit`` takes; plain inputs and targets as ``(x, y)``.

    Raises:
        DataError: There are more or fewer inputs or targets than the model has.
    """
    if not (isinstance(data, tuple) and len(data) == 2):
        return as_dataset(data)
    task = model.task
    columns = {
        **_named(data[0], _names(model, "entries", task.inputs), "inputs"),
        **_named(data[1], _names(model, "output_names", task.outputs), "targets"),
    }
    fields = {**task.inputs, **task.outputs}
    return Dataset(columns, {key: field for key, field in fields.items() if key in columns})


def _names(model: Any, asked: str, fields: dict[str, Any]) -> list[str]:
    """Names of inputs or outputs: those of the task, or of the network where it says them."""
    said = getattr(model, asked, None)
    names = list(said()) if said is not None and not model.bound else []
    return names if len(names) > 1 else list(fields)


def _named(values: Any, names: list[str], what: str) -> dict[str, Any]:
    """Columns by name from one value, a list in the order of the names, or a dict."""
    if isinstance(values, dict):
        return values
    if len(names) == 1:
        return {names[0]: values}
    if not isinstance(values, (list, tuple)) or len(values) != len(names):
        count = len(values) if isinstance(values, (list, tuple)) else 1
        raise DataError(
            f"Expected {len(names)} {what} ({', '.join(names)}); received {count}. Give a list in "
            "this order, or a dict by name."
        )
    return dict(zip(names, values, strict=True))


def met(model: Any, data: Dataset, seed: int) -> Any:
    """A copy of a model that has met the data; the model itself has not."""
    return copy.deepcopy(model).bind(data, seed=seed)
