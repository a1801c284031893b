"""Columns of every kind as arrow columns that can be kept, and back, bit by bit."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image as Pillow
from torch import Tensor

from lepton_ai.data.column import Column, Files, Items, Ragged
from lepton_ai.errors import DataError, IntegrityError

Kind = dict[str, Any]
"""What is needed to get a column back; plain JSON values."""

_ITEM = pa.struct([
    ("kind", pa.string()), ("data", pa.large_binary()), ("dtype", pa.string()),
    ("shape", pa.list_(pa.int64())),
])  # fmt: skip


def keepable(column: Column) -> Column:
    """A column without what lies elsewhere: files become their bytes."""
    if isinstance(column, Files):
        try:
            return pa.array([column[index] for index in range(len(column))], pa.binary())
        except OSError as error:
            raise DataError(f"Expected files that can be read to store them: {error}.") from error
    if isinstance(column, pa.DictionaryArray):
        return column.dictionary_decode()
    return column


def to_arrow(column: Column) -> tuple[pa.Array, Kind]:
    """An arrow column with what is needed to get the column back.

    Raises:
        DataError: Values of a kind that cannot be kept.
    """
    if isinstance(column, Tensor):
        values, kind = to_arrow(column.detach().cpu().contiguous().numpy())
        return values, {**kind, "kind": "tensor"}
    if isinstance(column, np.ndarray):
        return _array_to_arrow(column)
    if isinstance(column, Ragged):
        inner, kind = to_arrow(column.values)
        offsets = pa.array(column.offsets, pa.int64())
        return pa.LargeListArray.from_arrays(offsets, inner), {"kind": "ragged", "values": kind}
    if isinstance(column, Items):
        return pa.array([_item_to_row(value) for value in column.values], _ITEM), {"kind": "items"}
    if isinstance(column, pa.Array):
        return column, {"kind": "arrow"}
    raise DataError(f"Expected a column that can be stored; received {type(column).__name__}.")


def from_arrow(values: pa.ChunkedArray, kind: Kind) -> Column:
    """The way back from :func:`to_arrow`.

    Raises:
        IntegrityError: The kind is not one that this version of Lepton writes.
    """
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    whole = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    name = kind.get("kind")
    if name in ("array", "tensor"):
        array = _array_from_arrow(whole, kind)
        return torch.from_numpy(array) if name == "tensor" else array
    if name == "ragged":
        lengths = np.diff(whole.offsets.to_numpy()).astype(np.int64)
        return Ragged(from_arrow(whole.flatten(), kind["values"]), lengths)
    if name == "items":
        return Items([_row_to_item(row) for row in whole.to_pylist()])
    if name == "arrow":
        return whole
    raise IntegrityError(f"Expected a kind of column that is known; received {name!r}.")


def _array_to_arrow(array: np.ndarray) -> tuple[pa.Array, Kind]:
    if array.dtype.kind not in "biuf":
        raise DataError(f"Expected an array of numbers to store; received {array.dtype}.")
    kind = {"kind": "array", "dtype": array.dtype.str, "shape": list(array.shape[1:])}
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="), copy=False)
    if plain.dtype.kind == "b":
        plain = plain.view(np.uint8)
    if array.ndim == 1:
        return pa.array(plain), kind
    width = int(np.prod(array.shape[1:], dtype=np.int64))
    if not width:  # nothing to keep but how many there are
        return pa.array(np.zeros(len(array), dtype=np.uint8)), kind
    return pa.FixedSizeListArray.from_arrays(pa.array(plain.reshape(-1)), width), kind


def _array_from_arrow(values: pa.Array, kind: Kind) -> np.ndarray:
    dtype, shape = np.dtype(kind["dtype"]), tuple(kind["shape"])
    if 0 in shape:
        return np.zeros((len(values), *shape), dtype)
    flat = values.flatten() if pa.types.is_fixed_size_list(values.type) else values
    plain = flat.to_numpy(zero_copy_only=False)
    plain = plain.view(bool) if dtype.kind == "b" else plain.astype(dtype, copy=False)
    array = plain.reshape(len(values), *shape)
    return array if array.flags.writeable else array.copy()


def _item_to_row(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        raw = np.ascontiguousarray(value).tobytes()
        return {"kind": "array", "data": raw, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, (bytes, bytearray)):
        return {"kind": "bytes", "data": bytes(value)}
    if isinstance(value, Pillow.Image):
        buffer = io.BytesIO()
        value.save(buffer, format="PNG")
        return {"kind": "bytes", "data": buffer.getvalue()}
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Expected arrays, bytes or plain values to store; received {type(value).__name__}."
        ) from error
    return {"kind": "json", "data": text.encode()}


def _row_to_item(row: dict[str, Any] | None) -> Any:
    if row is None:
        return None
    if row["kind"] == "array":
        return np.frombuffer(row["data"], np.dtype(row["dtype"])).reshape(row["shape"]).copy()
    return row["data"] if row["kind"] == "bytes" else json.loads(row["data"])
