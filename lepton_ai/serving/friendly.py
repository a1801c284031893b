"""The friendly way in: ``/predict`` and ``/explain`` for people with curl.

A body may be JSON (one example, or ``{"examples": [...]}``), a form with files, a CSV table, or
the bare file or text where a model reads a single one.
"""

from __future__ import annotations

import base64
import csv
import io
import math
import time
from typing import Any

import numpy as np

from lepton_ai.data.column import item
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError
from lepton_ai.registry import mistaken, near_miss
from lepton_ai.serving.exchange import Answer, Call, Refused, Upload, json_answer
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.language import chosen_language
from lepton_ai.serving.limits import read_json
from lepton_ai.serving.tensors import from_values, is_media, is_text

Row = dict[str, Any]


class Friendly:
    """The ``/predict`` and ``/explain`` routes over some models.

    Args:
        shelf: The models.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def predict(self, call: Call) -> Answer:
        """``POST /models/{name}/predict``."""
        model = self.shelf.find(call.names)
        rows, options = read_rows(call, model)
        columns = self._columns(rows, model)
        start = time.perf_counter()
        predictions = model.predict(columns, options)
        took = (time.perf_counter() - start) * 1000
        return json_answer({
            **_about(call, model), "milliseconds": round(took, 3),
            "predictions": rows_of(predictions, model.task.outputs),
        })  # fmt: skip

    def explain(self, call: Call) -> Answer:
        """``POST /models/{name}/explain``: one example, with its parts weighed and as HTML."""
        model = self.shelf.find(call.names)
        rows, options = read_rows(call, model)
        if len(rows) != 1:
            raise DataError(f"Expected one example to explain; received {len(rows)}.")
        columns = self._columns(rows, model)
        method = options.pop("method", "auto")
        if options or not isinstance(method, str):
            raise DataError('Expected only the option "method", a name, with /explain.')
        start = time.perf_counter()
        example = {name: item(column, 0) for name, column in columns.items()}
        found = model.explain(example, method)
        told = found.to_json()
        parts = [
            {"input": one["input"], "name": one["part"], "place": one["place"],
             "weight": one["weight"]}
            for one in told.pop("attributions")
        ]  # fmt: skip
        named = {name: [value] for name, value in found.prediction.items()}
        took = (time.perf_counter() - start) * 1000
        language = chosen_language(call.query.get("lang"), call.headers.get("accept-language", ""))
        return json_answer(plain({
            **_about(call, model), "milliseconds": round(took, 3), **told,
            "prediction": rows_of(named, model.task.outputs)[0], "parts": parts,
            "html": found.to_html(language=language),
        }))  # fmt: skip

    def _columns(self, rows: list[Row], model: Hosted) -> dict[str, Any]:
        fields = model.task.inputs
        self.shelf.limits.check_examples(len(rows))
        for index, row in enumerate(rows):
            missing = [name for name in fields if name not in row]
            if missing:
                where = f" in example {index}" if len(rows) > 1 else ""
                raise DataError(
                    f"Expected {_told(fields)}; {', '.join(missing)} missing{where}. Received "
                    f"{', '.join(row)[:200] or 'nothing'}.{mistaken(missing[0], row)}"
                )
        return {
            name: from_values(name, field, [row[name] for row in rows])
            for name, field in fields.items()
        }


def _about(call: Call, model: Hosted) -> dict[str, Any]:
    return {"id": call.id, "model": model.name, "version": model.version}


def _told(fields: dict[str, Field]) -> str:
    return ", ".join(f"{name} ({type(field).__name__})" for name, field in fields.items())


# -- reading a body ------------------------------------------------------------------------------


def read_rows(call: Call, model: Hosted) -> tuple[list[Row], dict[str, Any]]:
    """The examples of a body, as rows of JSON values, and the options of the prediction.

    Raises:
        DataError: The body is not of a form that is read.
        Refused: Its media type is none that is read (415).
    """
    fields, kind = model.task.inputs, call.content_type
    only = next(iter(fields)) if len(fields) == 1 else None
    if call.form is not None:
        return _form_rows(call.form, fields)
    if kind == "text/csv":
        return _csv_rows(call.body, fields), {}
    if only and is_media(fields[only]) and kind.split("/")[0] in ("image", "audio", "video"):
        return [{only: base64.b64encode(call.body).decode()}], {}
    if only and is_text(fields[only]) and kind == "text/plain":
        return [{only: _text(call.body, only)}], {}
    if kind in ("", "application/json") or kind.endswith("+json"):
        return _json_rows(read_json(call.body), fields)
    example = next(iter(fields))
    raise Refused(
        415, "DataError",
        f"Expected application/json, multipart/form-data or text/csv; received {kind[:80]!r}. "
        f"With curl: -H 'content-type: application/json', or -F {example}=@file.",
    )  # fmt: skip


def _json_rows(document: Any, fields: dict[str, Field]) -> tuple[list[Row], dict[str, Any]]:
    options: dict[str, Any] = {}
    rows = document
    if isinstance(document, dict):
        if "options" in document and "options" not in fields:
            options = document["options"]
            document = {k: v for k, v in document.items() if k != "options"}
        if not isinstance(options, dict):
            raise DataError('Expected "options" to be an object.')
        bare = "examples" in document and "examples" not in fields
        rows = document["examples"] if bare else [document]
    if not isinstance(rows, list):
        raise DataError(
            'Expected one example as an object, or {"examples": [...]}; received '
            f"{type(rows).__name__}."
        )
    only = next(iter(fields)) if len(fields) == 1 else None
    out = []
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            if only is None:
                raise DataError(
                    f"Expected example {index} to be an object with {_told(fields)}; received "
                    f"{type(row).__name__}."
                )
            row = {only: row}
        out.append(row)
    return out, dict(options)


def _form_rows(form: list[Upload], fields: dict[str, Field]) -> tuple[list[Row], dict[str, Any]]:
    """A field given several times makes several examples."""
    values: dict[str, list[Any]] = {}
    options: dict[str, Any] = {}
    for part in form:
        if part.name in fields:
            values.setdefault(part.name, []).append(_form_value(part, fields[part.name]))
        elif part.name == "method":
            options["method"] = _text(part.content, part.name)
        else:
            raise DataError(
                f"Expected the form fields {', '.join(fields)}; received {part.name[:60]!r}."
                f"{near_miss(part.name[:60], fields)}"
            )
    counts = {name: len(found) for name, found in values.items()}
    if len(set(counts.values())) > 1:
        raise DataError(
            "Expected every form field the same number of times; received "
            + ", ".join(f"{name}: {count}" for name, count in counts.items())
            + "."
        )
    count = next(iter(counts.values()), 1)
    return [{name: found[i] for name, found in values.items()} for i in range(count)], options


def _form_value(part: Upload, field: Field) -> Any:
    if is_media(field):
        if part.filename is not None:
            return base64.b64encode(part.content).decode()
        return _text(part.content, part.name)
    return _cell(_text(part.content, part.name), field)


def _csv_rows(raw: bytes, fields: dict[str, Field]) -> list[Row]:
    """A table with a head line; columns that the model does not read are left out."""
    text = _text(raw, "the table")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = next(reader, None)
        if not head:
            raise DataError("Expected a table with a head line; received nothing.")
        rows = []
        for line in reader:
            if not line:
                continue
            if len(line) != len(head):
                raise DataError(
                    f"Expected {len(head)} values in line {reader.line_num}; received {len(line)}."
                )
            cells = dict(zip(head, line, strict=True))
            rows.append({n: _cell(cells[n], f) for n, f in fields.items() if n in cells})
    except csv.Error as error:
        raise DataError(f"Expected a table with commas; {error}.") from error
    if not rows or set(rows[0]) != set(fields):
        missing = next((name for name in fields if name not in head), None)
        if missing:
            raise DataError(
                f"Expected the columns {', '.join(fields)}; {missing!r} is missing."
                f"{mistaken(missing, head)}"
            )
    return rows


def _cell(text: str, field: Field) -> Any:
    """The JSON value that a text in a form or a table stands for."""
    if text.strip() == "" and ("enum" in field.schema() or not is_text(field)):
        return None
    if is_text(field) or is_media(field):
        return text
    try:
        return read_json(text)
    except DataError:
        return text  # the field itself words what it expects


def _text(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"Expected UTF-8 text in {name!r}; {error}.") from error


# -- writing an answer ---------------------------------------------------------------------------


def rows_of(columns: dict[str, Any], fields: dict[str, Field]) -> list[Row]:
    """Predictions as rows of JSON; scores carry the names of their classes."""
    count = len(next(iter(columns.values())))
    rows: list[Row] = [{} for _ in range(count)]
    for name, column in columns.items():
        field = fields.get(name)
        classes = getattr(fields.get(name.split(".")[0]), "classes", None)
        for index, row in enumerate(rows):
            value = item(column, index)
            row[name] = plain(field.to_json(value) if field else value)
            if field is None and classes:
                row[name] = _named(row[name], classes)
    return rows


def _named(value: Any, classes: list[str]) -> Any:
    """Lists of one number for each class as objects by class."""
    if not isinstance(value, list) or len(value) == 0:
        return value
    if isinstance(value[0], list):
        return [_named(inner, classes) for inner in value]
    if len(value) == len(classes) and all(isinstance(v, (int, float)) for v in value):
        return dict(zip(classes, value, strict=True))
    return value


def plain(value: Any) -> Any:
    """A value as JSON can hold it: arrays as lists, numbers that are none as null."""
    if isinstance(value, np.ndarray):
        whole = value.dtype.kind in "iub" or (value.dtype.kind == "f" and np.isfinite(value).all())
        return value.tolist() if whole else plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
