"""Missing values: in inputs they are warned of, in the target they block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from lepton_ai.data.column import missing
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.number import Number
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all, shown

variants = {"missing_values": "MissingValues", "missing_targets": "MissingTargets"}


class MissingValues(Check):
    """Inputs that are missing; a column without any value is of no use."""

    severity: ClassVar[str] = "notes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        total = len(subject.data)
        for name in subject.inputs:
            rows = np.flatnonzero(missing(subject.data[name]))
            if not len(rows):
                continue
            empty = len(rows) == total
            yield self.finding(
                subject,
                f"{name!r} holds no value at all."
                if empty
                else f"{name!r} is missing in {of_all(len(rows), total)} examples.",
                column=name,
                rows=rows,
                severity="warns" if len(rows) > subject.policy.missing_share * total else None,
                fix="drop_columns" if empty and len(subject.inputs) > 1 else None,
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        age = rng.normal(size=60)
        rows = rng.choice(60, 5, replace=False)
        age[rows] = np.nan
        data = Dataset({"age": age, "size": rng.normal(size=60), "label": ["no", "yes"] * 30},
                       {"age": Number()})  # fmt: skip
        return Planted(data, sorted(rows.tolist()))


class MissingTargets(Check):
    """Examples that do not say what is to be learned from them."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.target is None:
            return
        rows = np.flatnonzero(missing(subject.data[subject.target]))
        if len(rows):
            yield self.finding(
                subject,
                f"The target {subject.target!r} is missing in "
                f"{of_all(len(rows), len(subject.data))} examples ({shown(rows)}).",
                column=subject.target,
                rows=rows,
                fix=None if len(rows) == len(subject.data) else "usual",
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        labels: list[str | None] = ["no", "yes"] * 20
        labels[7] = labels[22] = None
        return Planted(Dataset({"x": rng.normal(size=(40, 3)), "label": labels}), [7, 22])
