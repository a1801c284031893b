"""Numbers far outside what the rest of their column is like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all

variants = {"outliers": "Outliers"}


class Outliers(Check):
    """Numbers many robust deviations from the median (Iglewicz and Hoaglin 1993).

    The deviation is 1.4826 times the median distance from the median; where more than half of the
    values are equal, the mean distance takes its place.
    """

    severity: ClassVar[str] = "notes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for name, field, column in subject.columns("number"):
            values = np.asarray(field.read(column), dtype=np.float64)
            known = values[np.isfinite(values)]
            if len(known) < 20:
                continue
            middle = float(np.median(known))
            distance = np.abs(known - middle)
            deviation = 1.4826 * float(np.median(distance)) or 1.2533 * float(distance.mean())
            if not deviation:
                continue
            with np.errstate(invalid="ignore"):
                far = np.abs(values - middle) / deviation
            rows = np.flatnonzero(np.isfinite(values) & (far > subject.policy.outlier_deviations))
            if not len(rows):
                continue
            worst = int(rows[far[rows].argmax()])
            yield self.finding(
                subject,
                f"{name!r} is far outside in {of_all(len(rows), len(values))} examples: "
                f"{values[worst]:g} in row {worst}, {far[worst]:.0f} deviations from the median "
                f"{middle:g}.",
                column=name,
                rows=rows,
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        height = rng.normal(170, 8, size=60)
        height[13] = 17000.0
        columns = {"height": height, "age": rng.normal(40, 9, size=60),
                   "label": ["no", "yes"] * 30}  # fmt: skip
        return Planted(Dataset(columns), [13])
