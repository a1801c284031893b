"""Arrays in memory: ``(x, y)``, dicts, lists of examples, tensors; ``.npy`` and ``.npz`` files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from lepton_ai.data.column import Column, Files, Items, Ragged, as_column
from lepton_ai.data.dataset import Dataset, columns_of
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import ConfigError, DataError, EmptyDataError, LimitError, SourceError

variants = {"arrays": "Arrays"}

LARGEST = 20 << 30
_COLUMNS = 2000


class Arrays(Source):
    """Numpy arrays, torch tensors, lists of examples, ``(x, y)``, dicts; ``.npy``, ``.npz`` files.

    Pictures become the column ``image``; a table of numbers ``[N, columns]`` a column each
    (``x0``, ``x1`` ...); classes ``label``, other targets ``target``.

    Options: ``names`` (of the columns of a table), ``target`` (what to call the target).
    """

    title = "arrays, tensors and lists in memory, .npy and .npz files"
    endings: ClassVar = (".npy", ".npz")

    @classmethod
    def recognises(cls, source: Any) -> float:
        if isinstance(source, (np.ndarray, torch.Tensor, Ragged, Items, Files, Mapping)):
            return 0.9
        if isinstance(source, (list, tuple)):
            return 0.6
        return super().recognises(source)

    def read(
        self, source: Any, *, target: str | None = None, names: list[str] | None = None
    ) -> Dataset:
        if isinstance(source, Path):
            source = _load(source)
        if isinstance(source, Mapping):
            return Dataset(source)
        if isinstance(source, np.ndarray) and source.dtype.names:
            return Dataset({name: source[name] for name in source.dtype.names})
        if isinstance(source, (list, tuple)) and not len(source):
            raise EmptyDataError("Expected at least one example; received an empty list.")
        if isinstance(source, (list, tuple)) and isinstance(source[0], Mapping):
            return Dataset(columns_of(list(source)))
        if isinstance(source, tuple) and len(source) == 2:
            inputs, targets = _input_columns(source[0], names), _target_column(source[1], target)
            clash = set(inputs) & set(targets)
            if clash:
                raise ConfigError(f"Expected another name for the target than {clash.pop()!r}.")
            return Dataset({**inputs, **targets})
        if isinstance(source, tuple):
            raise DataError(
                f"Expected (x, y); received a tuple of {len(source)}. Type: "
                "Dataset({'name': values, ...})"
            )
        return Dataset(_input_columns(source, names))


def _load(path: Path) -> Any:
    if path.stat().st_size > LARGEST:
        raise LimitError(f"Expected at most {LARGEST:,} bytes; {path} has more.")
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as members:
                total = sum(info.file_size for info in members.infolist())
            if total > min(LARGEST, max(64 << 20, 1000 * path.stat().st_size)):
                raise LimitError(f"Expected fewer bytes in {path}; it unpacks to {total:,}.")
            with np.load(path, allow_pickle=False) as arrays:
                loaded = {name: arrays[name] for name in arrays.files}
            for pair in (("x", "y"), ("x_train", "y_train"), ("images", "labels")):
                if set(pair) <= set(loaded) and len(loaded[pair[0]]) == len(loaded[pair[1]]):
                    return tuple(loaded[name] for name in pair)
            return loaded
        return np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, LimitError):
            raise
        pickled = "pickle" in str(error) or "Python objects" in str(error)
        raise SourceError(
            f"{path} "
            + ("holds Python objects, which could run code and are not read; save plain numbers."
               if pickled else f"is not a whole numpy file: {error}.")
        ) from error  # fmt: skip


def _input_columns(values: Any, names: list[str] | None) -> dict[str, Column]:
    column = as_column(values)
    if isinstance(column, torch.Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, np.ndarray) and column.ndim == 0:
        raise DataError(
            "Expected an array whose first axis counts the examples; received a number."
        )
    if not len(column):
        raise EmptyDataError("Expected at least one example; received an empty array.")
    if isinstance(column, np.ndarray):
        if column.ndim == 2 and column.shape[1] <= _COLUMNS and column.dtype != np.uint8:
            return _table(column, names)
        if column.ndim == 4 or (column.ndim == 3 and column.dtype == np.uint8):
            return {(names or ["image"])[0]: column}
        return {(names or ["x"])[0]: column}
    if isinstance(column, Ragged):
        return {(names or ["words"])[0]: column}
    if isinstance(column, (Files, Items)):
        return {(names or ["image"])[0]: column}
    text = str(getattr(column, "type", "")) in ("string", "large_string")
    return {(names or ["text" if text else "x"])[0]: column}


def _table(array: np.ndarray, names: list[str] | None) -> dict[str, Column]:
    names = list(names) if names is not None else [f"x{i}" for i in range(array.shape[1])]
    if len(names) != array.shape[1] or len(set(names)) != len(names):
        raise ConfigError(
            f"Expected {array.shape[1]} different names, one for each column; received {names!r}."
        )
    return {str(name): array[:, i] for i, name in enumerate(names)}


def _target_column(values: Any, target: str | None) -> dict[str, Column]:
    column = as_column(values)
    if isinstance(column, torch.Tensor):
        column = column.detach().cpu().numpy()
    if isinstance(column, np.ndarray) and column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and column.ndim == 1:
        return {target or "target": column}
    return {target or "label": column}
