"""Excel workbooks: one sheet is a table, its first row holds the names."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.arrow import columns_of_table, refuse_repeats
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import DataError, EmptyDataError, LimitError, SourceError
from lepton_ai.extras import require
from lepton_ai.registry import near_miss

variants = {"excel": "Excel"}

_LARGEST = 2 << 30


class Excel(Source):
    """A workbook; formulas give the values that were last computed.

    Options: ``sheet`` (its name; the first one unless told otherwise).
    """

    title = "Excel workbooks"
    endings: ClassVar = (".xlsx", ".xlsm")

    def read(self, source: Path, *, target: str | None = None, sheet: str | None = None) -> Dataset:
        openpyxl = require("openpyxl", extra="data", why=f"reading {source.name}")
        try:
            with zipfile.ZipFile(source) as packed:  # a workbook is a zip: look before unpacking
                if sum(member.file_size for member in packed.infolist()) > _LARGEST:
                    raise LimitError(f"Expected at most {_LARGEST:,} bytes unpacked in {source}.")
            book = openpyxl.load_workbook(source, read_only=True, data_only=True)
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            if isinstance(error, LimitError):
                raise
            raise SourceError(
                f"Expected an Excel workbook; {source} is broken: {error}."
            ) from error
        try:
            if sheet is not None and sheet not in book.sheetnames:
                raise DataError(
                    f"Expected a sheet of {source.name}, one of {', '.join(book.sheetnames)}; "
                    f"received {sheet!r}.{near_miss(sheet, book.sheetnames)}"
                )
            rows = list(book[sheet or book.sheetnames[0]].iter_rows(values_only=True))
        finally:
            book.close()
        return Dataset(columns_of_table(_table(rows, source.name), source.name))


def _table(rows: list[tuple[Any, ...]], name: str) -> pa.Table:
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if len(rows) < 2:
        raise EmptyDataError(f"Expected names and at least one row in {name}; it has {len(rows)}.")
    width = max(i + 1 for row in rows for i, cell in enumerate(row) if cell is not None)
    names = [
        f"column_{i + 1}" if cell is None else str(cell).strip()
        for i, cell in enumerate((rows[0] + (None,) * width)[:width])
    ]
    refuse_repeats(names, name)
    columns = {}
    for place, key in enumerate(names):
        cells = [row[place] if place < len(row) else None for row in rows[1:]]
        kinds = {type(cell) for cell in cells if cell is not None}
        if kinds <= {int, float}:
            columns[key] = pa.array(cells, pa.float64() if float in kinds else None)
        elif len(kinds) <= 1 and kinds <= {str, bool}:
            columns[key] = pa.array(cells)
        else:  # dates, and cells of several types in one column
            columns[key] = pa.array([None if c is None else str(c) for c in cells], pa.string())
    return pa.table(columns)
