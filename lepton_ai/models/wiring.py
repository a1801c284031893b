"""Wiring: which columns of the data go into a compiled network, and which come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lepton_ai.data.column import as_column
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.field import Field
from lepton_ai.data.fields.array import Array
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.text import Text
from lepton_ai.errors import DataError
from lepton_ai.models.entry import Entry
from lepton_ai.models.gathering import Given
from lepton_ai.models.intake import is_frame, named_columns
from lepton_ai.registry import mistaken
from lepton_ai.tasks.supervised import Supervised


def wire(task: Supervised, given: Given, entries: dict[str, Entry], outputs: list[str]) -> None:
    """Tell a compiled task its inputs and outputs, from the first data that it meets.

    Args:
        task: What was compiled.
        given: The training data.
        entries: What the network reads, by name; empty where it does not say.
        outputs: The names of what it gives, likewise.
    """
    if given.targets is None:
        _of_columns(task, as_dataset(given.inputs).require(), list(entries), outputs)
        return
    inputs = _named(given.inputs, list(entries), "x", "inputs")
    expected = _named(given.targets, outputs, "y", "outputs")
    fields = {name: _input_field(inputs[name]) for name in (entries or inputs)}
    form = "single"
    if len(expected) > 1:
        form = "dict" if isinstance(given.targets, dict) else "list"
    answers = {name: _output_field(expected[name]) for name in (outputs or expected)}
    task.wire(fields, answers, plain=True, form=form)


def wire_inputs(
    task: Supervised, given: Any, entries: dict[str, Entry], outputs: list[str]
) -> None:
    """The same for a network that only predicts, as it was made."""
    inputs = _named(given, list(entries), "x", "inputs")
    fields = {name: _input_field(inputs[name]) for name in (entries or inputs)}
    form = "list" if len(outputs) > 1 else "single"
    task.wire(fields, {name: Array() for name in outputs or ["y"]}, plain=True, form=form)


def _named(values: Any, names: Sequence[str], usual: str, what: str) -> dict[str, Any]:
    """Columns by the names of the network, or by those that the user gives."""
    if names:
        return named_columns(values, names, what)
    if isinstance(values, dict):
        return {str(name): column for name, column in values.items()}
    if is_frame(values):
        return named_columns(values, [usual], what)
    return {usual: values}


def _input_field(values: Any) -> Field:
    """Texts are read as texts, all else as numbers of one shape."""
    column = as_column(values) if isinstance(values, (list, tuple)) else values
    return Text() if _is_text(column) else Array()


def _output_field(values: Any) -> Field:
    """Classes by name are labels, all else numbers."""
    column = as_column(values) if isinstance(values, (list, tuple)) else values
    return Label() if _is_text(column) else Array()


def _is_text(column: Any) -> bool:
    column = as_column(column)
    return isinstance(column, pa.Array) and (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    )


def _of_columns(task: Supervised, data: Dataset, inputs: list[str], outputs: list[str]) -> None:
    """Columns of a data set: by the names of the network, else the last one is expected."""
    names = list(data.columns)
    if set(inputs) <= set(names) and set(outputs) <= set(names) and inputs and outputs:
        chosen, expected = inputs, outputs
    elif len(inputs) <= 1 and len(outputs) <= 1:
        chosen, expected = names[:-1], names[-1:]
        if inputs and inputs[0] in names:
            chosen = inputs
        if outputs and outputs[0] in names:
            expected = outputs
            chosen = [name for name in chosen if name not in outputs] or [
                name for name in names if name not in outputs
            ]
    else:
        wanted = [*inputs, *outputs]
        missing = [name for name in wanted if name not in names]
        raise DataError(
            f"Expected the columns {', '.join(wanted)}, as inputs and outputs are named; received "
            f"{', '.join(names)}: {', '.join(missing)} missing.{mistaken(missing[0], names)} Name "
            f"the layers so (Input(..., name={names[0]!r})), or type: "
            f"data.rename({{'its name': {missing[0]!r}}})."
        )
    task.wire(
        {name: data.fields[name] for name in chosen},
        {name: data.fields[name] for name in expected}, plain=False,
    )  # fmt: skip
