"""Packing: nested state as JSON and tensors, and back, bit for bit and without pickle.

The JSON holds everything but tensors; where a tensor stood there is ``{"$tensor": "12"}`` with how
it lay in memory, since the same numbers in another layout may be worked on in another order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import IntegrityError, TrainingError

_TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64",
    torch.bool: "BOOL",
}  # fmt: skip


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Nested dicts, lists, numbers, arrays and tensors as JSON values and a dict of tensors.

    Raises:
        TrainingError: A value of a type that cannot be kept; the message says where it is.
    """
    tensors: dict[str, Tensor] = {}
    return _packed(tree, tensors, "state"), tensors


def _packed(value: Any, tensors: dict[str, Tensor], where: str) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Tensor):
        return _kept(value, tensors, "$tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _kept(torch.from_numpy(np.ascontiguousarray(value)), tensors, "$array")
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, tuple):
        return {"$tuple": [_packed(v, tensors, f"{where}[{i}]") for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [_packed(v, tensors, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _packed(v, tensors, f"{where}.{key}") for key, v in value.items()}
        return {"$pairs": [[_packed(k, tensors, where), _packed(v, tensors, f"{where}[{k!r}]")]
                           for k, v in value.items()]}  # fmt: skip
    raise TrainingError(
        f"Expected numbers, texts, lists, dicts and tensors in the state of a run; {where} is a "
        f"{type(value).__name__}. Give it as one of these from state()."
    )


def _kept(tensor: Tensor, tensors: dict[str, Tensor], kind: str) -> dict[str, Any]:
    if tensor.dtype not in _TYPES or tensor.layout != torch.strided:
        raise TrainingError(f"A tensor of {tensor.dtype}, {tensor.layout} cannot be kept.")
    key = str(len(tensors))
    tensors[key] = tensor.detach()
    entry: dict[str, Any] = {kind: key}
    if not tensor.is_contiguous():
        entry["stride"] = list(tensor.stride())
    return entry


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The way back from :func:`pack`."""
    if isinstance(packed, list):
        return [unpack(value, tensors) for value in packed]
    if not isinstance(packed, dict):
        return packed
    if "$tensor" in packed:
        return _laid_out(tensors[packed["$tensor"]], packed.get("stride"))
    if "$array" in packed:
        return tensors[packed["$array"]].numpy()
    if "$float" in packed:
        return float(packed["$float"])
    if "$bytes" in packed:
        return bytes.fromhex(packed["$bytes"])
    if "$tuple" in packed:
        return tuple(unpack(value, tensors) for value in packed["$tuple"])
    if "$pairs" in packed:
        return {unpack(key, tensors): unpack(value, tensors) for key, value in packed["$pairs"]}
    return {key: unpack(value, tensors) for key, value in packed.items()}


def _laid_out(tensor: Tensor, stride: list[int] | None) -> Tensor:
    if stride is None:
        return tensor
    if 0 in stride:  # an expanded tensor: its values are what counts
        return tensor
    return torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype).copy_(tensor)


def tensor_pieces(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    """The bytes of a safetensors file, piece by piece, without a second copy of the whole."""
    header: dict[str, Any] = {}
    start = 0
    for key, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[key] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape),
                       "data_offsets": [start, start + size]}  # fmt: skip
        start += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        if tensor.numel():
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            yield memoryview(plain.view(torch.uint8).numpy())


def read_tensors(path: Any) -> dict[str, Tensor]:
    """The tensors of a file that :func:`tensor_pieces` made; each has memory of its own.

    Raises:
        IntegrityError: It is no such file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}.") from error
