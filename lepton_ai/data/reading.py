"""Reading: which source a path or an object is, and the data set that it holds."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import ConfigError, DataError, SourceError, UnsafeFormatError

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".rdata", ".rds")


def read(source: Any, *, target: str | None = None, **options: Any) -> Dataset:
    """Read a source by the kind that recognises it.

    Args:
        source: A path, or an object that holds examples.
        target: The column to predict; it is checked, and moved to the end.
        options: Of that kind of source; each says in its docstring which it takes.

    Raises:
        SourceError: It is missing, unreadable, or of no kind that is known.
        DataError: There is no column of the name ``target``.
        ConfigError: An option that the kind of source does not take.
    """
    where = _located(source)
    kind = recognised(where)
    _check_options(kind, options)
    data = kind().read(where, target=target, **options)
    name = where.name if isinstance(where, Path) else "data"
    lineage: dict[str, Any] = {"source": type(where).__name__}
    if isinstance(where, Path):
        lineage["source"] = str(where)
    data = data.derive(name=name, lineage={**lineage, **data.lineage})
    return data.require() if target is None else _with_target(data, target)


def recognised(source: Any) -> type[Source]:
    """The kind of source that is surest of being able to read this.

    Raises:
        SourceError: None is.
    """
    best, sure = None, 0.0
    for name in registry.names("sources"):
        kind = registry.lookup("sources", name)
        score = kind.recognises(source)
        if score > sure:
            best, sure = kind, score
    if best is not None:
        return best
    kinds = "; ".join(registry.lookup("sources", n).title for n in registry.names("sources"))
    if isinstance(source, Path) and source.is_dir():
        inside = sorted(entry.name for entry in source.iterdir())[:8]
        raise SourceError(
            f"Expected a folder with pictures in it (one folder for each class); {source} holds "
            f"{', '.join(inside) or 'nothing'}. To read one file, give its path."
        )
    what = source.name if isinstance(source, Path) else type(source).__name__
    raise SourceError(f"Expected something that can be read: {kinds}. Received {what!r}.")


def _located(source: Any) -> Any:
    """A path that exists, or the object itself."""
    if not isinstance(source, (str, os.PathLike)):
        return source
    if isinstance(source, str) and "://" in source:
        raise SourceError(
            f"Expected a file or folder on this machine; received the address {source}. Download "
            "it first."
        )
    path = Path(source).expanduser()
    if not path.exists():
        siblings = []
        if path.parent.is_dir():
            siblings = [entry.name for entry in path.parent.iterdir()]
        hint = registry.near_miss(path.name, siblings)
        raise SourceError(f"Expected a file or folder; {path} does not exist.{hint}")
    if path.suffix.lower() in _PICKLES:
        raise UnsafeFormatError(
            f"{path.name} is a format that could run code when it is read. Save the data as "
            "Parquet, CSV or .npz and read that."
        )
    return path


def _check_options(kind: type[Source], options: dict[str, Any]) -> None:
    parameters = inspect.signature(kind.read).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    taken = [name for name in parameters if name not in ("self", "source", "target")]
    for option in options:
        if option not in taken:
            raise ConfigError(
                f"Reading {kind.title} takes {', '.join(taken) or 'no options'}; received "
                f"{option!r}.{registry.near_miss(option, taken)}"
            )


def _with_target(data: Dataset, target: str) -> Dataset:
    """The data set with its target last, texts that repeat read as classes."""
    data.require()
    if target not in data.columns:
        raise DataError(
            f"Expected the column to predict, one of {', '.join(data.columns)}; received "
            f"{target!r}.{registry.near_miss(target, data.columns)}"
        )
    data = data.select([*(name for name in data.columns if name != target), target])
    column = data.columns[target]
    if isinstance(column, pa.Array) and pa.types.is_string(column.type):
        from lepton_ai.data.fields.label import Label

        distinct = pc.count_distinct(column).as_py()
        if not isinstance(data.fields[target], Label) and distinct <= max(2, len(column) // 2):
            data = data.with_fields({target: Label()})
    return data.derive(lineage={**data.lineage, "target": target})
