"""Columns that say nothing: constant ones, and identifiers that differ in every row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_ai.data.column import Column
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.label import Label
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject

variants = {
    "constant_columns": "ConstantColumns",
    "constant_target": "ConstantTarget",
    "identifier_columns": "IdentifierColumns",
}

_NAMES = ("id", "index", "uuid", "guid", "key", "no", "number", "row", "rownum")


def distinct(column: Column) -> int | None:
    """How many different values a column of single values holds; ``None`` for other columns."""
    if isinstance(column, np.ndarray) and column.ndim == 1:
        return len(np.unique(column[~np.isnan(column)] if column.dtype.kind == "f" else column))
    if isinstance(column, pa.Array) and not pa.types.is_nested(column.type):
        return pc.count_distinct(column.drop_null()).as_py()
    return None


class ConstantColumns(Check):
    """An input that has the same value in all examples."""

    fix: ClassVar[str | None] = "drop_columns"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if len(subject.data) < 2:
            return
        for name in subject.inputs:
            if distinct(subject.data[name]) == 1:
                yield self.finding(
                    subject,
                    f"{name!r} has one and the same value wherever it has any, in "
                    f"{len(subject.data):,} examples.",
                    column=name,
                    fix="usual" if len(subject.inputs) > 1 else None,
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        columns = {"size": rng.normal(size=40), "unit": np.full(40, 3.0),
                   "label": ["no", "yes"] * 20}  # fmt: skip
        return Planted(Dataset(columns), [])


class ConstantTarget(Check):
    """A target of a single class or value: there is nothing to be learned."""

    severity: ClassVar[str] = "blocks"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.target is None or distinct(subject.data[subject.target]) != 1:
            return
        yield self.finding(
            subject,
            f"The target {subject.target!r} has one and the same value in all "
            f"{len(subject.data):,} examples; at least two are needed to learn from.",
            column=subject.target,
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        columns = {"x": rng.normal(size=(30, 3)), "label": ["yes"] * 30}
        return Planted(Dataset(columns, {"label": Label()}), [])


class IdentifierColumns(Check):
    """A column of a table that only names the row; a model would learn the rows by heart."""

    severity: ClassVar[str] = "notes"
    fix: ClassVar[str | None] = "drop_columns"

    def find(self, subject: Subject) -> Iterator[Finding]:
        total = len(subject.data)
        if total < 20 or len(subject.inputs) < 2:
            return
        for name in subject.inputs:
            why = identifier(name, subject.data[name])
            if why:
                yield self.finding(subject, f"{name!r} {why}.", column=name)

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        columns = {"patient_id": np.arange(40) + 1000, "size": rng.normal(size=40),
                   "label": ["no", "yes"] * 20}  # fmt: skip
        return Planted(Dataset(columns), [])


def identifier(name: str, column: Column) -> str:
    """Why a column looks like an identifier, or nothing.

    It must differ in every row, and count up, or be whole numbers or short texts of a telling name.
    """
    if distinct(column) != len(column) or len(column) < 20:
        return ""
    words = name.lower().replace("-", "_").split("_")
    telling = bool({words[0], words[-1]} & set(_NAMES)) or name.lower() in ("", "unnamed: 0")
    if isinstance(column, pa.Array) and pa.types.is_string(column.type):
        short = pc.mean(pc.utf8_length(column)).as_py() <= 40
        spaces = pc.any(pc.match_substring(column, " ")).as_py()
        return "differs in every row and is named like an identifier" if (
            telling and short and not spaces
        ) else ""  # fmt: skip
    numbers = np.asarray(column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array)
                         else column)  # fmt: skip
    if numbers.dtype.kind not in "iuf" or not np.all(numbers == np.floor(numbers)):
        return ""
    if np.all(np.diff(numbers) == 1):
        return "counts the rows"
    return "differs in every row and is named like an identifier" if telling else ""
