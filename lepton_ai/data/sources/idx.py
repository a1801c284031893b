"""IDX files: the format of MNIST and its kin, ``*-ubyte`` with or without ``.gz``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.source import Source
from lepton_ai.data.sources.unpacking import read_whole
from lepton_ai.errors import SourceError

variants = {"idx": "IDX"}

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class IDX(Source):
    """A file of pictures with its file of labels beside it, or a folder with both.

    Options: ``split`` (``"train"`` or ``"test"``) when a folder holds both.
    """

    title = "IDX files (MNIST and its kin)"
    endings: ClassVar = ("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")

    @classmethod
    def recognises(cls, source: Any) -> float:
        if isinstance(source, Path) and source.is_dir():
            return 0.95 if any(source.glob("*-idx3-ubyte*")) else 0.0
        return super().recognises(source)

    def read(self, source: Path, *, target: str | None = None, split: str = "train") -> Dataset:
        """Columns ``image`` and ``label``; ``label`` is missing where no labels lie beside it."""
        if source.is_dir():
            source = _images(source, split)
        values = read_idx(source)
        if values.ndim == 1:
            return Dataset({target or "label": values.astype(np.int64)})
        columns: dict[str, Any] = {"image" if values.ndim >= 3 else "values": values}
        beside = source.with_name(source.name.replace("-images-idx3", "-labels-idx1"))
        if beside != source and beside.exists():
            labels = read_idx(beside)
            if len(labels) != len(values):
                raise SourceError(
                    f"Expected as many labels as pictures; {beside.name} has {len(labels):,} and "
                    f"{source.name} {len(values):,}."
                )
            columns[target or "label"] = labels.astype(np.int64)
        return Dataset(columns)


def _images(folder: Path, split: str) -> Path:
    found = sorted(folder.glob("*-images-idx3-ubyte*"))
    words = ("t10k", "test") if split == "test" else (split,)
    for path in found:
        if path.name.startswith(words):
            return path
    raise SourceError(
        f"Expected pictures of the split {split!r} in {folder}; found "
        f"{', '.join(path.name for path in found)}. Type: split='train' or split='test'."
    )


def read_idx(path: Path) -> np.ndarray:
    """The array of an IDX file.

    Raises:
        SourceError: It is not an IDX file, or is truncated.
    """
    raw = read_whole(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES or not 1 <= raw[3] <= 8:
        raise SourceError(f"Expected an IDX file (two zero bytes first); {path} is none.")
    rank = raw[3]
    begin = 4 + 4 * rank
    if len(raw) < begin:
        raise SourceError(f"Expected a whole IDX file; {path} ends inside its head.")
    shape = [int(size) for size in np.frombuffer(raw, ">u4", count=rank, offset=4)]
    kind = np.dtype(_TYPES[raw[2]])
    wanted = begin + math.prod(shape) * kind.itemsize
    if len(raw) != wanted:
        raise SourceError(
            f"Expected {wanted:,} bytes in {path} for the shape {shape}; it has {len(raw):,}: it "
            "is truncated or damaged. Get it again."
        )
    array = np.frombuffer(raw, kind, offset=begin).reshape(shape)
    return array.astype(kind.newbyteorder("="))
