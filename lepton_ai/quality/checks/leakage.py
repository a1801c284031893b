"""Leaks: test examples that were trained on, and inputs that give the answer away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.data.splitting import row_digests
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all
from lepton_ai.quality.target import kind_of

variants = {"split_leak": "SplitLeak", "target_leak": "TargetLeak"}


class SplitLeak(Check):
    """Examples whose inputs stand in the other data set too."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.against is None or not len(subject.against):
            return
        shared = [name for name in subject.inputs if name in subject.against.columns]
        if not shared:
            return
        same = shared == subject.inputs
        own = subject.input_digests if same else row_digests(subject.data, shared)
        other = row_digests(subject.against, shared)
        rows = np.flatnonzero(np.isin(own, other))
        if not len(rows):
            return
        hit = int(np.isin(other, own).sum())
        twin = int(np.flatnonzero(other == own[rows[0]])[0])
        yield self.finding(
            subject,
            f"{of_all(hit, len(other))} examples of {subject.against.name!r} stand in "
            f"{subject.data.name!r} too ({len(rows):,} rows here; row {rows[0]} is row {twin} "
            "there): figures on it would be too good.",
            rows=rows,
            # few columns of a table agree by chance
            severity=None if subject.rich else "warns",
            fix=None if len(rows) == len(subject.data) else "usual",
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = rng.integers(0, 255, (50, 12, 12), dtype=np.uint8)
        pictures[45] = pictures[3]
        labels = ["no", "yes"] * 25
        train = Dataset({"image": pictures[:40], "label": labels[:40]}, name="train")
        test = Dataset({"image": pictures[40:], "label": labels[40:]}, name="test")
        return Planted(train, [3], against=test)


class TargetLeak(Check):
    """A column of a table that equals the target, or stands for it one to one."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_columns"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.target is None or len(subject.data) < 10:
            return
        field = subject.data.fields[subject.target]
        if kind_of(field) not in ("label", "number"):
            return
        expected = _plain(field, subject.data[subject.target])
        if len(set(expected.tolist())) < 2:
            return
        for name, other, column in subject.columns("label", "number"):
            if name == subject.target:
                continue
            how = _same(_plain(other, column), expected)
            if how:
                yield self.finding(
                    subject,
                    f"{name!r} {how} the target {subject.target!r} in all {len(expected):,} "
                    "examples: it gives the answer away.",
                    column=name,
                    fix="usual" if len(subject.inputs) > 1 else None,
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        labels = rng.choice(["no", "yes"], 60)
        columns = {"size": rng.normal(size=60), "answer": (labels == "yes").astype(float),
                   "label": labels}  # fmt: skip
        return Planted(Dataset(columns), [])


def _plain(field: Field, column: Any) -> np.ndarray:
    """Class numbers (missing -1) or numbers, ``[N]``."""
    values = field.read(column)
    if kind_of(field) == "number":
        return np.asarray(values, dtype=np.float64)
    return np.asarray(values.dictionary_encode().indices.fill_null(-1), dtype=np.float64)


def _same(values: np.ndarray, expected: np.ndarray) -> str:
    """How a column gives another away, or nothing."""
    known = np.isfinite(values) & np.isfinite(expected)
    if known.sum() < max(10, 0.99 * len(values)):
        return ""
    values, expected = values[known], expected[known]
    if np.array_equal(values, expected):
        return "equals"
    ours, theirs = np.unique(values, return_inverse=True), np.unique(expected, return_inverse=True)
    pairs = len(np.unique(ours[1] * len(theirs[0]) + theirs[1]))
    few = len(theirs[0]) <= max(20, 0.5 * len(values))
    if few and pairs == len(ours[0]) == len(theirs[0]):
        return "stands one to one for"
    if len(theirs[0]) > 10 and ours[0].std() > 0:
        correlation = np.corrcoef(values, expected)[0, 1]
        if abs(correlation) > 1 - 1e-9:
            return "is a multiple of"
    return ""
