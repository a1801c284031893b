"""Numbers that are none: infinite values, and NaN where nothing may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from torch import Tensor

from lepton_ai.data.column import Column
from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all, shown

variants = {"non_finite_values": "NonFiniteValues"}


class NonFiniteValues(Check):
    """Infinite numbers anywhere, and NaN in arrays and pictures."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        total = len(subject.data)
        single = {name for name, *_ in subject.columns("number")}
        for name, column in subject.data.columns.items():
            rows = _bad_rows(column, single=name in single)
            if not len(rows):
                continue
            whole = len(rows) == total
            input_number = name in single and name != subject.target
            yield self.finding(
                subject,
                f"{name!r} holds {'infinite' if name in single else 'NaN or infinite'} values in "
                f"{of_all(len(rows), total)} examples ({shown(rows)}).",
                column=name,
                rows=rows,
                fix="clear_values" if input_number else (None if whole else "drop_rows"),
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        numbers = rng.normal(size=(40, 3))
        numbers[5, 1], numbers[9, 0] = np.nan, np.inf
        return Planted(Dataset({"x": numbers, "label": ["no", "yes"] * 20}), [5, 9])


def _bad_rows(column: Column, *, single: bool) -> np.ndarray:
    """Rows with infinite values; of more than a single number also those with NaN."""
    if isinstance(column, Tensor):
        column = column.numpy()
    if not isinstance(column, np.ndarray):
        if not single:
            return np.zeros(0, dtype=np.int64)
        from lepton_ai.data.fields.number import Number

        column = Number().read(column)
    if column.dtype.kind != "f":
        return np.zeros(0, dtype=np.int64)
    if single:
        return np.flatnonzero(np.isinf(column).reshape(len(column), -1).any(axis=1))
    return np.flatnonzero(~np.isfinite(column).reshape(len(column), -1).all(axis=1))
