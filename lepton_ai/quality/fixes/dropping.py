"""Leaving out: examples, columns, whole classes."""

from __future__ import annotations

from typing import ClassVar

from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.checks.check import Finding
from lepton_ai.quality.fixes.fix import Change, Fix

variants = {
    "drop_rows": "DropRows",
    "drop_columns": "DropColumns",
    "drop_classes": "DropClasses",
}


class DropRows(Fix):
    """Leave out the examples that were found."""

    def change(self, data: Dataset, finding: Finding) -> Change:
        return Change(rows=finding.rows)


class DropColumns(Fix):
    """Leave out the column that was found."""

    def change(self, data: Dataset, finding: Finding) -> Change:
        return Change(columns=[finding.column] if finding.column else [])


class DropClasses(DropRows):
    """Leave out all examples of the classes that were found: the model will not know them."""

    asks: ClassVar[bool] = True
