"""Data frames of pandas and polars, and arrow tables."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.arrow import columns_of_table, refuse_repeats
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import DataError

variants = {"frames": "Frames"}

_ROOMS = ("pandas", "polars", "pyarrow", "duckdb", "ibis", "modin")


class Frames(Source):
    """A data frame or arrow table, by the arrow interface that they all have."""

    title = "data frames of pandas and polars, arrow tables"

    @classmethod
    def recognises(cls, source: Any) -> float:
        room = type(source).__module__.split(".")[0]
        # asked of the type: a lazy frame would work its columns out
        if room in _ROOMS and (hasattr(type(source), "columns") or hasattr(source, "collect")):
            return 0.95
        return 0.7 if hasattr(source, "__arrow_c_stream__") else 0.0

    def read(self, source: Any, *, target: str | None = None) -> Dataset:
        if hasattr(source, "collect") and not hasattr(source, "__arrow_c_stream__"):
            source = source.collect()  # a lazy frame of polars
        if isinstance(source, pa.RecordBatch):
            source = pa.Table.from_batches([source])
        if not isinstance(source, pa.Table):
            names = [str(name) for name in source.columns]
            refuse_repeats(names, "the data frame")
            source = _arrow(source)
        return Dataset(columns_of_table(source, "the data frame"))


def _arrow(frame: Any) -> pa.Table:
    try:
        if type(frame).__module__.split(".")[0] == "pandas":
            frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
            return pa.Table.from_pandas(frame, preserve_index=False)
        return pa.table(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"Expected columns of one type each in the data frame; {error}. Convert the column "
            "first, for example with frame['name'].astype(str)."
        ) from error
