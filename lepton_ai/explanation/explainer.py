"""Explainer: a way to find which parts of an input an answer rests on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lepton_ai.data.field import Part
from lepton_ai.explanation.scoring import Scorer


@dataclass
class Question:
    """What an explainer is asked.

    Attributes:
        predictor: Whose answer is explained.
        example: One value for each input, by name.
        parts: What can be pointed at, each with the name of its input.
        scorer: Examples to the number that is explained.
        steps: How finely to look, for methods that walk a path.
        seed: All draws follow from it.
    """

    predictor: Any
    example: dict[str, Any]
    parts: list[tuple[str, Part]]
    scorer: Scorer
    steps: int = 32
    seed: int = 0

    def without(self, chosen: list[int]) -> dict[str, Any]:
        """The example with some of its parts taken away, by their numbers."""
        changed = dict(self.example)
        fields = self.predictor.task.inputs
        # The last part of a value goes first: the places of those before it stay what they were.
        for number in sorted(chosen, reverse=True):
            name, part = self.parts[number]
            changed[name] = fields[name].without(changed[name], part)
        return changed


@dataclass
class Evidence:
    """What an explainer found.

    Attributes:
        weights: One for each part of the question: positive speaks for the answer.
        heat: Maps ``[height, width]`` over the inputs that are pictures, by name.
        completeness: How far the weights are from adding up to the change of the score, relative
            to it; ``None`` where the method has no such law.
        notes: What a reader should know, in sentences.
    """

    weights: np.ndarray
    heat: dict[str, np.ndarray] = field(default_factory=dict)
    completeness: float | None = None
    notes: list[str] = field(default_factory=list)


class Explainer(ABC):
    """A way to find which parts of an input an answer rests on."""

    rank: ClassVar[int] = 100
    """``method="auto"`` takes the explainer of the lowest rank that fits."""

    @classmethod
    def unfit(cls, predictor: Any) -> str:
        """Why it cannot explain what this predictor says, or nothing."""
        return ""

    @abstractmethod
    def attribute(self, question: Question) -> Evidence:
        """Find how much each part speaks for the answer."""
