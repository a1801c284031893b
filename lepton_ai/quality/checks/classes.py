"""Classes of the target: too few examples, too uneven, too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.label import Label
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject

variants = {
    "single_example_classes": "SingleExampleClasses",
    "class_imbalance": "ClassImbalance",
    "label_like_identifier": "LabelLikeIdentifier",
}


def _many(names: list[str], numbers: np.ndarray, policy_share: float) -> bool:
    known = int((numbers >= 0).sum())
    return known >= 10 and len(names) > policy_share * known


class SingleExampleClasses(Check):
    """A class with one example: it cannot be learned and tested both."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_classes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.classes is None:
            return
        names, numbers = subject.classes
        if _many(names, numbers, subject.policy.distinct_share) or len(names) < 2:
            return
        counts = np.bincount(numbers[numbers >= 0], minlength=len(names))
        alone = np.flatnonzero(counts == 1)
        if not len(alone):
            return
        rows = np.flatnonzero(np.isin(numbers, alone))
        listed = ", ".join(f"{names[numbers[row]]!r} (row {row})" for row in rows[:5])
        yield self.finding(
            subject,
            f"{len(alone)} of {len(names)} classes of {subject.target!r} have a single example: "
            f"{listed}{', ...' if len(rows) > 5 else ''}. Add examples, or leave the class out "
            "with lai.clean(data, report, fixes=['drop_classes']).",
            column=subject.target,
            rows=rows,
        )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        labels = ["no", "yes"] * 20
        labels[11] = "perhaps"
        return Planted(Dataset({"x": rng.normal(size=(40, 3)), "label": labels}), [11])


class ClassImbalance(Check):
    """A class many times larger than another; accuracy then says little."""

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.classes is None:
            return
        names, numbers = subject.classes
        if len(names) < 2 or _many(names, numbers, subject.policy.distinct_share):
            return
        counts = np.bincount(numbers[numbers >= 0], minlength=len(names))
        large, small = int(counts.argmax()), int(counts.argmin())
        ratio = counts[large] / max(counts[small], 1)
        if ratio > subject.policy.imbalance_ratio:
            yield self.finding(
                subject,
                f"The largest class of {subject.target!r}, {names[large]!r}, has {counts[large]:,} "
                f"examples, the smallest, {names[small]!r}, {counts[small]:,}: {ratio:.0f} to 1. "
                "Judge by F1 rather than by accuracy.",
                column=subject.target,
                rows=np.flatnonzero(numbers == small),
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        labels = ["no"] * 98 + ["yes"] * 2
        return Planted(Dataset({"x": rng.normal(size=(100, 3)), "label": labels}), [98, 99])


class LabelLikeIdentifier(Check):
    """A label with almost as many classes as examples is an identifier or a quantity."""

    severity: ClassVar[str] = "blocks"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.classes is None:
            return
        names, numbers = subject.classes
        if _many(names, numbers, subject.policy.distinct_share):
            yield self.finding(
                subject,
                f"{subject.target!r} has {len(names):,} classes in {len(subject.data):,} examples: "
                "it looks like an identifier, a text or a quantity. Name another target, or type "
                f"fields={{{subject.target!r}: lai.data.fields.Number()}} for a quantity.",
                column=subject.target,
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        labels = [f"p{number}" for number in range(40)]
        return Planted(Dataset({"x": rng.normal(size=(40, 3)), "label": labels},
                               {"label": Label()}), [])  # fmt: skip
