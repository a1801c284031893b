"""Decoding: encoded pictures to tensors, in memory, or on the disk where memory is too small.

What does not fit is decoded once, piece by piece, into a file that is mapped into memory: training
goes on reading it as any other tensor, and the operating system keeps in memory what fits. The file
has no name from the moment it is made, so nothing is left of it when the process ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lepton_ai.data.column import Files, Items, take
from lepton_ai.data.field import Field, Spec
from lepton_ai.errors import LimitError
from lepton_ai.workspace import as_workspace

PIECE = 256
"""Examples decoded at once."""
_MARK = "on_disk_"


def memory_limit() -> int:
    """Bytes that one decoded column may take in memory: a quarter of what is there.

    ``LEPTON_MEMORY_LIMIT`` (bytes) says otherwise.
    """
    told = os.environ.get("LEPTON_MEMORY_LIMIT", "")
    if told.isdigit():
        return int(told)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def decoded(field: Field, column: Any, spec: Spec) -> Any:
    """A column as the field encodes it; on the disk where it would not fit into memory.

    Raises:
        LimitError: It fits neither into memory nor on the disk.
    """
    lazy = isinstance(column, (Files, Items)) or (
        isinstance(column, pa.Array) and pa.types.is_binary(column.type)
    )
    if not lazy or len(column) <= PIECE:
        return field.to_tensor(column, spec)
    first = field.to_tensor(take(column, [0]), spec)
    if not isinstance(first, Tensor):
        return field.to_tensor(column, spec)
    size = first.numel() * first.element_size() * len(column)
    if size <= memory_limit():
        return field.to_tensor(column, spec)
    return _on_disk(field, column, spec, first, size)


def _on_disk(field: Field, column: Any, spec: Spec, first: Tensor, size: int) -> Tensor:
    folder = as_workspace(None).folder("cache")
    free = shutil.disk_usage(folder).free
    if size > 0.9 * free:
        raise LimitError(
            f"Expected {size:,} bytes for {len(column):,} decoded examples; memory allows "
            f"{memory_limit():,} and {folder} has {free:,} free. Choose a smaller size "
            "(Image(size=[128, 128])), or set LEPTON_HOME to a folder on a larger disk."
        )
    out = mapped((len(column), *first.shape[1:]), first.dtype, folder)
    for start in range(0, len(column), PIECE):
        stop = min(start + PIECE, len(column))
        piece = field.to_tensor(take(column, np.arange(start, stop)), spec)
        out[start:stop] = cast("Tensor", piece)
    return out


def mapped(shape: tuple[int, ...], dtype: torch.dtype, folder: Path) -> Tensor:
    """A tensor of zeros whose memory is a nameless file in a folder."""
    kind = torch.empty((), dtype=dtype).numpy().dtype
    with tempfile.TemporaryFile(dir=folder) as file:
        tensor = torch.from_numpy(np.memmap(file, dtype=kind, mode="w+", shape=shape))
    setattr(tensor, _MARK, True)
    return tensor


def kept_on_disk(column: Any) -> bool:
    """Whether :func:`decoded` put a column on the disk."""
    return bool(getattr(column, _MARK, False))
