"""Examples that repeat: harmless in themselves, but they lie when they stand on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from lepton_ai.data.column import missing
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.splitting import row_digests
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all, shown

variants = {"duplicates": "Duplicates", "conflicting_labels": "ConflictingLabels"}


def _conflicting(subject: Subject) -> np.ndarray:
    """Which examples have the inputs of another that has another target, ``[N]`` bool."""
    if "conflicting" not in subject.kept:
        group, sizes = subject.groups
        conflicts = np.zeros(len(group), dtype=bool)
        if subject.target is not None and (sizes > 1).any():
            known = ~missing(subject.data[subject.target])
            rows = np.flatnonzero((sizes > 1) & known)
            _, number = np.unique(
                row_digests(subject.data, [subject.target])[rows], return_inverse=True
            )
            lowest = np.full(group.max() + 1, np.iinfo(np.int64).max)
            highest = np.full(group.max() + 1, -1)
            np.minimum.at(lowest, group[rows], number)
            np.maximum.at(highest, group[rows], number)
            conflicts[rows] = (lowest < highest)[group[rows]]
        subject.kept["conflicting"] = conflicts
    return subject.kept["conflicting"]


class Duplicates(Check):
    """Examples equal to an earlier one in every column (pictures pixel by pixel)."""

    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        group, sizes = subject.groups
        repeated = (sizes > 1) & ~_conflicting(subject)
        if not repeated.any():
            return
        _, first = np.unique(group, return_index=True)
        repeats = repeated.copy()
        repeats[first] = False
        rows = np.flatnonzero(repeats)
        if not len(rows):
            return
        total = len(subject.data)
        many = subject.rich and len(rows) > subject.policy.duplicate_share * total
        example = int(first[group[rows[0]]])
        yield self.finding(
            subject,
            f"{of_all(len(rows), total)} examples repeat an earlier one (row {rows[0]} is row "
            f"{example} again).",
            rows=rows,
            severity="blocks" if many else ("warns" if subject.rich else "notes"),
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = rng.integers(0, 255, (40, 12, 12), dtype=np.uint8)
        pictures[[30, 35]] = pictures[[2, 5]]
        return Planted(Dataset({"image": pictures, "label": _alike({2: 30, 5: 35})}), [30, 35])


class ConflictingLabels(Check):
    """Examples with equal inputs and different targets: at least one of them is wrong."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.target is None:
            return
        rows = np.flatnonzero(_conflicting(subject))
        if not len(rows):
            return
        group = subject.groups[0]
        twins = rows[group[rows] == group[rows[0]]]
        said = [str(subject.data[int(row)][subject.target]) for row in twins[:2]]
        if len(set(said)) == 1:  # the first two agree, so show one that does not
            others = [str(subject.data[int(row)][subject.target]) for row in twins]
            said[1] = next(value for value in others if value != said[0])
        yield self.finding(
            subject,
            f"{of_all(len(rows), len(subject.data))} examples have the same inputs as another but "
            f"a different {subject.target!r} ({shown(twins, 3)}: {said[0]!r} and {said[1]!r}).",
            column=subject.target,
            rows=rows,
            # equal rows of a table may well differ in what follows from them
            severity=None if subject.rich else "notes",
            fix="usual" if subject.rich else None,
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = rng.integers(0, 255, (40, 12, 12), dtype=np.uint8)
        pictures[31] = pictures[2]
        return Planted(Dataset({"image": pictures, "label": ["no", "yes"] * 20}), [2, 31])


def _alike(pairs: dict[int, int]) -> list[str]:
    labels = ["no", "yes"] * 20
    for one, other in pairs.items():
        labels[other] = labels[one]
    return labels
