"""Texts: those without a word, and those much longer than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.text import Text
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all, shown

variants = {"empty_texts": "EmptyTexts", "long_texts": "LongTexts"}


class EmptyTexts(Check):
    """Texts of nothing but white space."""

    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for name, _, column in subject.columns("text"):
            lengths = pc.utf8_length(pc.utf8_trim_whitespace(column))
            rows = np.flatnonzero(pc.fill_null(pc.equal(lengths, 0), False))
            if len(rows):
                yield self.finding(
                    subject,
                    f"{name!r} is empty in {of_all(len(rows), len(column))} examples "
                    f"({shown(rows)}).",
                    column=name,
                    rows=rows,
                    fix=None if len(rows) == len(column) else "usual",
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        texts = _sentences(rng, 40)
        texts[4], texts[19] = "", "  \t"
        return Planted(
            Dataset({"text": texts, "label": ["no", "yes"] * 20}, {"text": Text()}), [4, 19]
        )


class LongTexts(Check):
    """Texts many times longer than usual: often whole pages pasted in by mistake."""

    severity: ClassVar[str] = "notes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        policy = subject.policy
        for name, _, column in subject.columns("text"):
            counted = pc.fill_null(pc.utf8_length(column), 0)
            lengths = counted.to_numpy(zero_copy_only=False)
            middle = float(np.median(lengths))
            limit = max(policy.long_text_ratio * middle, policy.long_text_characters)
            rows = np.flatnonzero(lengths > limit)
            if len(rows):
                longest = int(lengths.argmax())
                yield self.finding(
                    subject,
                    f"{name!r} is very long in {of_all(len(rows), len(lengths))} examples: up to "
                    f"{lengths[longest]:,} characters (row {longest}), the median is {middle:.0f}.",
                    column=name,
                    rows=rows,
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        texts = _sentences(rng, 40)
        texts[8] = " ".join(_sentences(rng, 200))
        return Planted(Dataset({"text": texts, "label": ["no", "yes"] * 20}, {"text": Text()}), [8])


def _sentences(rng: np.random.Generator, count: int) -> list[str]:
    words = np.array(["the", "a", "red", "blue", "house", "tree", "runs", "near", "far", "old"])
    return [" ".join(rng.choice(words, 8)) + f" {number}" for number in range(count)]
