"""Delimited text (CSV, TSV): what separates the cells, the encoding, whether names come first."""

from __future__ import annotations

import codecs
import csv
import io

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from lepton_ai.data.sources.arrow import refuse_repeats
from lepton_ai.errors import DataError, EmptyDataError, SourceError

DELIMITERS = (",", "\t", ";", "|")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SAMPLE = 1 << 18


def read_delimited(
    raw: bytes, name: str, *, delimiter: str | None = None, encoding: str | None = None,
    header: bool | None = None,
) -> pa.Table:  # fmt: skip
    """A table from the bytes of a CSV file.

    Args:
        raw: The whole file, unpacked.
        name: What to call it in messages.
        delimiter: What separates cells; ``None`` finds it out.
        encoding: ``None`` tries UTF-8, then GB 18030 (which GBK and GB 2312 are part of).
        header: Whether the first row holds the names; ``None`` finds it out.

    Raises:
        SourceError: It is not text.
        EmptyDataError: It has no rows.
        DataError: Rows of differing length, or two columns of one name.
    """
    text = decoded(raw, name, encoding)
    sample = _sample_rows(text, ",") if delimiter is None else []
    delimiter = delimiter or _delimiter(text, sample)
    if len(delimiter) != 1:
        raise SourceError(f"Expected one character as delimiter; received {delimiter!r}.")
    rows = _sample_rows(text, delimiter)
    if not rows:
        raise EmptyDataError(f"Expected rows in {name}; it has none.")
    has_names = _has_names(rows) if header is None else header
    names = [cell.strip() for cell in rows[0]] if has_names else []
    if has_names:
        refuse_repeats(names, name)
        if len(rows) == 1:
            raise EmptyDataError(
                f"Expected rows below the names in {name}; it has none. If the first row is data, "
                "type: header=False"
            )
        if not all(names):
            names = [cell or f"column_{place + 1}" for place, cell in enumerate(names)]
            refuse_repeats(names, name)
    else:
        names = [f"column_{place + 1}" for place in range(len(rows[0]))]
    return _parsed(text, name, delimiter, names, skip=1 if has_names else 0)


def decoded(raw: bytes, name: str, encoding: str | None = None) -> str:
    """The text of a file.

    Raises:
        SourceError: It is in no encoding that is known.
    """
    marked = next((found for mark, found in _MARKS if raw.startswith(mark)), None)
    tried = [encoding] if encoding else [marked] if marked else ["utf-8", "gb18030"]
    if b"\0" in raw[:4096] and not (encoding or marked):
        raise SourceError(f"Expected text in {name}; it holds bytes that text does not have.")
    for each in tried:
        try:
            return raw.decode(each)
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise SourceError(f"Expected the name of an encoding; received {each!r}.") from error
    raise SourceError(
        f"Expected text in {' or '.join(tried)} in {name}; it is in another encoding. Name it: "
        "encoding='latin-1'"
    )


def _sample_rows(text: str, delimiter: str) -> list[list[str]]:
    """The first rows, at most 50; a last one that the sample cuts off is left out."""
    cut = len(text) > _SAMPLE
    try:
        reader = csv.reader(io.StringIO(text[:_SAMPLE]), delimiter=delimiter, strict=False)
        rows = [row for _, row in zip(range(51), reader, strict=False) if row]
    except csv.Error as error:
        raise SourceError(f"Expected rows of cells; {error}.") from error
    return rows[:-1][:50] if cut and 1 < len(rows) < 51 else rows[:50]


def _delimiter(text: str, with_commas: list[list[str]]) -> str:
    """The one that cuts the first rows into most cells, alike in every row."""
    best, most = ",", 1.0
    for candidate in DELIMITERS:
        rows = with_commas if candidate == "," else _sample_rows(text, candidate)
        widths = [len(row) for row in rows]
        if not widths or min(widths) < 2:
            continue
        alike = widths.count(widths[0]) / len(widths)
        if alike > 0.8 and widths[0] * alike > most:
            best, most = candidate, widths[0] * alike
    return best


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _has_names(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it holds no number and nothing that comes again."""
    first, below = rows[0], rows[1:]
    if any(_number(cell) for cell in first):
        return False
    if not below:
        return True
    if any(_number(row[i]) for row in below[:20] for i in range(min(len(row), len(first)))):
        return True
    short = [row[i] for row in below for i in range(min(len(row), len(first)))]
    return not any(cell in short for cell in first if cell)


def _parsed(text: str, name: str, delimiter: str, names: list[str], *, skip: int) -> pa.Table:
    bad: list[tuple[int | None, int, int, str]] = []

    def refuse(row: arrow_csv.InvalidRow) -> str:
        bad.append((row.number, row.expected_columns, row.actual_columns, row.text))
        return "error"

    try:
        table = arrow_csv.read_csv(
            io.BytesIO(text.encode("utf-8", errors="replace")),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows_after_names=0, skip_rows=0, use_threads=False
            )
            if not skip
            else arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=arrow_csv.ConvertOptions(strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if bad:
            number, expected, actual, cells = bad[0]
            where = f"row {number}" if number else "a row"
            raise DataError(
                f"Expected {expected} cells in every row of {name}; {where} has {actual}: "
                f"{cells[:80]!r}. Put cells that hold {delimiter!r} between double quotes."
            ) from error
        raise SourceError(f"Expected a table in {name}: {error}.") from error
    if skip:
        table = table.rename_columns(names)
    if not table.num_rows:
        raise EmptyDataError(f"Expected rows in {name}; it has none.")
    return pa.table({key: _emptied(table[key]) for key in table.column_names})


def _emptied(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without a character are missing values."""
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
