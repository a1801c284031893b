"""Is anything there at all? Empty data sets and members of the source that were skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from lepton_ai.data.dataset import Dataset, Skipped
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject

variants = {"empty_data": "EmptyData", "skipped_members": "SkippedMembers"}


class EmptyData(Check):
    """No example, or no column."""

    severity: ClassVar[str] = "blocks"
    needs_rows: ClassVar[bool] = False

    def find(self, subject: Subject) -> Iterator[Finding]:
        data = subject.data
        if not data.columns:
            yield self.finding(subject, f"The data set {data.name!r} has no column.")
        elif not len(data):
            skipped = f" ({len(data.skipped):,} members were skipped)" if data.skipped else ""
            yield self.finding(subject, f"The data set {data.name!r} has no example{skipped}.")

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        columns = {"x": np.zeros(0), "label": np.zeros(0, dtype=int)}
        return Planted(Dataset(columns, {"x": Number(), "label": Label()}), [])


class SkippedMembers(Check):
    """Members of the source that could not be read."""

    needs_rows: ClassVar[bool] = False

    def find(self, subject: Subject) -> Iterator[Finding]:
        skipped, kept = subject.data.skipped, len(subject.data)
        if not skipped:
            return
        share = len(skipped) / (len(skipped) + kept)
        first = "; ".join(f"{s.member}: {s.reason}" for s in skipped[:3])
        yield self.finding(
            subject,
            f"{len(skipped):,} of {len(skipped) + kept:,} members of the source ({share:.1%}) "
            f"could not be read and were left out: {first}{'; ...' if len(skipped) > 3 else '.'}",
            severity="blocks" if share > subject.policy.skipped_share else None,
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        columns = {"x": rng.normal(size=(20, 3)), "label": ["no", "yes"] * 10}
        data = Dataset(columns, skipped=[Skipped("broken.png", "not a picture file")])
        return Planted(data, [])
