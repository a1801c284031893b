"""Wire: tensors of the Open Inference Protocol v2, as JSON and with the binary extension.

Both sides use it: the service reads requests and writes answers, the client the reverse. Lengths
and shapes are never believed, only compared.

Source: the "Open Inference Protocol" and KServe's "binary tensor data extension".
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lepton_ai.errors import DataError
from lepton_ai.registry import near_miss
from lepton_ai.serving.limits import read_json

HEADER = "inference-header-content-length"
DATATYPES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""Datatypes and their numpy forms; beside them ``BYTES`` and, to read only, ``BF16``."""
_NAMES = {np.dtype(code): name for name, code in DATATYPES.items()}
_LARGEST_RANK = 8


@dataclass
class Wire:
    """One tensor on its way.

    Attributes:
        name: Its name.
        datatype: ``"FP32"``, ``"BYTES"`` ...
        values: Numbers of the tensor's shape, or an object array of ``bytes``.
        parameters: What else travels with it.
    """

    name: str
    datatype: str
    values: np.ndarray
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> list[int]:
        """The tensor's shape."""
        return list(self.values.shape)


def datatype_of(dtype: np.dtype) -> str:
    """The protocol's name of a numpy type.

    Raises:
        DataError: The protocol has no such type.

    Example:
        >>> datatype_of(np.dtype("float32"))
        'FP32'
    """
    name = _NAMES.get(np.dtype(dtype).newbyteorder("<"))
    if name is None:
        raise DataError(f"Expected numbers of a type that can be sent; received {dtype}.")
    return name


# -- messages ----------------------------------------------------------------------------------


def split(raw: bytes, header: str | None) -> tuple[dict[str, Any], bytes]:
    """The JSON document and the binary tail of a message.

    Raises:
        DataError: The header lies about the length, or the document is no JSON object.
    """
    end = len(raw)
    if header is not None:
        if not (header.isascii() and header.isdigit() and len(header) < 16 and int(header) <= end):
            raise DataError(
                f"Expected the length of the JSON part in {HEADER}, at most {end}; received "
                f"{header[:40]!r}."
            )
        end = int(header)
    document = read_json(raw[:end])
    if not isinstance(document, dict):
        raise DataError(f"Expected a JSON object; received {type(document).__name__}.")
    return document, raw[end:]


def join(document: dict[str, Any], blobs: list[bytes]) -> tuple[bytes, dict[str, str]]:
    """A message with its headers, from a document and the bytes of its binary tensors."""
    head = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    if not blobs:
        return head, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return b"".join([head, *blobs]), headers


def parameters_of(document: dict[str, Any]) -> dict[str, Any]:
    """The ``parameters`` of a document or a tensor; an empty object when there are none."""
    found = document.get("parameters") or {}
    if not isinstance(found, dict):
        raise DataError('Expected "parameters" to be an object.')
    return found


def read_tensors(entries: Any, tail: bytes, what: str) -> list[Wire]:
    """The tensors of a message, JSON or binary; the binary tail must be used up.

    Args:
        entries: The list under ``"inputs"`` or ``"outputs"``.
        tail: Bytes after the JSON.
        what: ``"inputs"`` or ``"outputs"``, for messages.

    Raises:
        DataError: A name, shape, type or length is not what it claims to be.
    """
    if not isinstance(entries, list) or not entries:
        raise DataError(f'Expected a list of tensors under "{what}".')
    found: list[Wire] = []
    rest = memoryview(tail)
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise DataError(f'Expected tensors with a "name" under "{what}".')
        name, parameters = entry["name"], parameters_of(entry)
        if any(wire.name == name for wire in found):
            raise DataError(f"Expected every tensor once; {name[:60]!r} comes twice.")
        shape = _shape(name, entry.get("shape"))
        datatype = _datatype(name, entry.get("datatype"))
        if "binary_data_size" in parameters:
            size = parameters["binary_data_size"]
            if type(size) is not int or not 0 <= size <= len(rest):
                raise DataError(
                    f"Expected the tensor {name!r} to have at most the {len(rest)} bytes that "
                    f"follow; its binary_data_size is {size!r}."
                )
            values = _from_bytes(name, datatype, shape, bytearray(rest[:size]))
            rest = rest[size:]
        else:
            values = _from_json(name, datatype, shape, entry.get("data"))
        kept = {k: v for k, v in parameters.items() if k != "binary_data_size"}
        found.append(Wire(name, datatype, values, kept))
    if len(rest):
        raise DataError(f"Expected the tensors to use all bytes; {len(rest)} are left over.")
    return found


def write_tensor(wire: Wire, *, binary: bool) -> tuple[dict[str, Any], bytes | None]:
    """A tensor as its JSON entry, and its bytes when it travels in binary."""
    entry: dict[str, Any] = {"name": wire.name, "datatype": wire.datatype, "shape": wire.shape}
    parameters = dict(wire.parameters)
    blob = None
    if binary:
        blob = _to_bytes(wire)
        parameters["binary_data_size"] = len(blob)
    else:
        entry["data"], text = _to_json(wire)
        if text:
            parameters["content_type"] = text
    if parameters:
        entry["parameters"] = parameters
    return entry, blob


# -- one tensor ----------------------------------------------------------------------------------


def _shape(name: str, shape: Any) -> list[int]:
    fits = isinstance(shape, list) and 1 <= len(shape) <= _LARGEST_RANK
    if not fits or any(type(size) is not int or size < 0 for size in shape):
        raise DataError(
            f"Expected the tensor {name[:60]!r} to have a shape of 1 to {_LARGEST_RANK} sizes, the "
            f"examples first; received {str(shape)[:80]}."
        )
    return shape


def _datatype(name: str, datatype: Any) -> str:
    known = [*DATATYPES, "BF16", "BYTES"]
    if datatype not in known:
        raise DataError(
            f"Expected the tensor {name[:60]!r} to have a datatype out of {', '.join(known)}; "
            f"received {str(datatype)[:40]!r}.{near_miss(str(datatype), known)}"
        )
    return datatype


def _from_bytes(name: str, datatype: str, shape: list[int], raw: bytearray) -> np.ndarray:
    count = math.prod(shape)
    if datatype == "BYTES":
        out = np.empty(_checked(name, count, len(raw) // 4, shape), dtype=object)
        place = 0
        for index in range(count):
            start = place + 4
            place = start + (struct.unpack_from("<I", raw, place)[0] if start <= len(raw) else 0)
            if start > len(raw) or place > len(raw):
                raise DataError(f"Expected {count} elements in {name!r}; its bytes end too early.")
            out[index] = bytes(raw[start:place])
        if place != len(raw):
            raise DataError(
                f"Expected {count} elements in {name!r}; {len(raw) - place} bytes are left over."
            )
        return out.reshape(shape)
    width = 2 if datatype == "BF16" else np.dtype(DATATYPES[datatype]).itemsize
    if len(raw) != count * width:
        raise DataError(
            f"Expected {count * width} bytes for the tensor {name!r} of the shape {shape} and type "
            f"{datatype}; received {len(raw)}."
        )
    if datatype == "BF16":
        halves = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return halves.view("<f4").reshape(shape)
    return np.frombuffer(raw, DATATYPES[datatype]).reshape(shape)


def _checked(name: str, count: int, most: int, shape: list[int]) -> int:
    """The count, once it is known that so many can be there."""
    if count > most:
        raise DataError(
            f"Expected {count} elements in the tensor {name!r} of the shape {shape}; received "
            f"at most {most}."
        )
    return count


def _from_json(name: str, datatype: str, shape: list[int], data: Any) -> np.ndarray:
    if not isinstance(data, list):
        raise DataError(
            f'Expected the tensor {name!r} to have its values as a list under "data", or in '
            "binary with binary_data_size."
        )
    count = math.prod(shape)
    if datatype == "BYTES":
        texts = list(_flat(data, name))
        if len(texts) != count:
            raise DataError(
                f"Expected {count} elements in the tensor {name!r} of the shape {shape}; received "
                f"{len(texts)}."
            )
        out = np.empty(count, dtype=object)
        for index, text in enumerate(texts):
            out[index] = _text_bytes(name, text)
        return out.reshape(shape)
    try:
        array = np.asarray(data)
        if datatype == "UINT64" and array.dtype.kind == "f":  # numpy mixes large and small so
            flat = list(_flat(data, name))
            if all(type(value) is int for value in flat):
                array = np.array(flat, dtype=np.uint64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"Expected the tensor {name!r} to hold plain numbers; {error}.") from error
    if array.size != count:
        raise DataError(
            f"Expected {count} numbers in the tensor {name!r} of the shape {shape}; received "
            f"{array.size}."
        )
    return _cast(name, datatype, array).reshape(shape)


def _cast(name: str, datatype: str, array: np.ndarray) -> np.ndarray:
    wanted = np.dtype(DATATYPES.get(datatype, "<f4"))
    kinds = {"b": "biu", "u": "iu", "i": "iu", "f": "iuf"}[wanted.kind]
    if array.size and array.dtype.kind not in kinds:
        raise DataError(
            f"Expected {datatype} values in the tensor {name!r}; received {array.dtype.name} "
            "(null, text or other numbers among them)."
        )
    if not array.size:
        return array.astype(wanted)
    low, high = array.min(), array.max()
    if wanted.kind in "ui":
        limits = np.iinfo(wanted.type)
        if int(low) < limits.min or int(high) > limits.max:
            raise DataError(
                f"Expected values from {limits.min} to {limits.max} in the {datatype} tensor "
                f"{name!r}; received {int(low)} to {int(high)}."
            )
    if wanted.kind == "b" and (int(low) < 0 or int(high) > 1):
        raise DataError(f"Expected true and false in the tensor {name!r}.")
    with np.errstate(over="ignore"):
        cast = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(cast).all():
        raise DataError(f"Expected finite {datatype} values in the tensor {name!r}.")
    return cast


def _flat(data: list[Any], name: str) -> Iterator[Any]:
    """The elements of nested lists, in order, without recursion."""
    stack = [iter(data)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, list):
                if len(stack) == _LARGEST_RANK:
                    raise DataError(f"Expected the tensor {name!r} to be nested less deeply.")
                stack.append(iter(value))
                break
            yield value
        else:
            stack.pop()


def _text_bytes(name: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise DataError(
            f"Expected texts in the BYTES tensor {name!r}; received {type(text).__name__}."
        )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"Expected whole characters in the tensor {name!r}; {error}.") from error


def _to_bytes(wire: Wire) -> bytes:
    if wire.datatype == "BYTES":
        pieces = []
        for value in wire.values.ravel():
            pieces += (struct.pack("<I", len(value)), value)
        return b"".join(pieces)
    return np.ascontiguousarray(wire.values, DATATYPES[wire.datatype]).tobytes()


def _to_json(wire: Wire) -> tuple[list[Any], str | None]:
    """The values as a flat list; and ``"base64"`` when they had to become that."""
    flat = wire.values.ravel()
    if wire.datatype != "BYTES":
        values = flat.tolist()
        if flat.dtype.kind == "f" and not np.isfinite(flat).all():
            values = [value if math.isfinite(value) else None for value in values]
        return values, None
    try:
        if wire.parameters.get("content_type") != "raw":
            return [value.decode() for value in flat], None
    except UnicodeDecodeError:
        pass  # bytes of files: as base64 below
    return [base64.b64encode(value).decode() for value in flat], "base64"
