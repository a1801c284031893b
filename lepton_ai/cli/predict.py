"""``lepton predict``: what a model says of files, texts, rows or tables."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lepton_ai.cli.opening import open_model
from lepton_ai.cli.options import JsonOption, WorkspaceOption
from lepton_ai.cli.output import answering, table
from lepton_ai.errors import DataError, SourceError

if TYPE_CHECKING:
    from lepton_ai.data.field import Field
    from lepton_ai.tasks.task import Task

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".json", ".feather", ".arrow", ".xlsx")


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder of a model, or a service's address.")
    ],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE_OR_VALUE...",
            help="Pictures, texts, JSON objects, or one table (CSV, JSONL, Parquet).",
        ),
    ],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Predict files or values.

    Examples: lepton predict model/ cat.png | lepton predict model/ "good book" |
    lepton predict model/ '{"age": 31}' | lepton predict model/ rows.csv
    """
    with answering(json) as out:
        predictor = open_model(model, workspace=workspace)
        names, examples = read_examples(predictor.task, values)
        rows = predicted_rows(predictor, examples)
        document = {
            "model": model,
            "predictions": [{"of": n, **row} for n, row in zip(names, rows, strict=True)],
        }
        out.answer(document, _as_table(names, rows, list(predictor.task.outputs)))


def read_examples(task: Task, values: list[str]) -> tuple[list[str], Any]:
    """What the arguments stand for: a name for each example, and the examples.

    Raises:
        SourceError: A file is missing.
        DataError: A value cannot be what the task's field expects.
    """
    from lepton_ai.data import Dataset

    first = Path(values[0])
    if len(values) == 1 and first.suffix.lower() in TABLES and first.is_file():
        data = Dataset.read(values[0])
        return [f"row {index}" for index in range(len(data))], data
    if len(task.inputs) == 1:
        name, field = next(iter(task.inputs.items()))
        rows = [{name: _single(value, name, field)} for value in values]
    else:
        rows = [_object(value, task) for value in values]
    return [value if len(value) <= 60 else value[:57] + "..." for value in values], rows


def _single(value: str, name: str, field: Field) -> Any:
    """One value of the only input, from a file, from JSON, or as it was typed."""
    if value.lstrip().startswith("{"):
        document = _parsed(value)
        if isinstance(document, dict) and name in document:
            return field.from_json(document[name])
    try:
        is_file = Path(value).is_file()
    except OSError:  # a text longer than a file name may be
        is_file = False
    if field.widget == "image":
        if not is_file:
            raise SourceError(f"Expected the path of a picture; there is no file {value!r}.")
        from lepton_ai.data.fields.image import decode

        raw = Path(value).read_bytes()
        decode(raw, name=value)  # so that the message names the file
        return raw
    text = Path(value).read_text(encoding="utf8") if is_file else value
    document = _parsed(text)
    if isinstance(document, (list, int, float)) and "string" not in str(field.schema().get("type")):
        return field.from_json(document)
    if field.schema().get("type") == "array":
        return field.from_json(text.split())
    return field.from_json(text)


def _parsed(text: str) -> Any:
    try:
        return json_module.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: str, task: Task) -> dict[str, Any]:
    document = _parsed(value)
    wanted = _some([f'"{name}": ...' for name in task.inputs])
    if not isinstance(document, dict):
        raise DataError(f"Expected a JSON object {{{wanted}}} or a table; received {value[:60]!r}.")
    missing = [name for name in task.inputs if name not in document]
    if missing:
        raise DataError(f"Expected {{{wanted}}}; {_some(missing)} missing.")
    return {name: field.from_json(document[name]) for name, field in task.inputs.items()}


def _some(names: list[str], most: int = 5) -> str:
    more = f", ... ({len(names) - most} more)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def predicted_rows(predictor: Any, examples: Any) -> list[dict[str, Any]]:
    """Predictions as rows of JSON, scores named by their class."""
    from lepton_ai.models.golden import rows_as_json

    outputs = predictor.task.outputs
    rows = rows_as_json(predictor.predict(examples), outputs)
    for row in rows:
        for name, field in outputs.items():
            scores, classes = row.get(f"{name}.scores"), getattr(field, "classes", None)
            if classes and isinstance(scores, list) and len(scores) == len(classes):
                row[f"{name}.scores"] = dict(zip(classes, scores, strict=True))
    return rows


def _as_table(names: list[str], rows: list[dict[str, Any]], outputs: list[str]) -> str:
    scored = any(isinstance(row.get(f"{outputs[0]}.scores"), dict) for row in rows)
    lines = []
    for name, row in zip(names, rows, strict=True):
        cells = [name, *(_short(row[output]) for output in outputs)]
        if scored:
            cells.append(f"{max(row[f'{outputs[0]}.scores'].values()):.3f}")
        lines.append(cells)
    return table(["of", *outputs, *(["score"] if scored else [])], lines)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."
