"""Table files: CSV and its kin, JSON, JSON lines, Parquet, Arrow and Feather; also packed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.arrow import columns_of_table
from lepton_ai.data.sources.delimited import read_delimited
from lepton_ai.data.sources.source import Source
from lepton_ai.data.sources.unpacking import read_whole
from lepton_ai.errors import ConfigError, DataError, EmptyDataError, SourceError
from lepton_ai.registry import near_miss

variants = {"table": "Table"}

_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".json": "json",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".ipc": "arrow", ".feather": "arrow",
}  # fmt: skip
_PACKED = (".gz", ".bz2", ".xz", ".zst")
LARGEST = 16 << 30


class Table(Source):
    """A file of rows and columns; the first row of a CSV file holds the names, where it has them.

    Options: ``format`` (where the ending does not tell), ``delimiter``, ``encoding``, ``header``
    (``True``, ``False``), ``columns`` (which to read).
    """

    title = "CSV, TSV, JSON, JSON lines, Parquet, Arrow and Feather files"
    endings: ClassVar = tuple(
        [*_FORMATS, *(f"{ending}{packed}" for ending in _FORMATS for packed in _PACKED)]
    )

    def read(
        self, source: Path, *, target: str | None = None, format: str | None = None,
        delimiter: str | None = None, encoding: str | None = None, header: bool | None = None,
        columns: list[str] | None = None,
    ) -> Dataset:  # fmt: skip
        kind = format or _format(source)
        if kind not in set(_FORMATS.values()):
            known = sorted(set(_FORMATS.values()))
            raise ConfigError(
                f"Expected the format {', '.join(known)}; received {kind!r}."
                f"{near_miss(kind, known)}"
            )
        if kind != "csv" and (delimiter, header) != (None, None):
            raise ConfigError(f"delimiter and header are for CSV files; {source.name} is {kind}.")
        if kind in ("parquet", "arrow"):
            table = _binary(source, kind)
        else:
            raw = read_whole(source, limit=LARGEST)
            if not raw.strip():
                raise EmptyDataError(f"Expected rows in {source}; the file is empty.")
            if kind == "csv":
                tabs = "\t" if source.name.lower().split(".")[-1] in ("tsv", "tab") else None
                table = read_delimited(
                    raw, source.name, delimiter=delimiter or tabs, encoding=encoding, header=header
                )
            else:
                table = _json_table(raw, source.name, lines=kind == "jsonl", encoding=encoding)
        if columns is not None:
            missing = [name for name in columns if name not in table.column_names]
            if missing:
                raise DataError(
                    f"Expected columns of {source.name}, some of {', '.join(table.column_names)}; "
                    f"received {missing[0]!r}.{near_miss(missing[0], table.column_names)}"
                )
            table = table.select(columns)
        return Dataset(columns_of_table(table, source.name))


def _format(path: Path) -> str:
    name = path.name.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return _FORMATS.get(Path(name).suffix, "")


def _binary(path: Path, kind: str) -> pa.Table:
    """A Parquet or Arrow file; its offsets are checked, as it may come from anywhere."""
    source: Any = str(path)
    if path.suffix.lower() in _PACKED:
        source = pa.BufferReader(read_whole(path, limit=LARGEST))
    elif not path.stat().st_size:
        raise EmptyDataError(f"Expected rows in {path}; the file is empty.")
    try:
        if kind == "parquet":
            from pyarrow import parquet

            return parquet.read_table(source)
        with pa.memory_map(source) if isinstance(source, str) else source as file:
            try:
                table = pa.ipc.open_file(file).read_all()
            except pa.ArrowInvalid:
                from pyarrow import feather

                file.seek(0)
                try:
                    table = pa.ipc.open_stream(file).read_all()
                except pa.ArrowInvalid:
                    table = feather.read_table(source)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, EOFError) as error:
        raise SourceError(f"Expected a whole {kind} file; {path} is broken: {error}.") from error


def _json_table(raw: bytes, name: str, *, lines: bool, encoding: str | None) -> pa.Table:
    try:
        text = raw.decode(encoding or "utf-8-sig")
    except (UnicodeDecodeError, LookupError) as error:
        raise SourceError(f"Expected text in {encoding or 'UTF-8'} in {name}: {error}.") from error
    if lines:
        rows = [
            _parse(line, f"line {number} of {name}")
            for number, line in enumerate(text.split("\n"), 1)
            if line.strip()
        ]
    else:
        rows = _parse(text, name)
        if isinstance(rows, dict):
            lists = [value for value in rows.values() if isinstance(value, list)]
            if len(lists) == 1 and len(rows) > 1:
                rows = lists[0]
            elif rows and len(lists) == len(rows):
                return _checked(rows, name)
            else:
                rows = [rows]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        strange = next((i for i, row in enumerate(rows) if not isinstance(row, dict)), 0)
        raise SourceError(
            f'Expected objects such as {{"text": "...", "label": "..."}} in {name}; item '
            f"{strange} is something else."
        )
    if not rows:
        raise EmptyDataError(f"Expected rows in {name}; it has none.")
    names = list(dict.fromkeys(key for row in rows for key in row))
    return _checked({key: [row.get(key) for row in rows] for key in names}, name)


def _checked(columns: dict[str, list[Any]], name: str) -> pa.Table:
    sizes = {key: len(values) for key, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise DataError(
            f"Expected columns of one length in {name}; received "
            + ", ".join(f"{key}: {size}" for key, size in sizes.items())
        )
    arrays = {}
    for key, values in columns.items():
        try:
            arrays[key] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            kinds = sorted({type(value).__name__ for value in values if value is not None})
            raise DataError(
                f"Expected values of one type in the column {key!r} of {name}; received "
                f"{', '.join(kinds)}."
            ) from error
    return pa.table(arrays)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_json, object_pairs_hook=_once)
    except RecursionError as error:
        raise SourceError(
            f"Expected JSON of few levels in {where}; it is nested too deep."
        ) from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise SourceError(f"Expected JSON in {where}: {error}.") from error


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; write null where a value is not known")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} occurs twice in one object")
    return found
