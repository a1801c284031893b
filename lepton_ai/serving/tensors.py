"""Tensors: how the columns of fields travel, by the kind of the column and never by the task.

Numbers of one shape travel as numbers. Everything else travels as ``BYTES``, one element for each
example: texts as they are, files (pictures) as their bytes, the rest as the JSON that its field
writes. ``content_type`` among the tensor's parameters says which, ``column`` what to rebuild.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from lepton_ai.data.column import Column, Files, Items, Ragged, as_column, item
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError
from lepton_ai.serving.limits import read_json
from lepton_ai.serving.wire import Wire, datatype_of


def is_media(field: Field) -> bool:
    """Whether values of the field are files: base64 in JSON, bytes elsewhere."""
    return field.schema().get("contentEncoding") == "base64"


def is_text(field: Field) -> bool:
    """Whether values of the field are texts in JSON."""
    kinds = field.schema().get("type")
    return not is_media(field) and (kinds == "string" or (kinds == ["string", "null"]))


def described(name: str, column: Column, field: Field | None) -> dict[str, Any]:
    """The metadata of a tensor, from a column of examples of it."""
    wire = to_wire(name, column, field)
    open_ended = wire.datatype != "BYTES" and not (field is not None and is_media(field))
    shape = [-1, *wire.shape[1:]] if open_ended else [-1]
    datatype = "BYTES" if field is not None and is_media(field) else wire.datatype
    parameters = {"content_type": "raw"} if datatype != wire.datatype else dict(wire.parameters)
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


# -- to the wire ---------------------------------------------------------------------------------


def to_wire(name: str, column: Column, field: Field | None = None) -> Wire:
    """A column as a tensor; without a field it is a companion such as ``label.scores``.

    Example:
        >>> to_wire("age", np.array([1.0, 2.0])).datatype
        'FP64'
    """
    if isinstance(column, Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, np.ndarray):
        return Wire(name, datatype_of(column.dtype), column, {"column": "array"})
    if isinstance(column, pa.Array):
        return _arrow(name, column, field)
    if isinstance(column, Ragged):
        rows = _rows(column, field)
        return Wire(name, "BYTES", _json_bytes(rows), {"content_type": "json", **_ragged(column)})
    return _loose(name, column, field)


def _arrow(name: str, column: pa.Array, field: Field | None) -> Wire:
    kind = column.type
    told = {"column": "arrow", "dtype": str(kind)}
    whole = column.null_count == 0
    if whole and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        values = column.to_numpy(zero_copy_only=False)
        return Wire(name, datatype_of(values.dtype), values, told)
    if whole and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        values = [text.encode() for text in column.to_pylist()]
        return Wire(name, "BYTES", _objects(values), {"content_type": "str", **told})
    if whole and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        values = column.to_pylist()
        return Wire(name, "BYTES", _objects(values), {"content_type": "raw", **told})
    rows = _rows(column, field)
    return Wire(name, "BYTES", _json_bytes(rows), {"content_type": "json", **told})


def _loose(name: str, column: Any, field: Field | None) -> Wire:
    """Files and objects of differing shape."""
    values = [column[index] for index in range(len(column))]
    if field is not None and is_media(field):
        plain = all(
            isinstance(v, bytes) or (isinstance(v, np.ndarray) and v.dtype == np.uint8)
            for v in values
        )
        if plain:
            raw = [v if isinstance(v, bytes) else _file(v, field) for v in values]
            told = {"content_type": "raw", "column": "items"}
            return Wire(name, "BYTES", _objects(raw), told)
    told = {"content_type": "json", "column": "items"}
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if arrays:
        told["dtype"] = str(arrays[0].dtype)
    rows = [v.tolist() if isinstance(v, np.ndarray) else field.to_json(v) if field else v
            for v in values]  # fmt: skip
    return Wire(name, "BYTES", _json_bytes(rows), told)


def _file(value: np.ndarray, field: Field) -> bytes:
    return base64.b64decode(field.to_json(value))


def _rows(column: Column, field: Field | None) -> list[Any]:
    values = [item(column, index) for index in range(len(column))]
    if field is not None:
        return [field.to_json(value) for value in values]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


def _ragged(column: Ragged) -> dict[str, Any]:
    values = column.values
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    dtype = str(values.type if isinstance(values, pa.Array) else values.dtype)
    inner = [] if isinstance(values, pa.Array) else list(values.shape[1:])
    return {"column": "ragged", "dtype": dtype, "inner": ",".join(map(str, inner))}


def _objects(values: list[bytes]) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _json_bytes(rows: list[Any]) -> np.ndarray:
    return _objects([json.dumps(row, ensure_ascii=False).encode() for row in rows])


# -- from the wire, into the service -------------------------------------------------------------


def to_input(wire: Wire, field: Field) -> Column:
    """An input column from a tensor.

    Raises:
        DataError: The values cannot be this field.
    """
    if wire.datatype != "BYTES":
        return _guarded(field, field.read(wire.values))
    elements = _elements(wire)
    content = wire.parameters.get("content_type")
    if content is None:
        content = "media" if is_media(field) else "str" if is_text(field) else "json"
    if content == "raw" or (content in ("media", "base64") and is_media(field)):
        files = elements if content == "raw" else [_unbase64(value) for value in elements]
        return _guarded(field, field.read(pa.array(files, pa.binary())))
    if content == "str":
        return from_values(wire.name, field, [_text(wire.name, value) for value in elements])
    if content == "json":
        return from_values(wire.name, field, [read_json(value) for value in elements])
    raise DataError(
        f"Expected the content_type of {wire.name!r} to be one of raw, base64, str, json; received "
        f"{str(content)[:40]!r}."
    )


def from_values(name: str, field: Field, values: list[Any]) -> Column:
    """A column from JSON values, each read by its field.

    Raises:
        DataError: A value cannot be this field; the message says which.
    """
    read = []
    for index, value in enumerate(values):
        try:
            read.append(field.from_json(value))
        except DataError as error:
            where = f"{name!r} of example {index}" if len(values) > 1 else repr(name)
            raise type(error)(f"In {where}: {error}") from error
    return _guarded(field, field.read(as_column(read)))


def _guarded(field: Field, column: Column) -> Column:
    """The column, unless a text in it would be taken for the path of a file of the service."""
    if isinstance(column, Files):
        raise DataError(
            f"Expected {type(field).__name__} values in the request itself; received paths."
        )
    field.check(column)
    return column


def _elements(wire: Wire) -> list[bytes]:
    values = wire.values
    if values.size != len(values):
        raise DataError(
            f"Expected one element for each example in {wire.name!r}, [N] or [N, 1]; received the "
            f"shape {wire.shape}."
        )
    return values.ravel().tolist()


def _unbase64(raw: bytes) -> bytes:
    """A file from its base64 text; bytes that are no such text are the file itself."""
    text = raw.split(b",", 1)[-1] if raw[:5] == b"data:" else raw
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return raw


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"Expected UTF-8 texts in {name!r}; {error}.") from error


# -- from the wire, into the client --------------------------------------------------------------


def to_output(wire: Wire, field: Field | None = None) -> Column:
    """The column that :func:`to_wire` sent, of the same kind."""
    told = wire.parameters
    kind, dtype = told.get("column", "array"), told.get("dtype", "")
    if wire.datatype != "BYTES":
        return pa.array(wire.values) if kind == "arrow" else wire.values.copy()
    elements = wire.values.ravel().tolist()
    if told.get("content_type") == "raw":
        if field is None or kind == "arrow":
            return pa.array(elements, pa.binary())
        return Items([field.from_json(base64.b64encode(value).decode()) for value in elements])
    if told.get("content_type") == "str":
        return pa.array([value.decode() for value in elements], pa.type_for_alias(dtype))
    rows = [json.loads(value) for value in elements]
    if kind == "ragged":
        return _to_ragged(rows, dtype, told.get("inner", ""))
    if field is not None:
        values = [field.from_json(row) for row in rows]
        return field.read(as_column(values)) if kind == "arrow" else Items(values)
    if kind == "items":
        return Items([np.asarray(row, dtype) if dtype else row for row in rows])
    return pa.array(rows)


def _to_ragged(rows: list[Any], dtype: str, inner: str) -> Ragged:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    flat = [value for row in rows for value in row]
    if dtype in ("string", "large_string"):
        return Ragged(pa.array(flat, pa.type_for_alias(dtype)), lengths)
    shape = [int(size) for size in inner.split(",") if size]
    return Ragged(np.asarray(flat, np.dtype(dtype)).reshape(len(flat), *shape), lengths)
