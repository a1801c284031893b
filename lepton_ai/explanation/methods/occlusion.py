"""Occlusion: take one part away and see how far the score falls."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lepton_ai.explanation.explainer import Evidence, Explainer, Question
from lepton_ai.explanation.spreading import extent, patch_map

variants = {"occlusion": "Occlusion"}

MOST_PARTS = 2000


class Occlusion(Explainer):
    """The weight of a part is what the score loses without it (Zeiler and Fergus, 2014).

    It asks for predictions only, so it explains services and quantised models too.
    """

    rank: ClassVar[int] = 90

    def attribute(self, question: Question) -> Evidence:
        looked = min(len(question.parts), MOST_PARTS)
        examples = [question.example, *(question.without([number]) for number in range(looked))]
        scores = question.scorer(examples)
        weights = np.zeros(len(question.parts))
        weights[:looked] = scores[0] - scores[1:]
        notes = []
        if looked < len(question.parts):
            notes.append(f"Only the first {looked} of {len(question.parts)} parts were looked at.")
        heat = {}
        for name in question.example:
            chosen = [
                (p, w) for (n, p), w in zip(question.parts, weights, strict=True) if n == name
            ]
            if extent([part for part, _ in chosen]):
                heat[name] = patch_map(chosen)
        return Evidence(weights, heat, None, notes)
