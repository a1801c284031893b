"""Arrow tables as columns of a data set: what files and frames have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_ai.data.column import Column, Ragged
from lepton_ai.errors import DataError, EmptyDataError


def columns_of_table(table: pa.Table, name: str) -> dict[str, Column]:
    """The columns of a table, in the kinds that fields know.

    Raises:
        EmptyDataError: It has no rows or no columns.
        DataError: Two columns have one name, or a column is of a type that no field knows.
    """
    refuse_repeats(table.column_names, name)
    if not table.num_columns or not table.num_rows:
        raise EmptyDataError(
            f"Expected at least one row in {name}; it has {table.num_rows} rows and "
            f"{table.num_columns} columns."
        )
    return {
        key: _column(key, values)
        for key, values in zip(table.column_names, table.columns, strict=True)
    }


def refuse_repeats(names: Sequence[str], where: str) -> None:
    """Refuse two columns of one name.

    Raises:
        DataError: A name occurs twice.
    """
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise DataError(
            f"Expected columns of different names in {where}; {', '.join(map(repr, repeated))} "
            "occurs more than once. Rename one of them."
        )


def _column(name: str, values: pa.ChunkedArray) -> Column:
    if values.num_chunks == 1:
        column = values.chunk(0)
    else:
        column = pa.concat_arrays(values.chunks) if values.num_chunks else values.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")  # pictures as other tools keep them in Parquet
        kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64() if pa.types.is_decimal(kind) else pa.string())
    if _is_list(kind):
        return _lists(name, column)
    if pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind):
        raise DataError(
            f"Expected plain values or lists in the column {name!r}; received {kind}. Flatten it "
            "into columns first."
        )
    return column


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _lists(name: str, column: pa.Array) -> Column:
    """Lists of one length and of numbers become an array, others :class:`Ragged`."""
    inner = column.type.value_type
    depth = 1
    while _is_list(inner):
        inner, depth = inner.value_type, depth + 1
    numeric = pa.types.is_integer(inner) or pa.types.is_floating(inner)
    if not numeric and not (pa.types.is_string(inner) or pa.types.is_large_string(inner)):
        raise DataError(
            f"Expected lists of texts or numbers in the column {name!r}; they hold {inner}."
        )
    if depth > 1 or (numeric and pa.types.is_fixed_size_list(column.type)):
        rows = column.to_pylist()
        try:
            return np.asarray(rows, dtype=inner.to_pandas_dtype() if numeric else None)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"Expected nested lists of one shape in the column {name!r}: {error}."
            ) from error
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    flat = pc.list_flatten(column)
    if numeric:
        if flat.null_count:
            raise DataError(f"Expected numbers in the lists of {name!r}; some are missing.")
        return Ragged(flat.to_numpy(zero_copy_only=False), lengths.astype(np.int64))
    return Ragged(flat.cast(pa.string()), lengths.astype(np.int64))
