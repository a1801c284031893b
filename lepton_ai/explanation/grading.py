"""Grading: whether the parts that an explanation names are those that the answer rests on.

The deletion test of Petsiuk, Das and Saenko, RISE (2018): parts are taken away, those said to
matter most first, and the score is followed. It must fall faster than when parts go at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lepton_ai.explanation.explainer import Question

ORDERS, POINTS = 5, 10
LEAST_GAIN = 0.02


@dataclass(frozen=True)
class Grade:
    """How an explanation did in the deletion test.

    Attributes:
        deletion: Mean score while the parts go, the most important first.
        random: The same for random orders.
        spread: Standard error of ``random`` over its orders.
        whole: The score of the whole example.
    """

    deletion: float
    random: float
    spread: float
    whole: float

    @property
    def gain(self) -> float:
        """By how much the score falls lower than at random; near 0 means the order says nothing."""
        return self.random - self.deletion

    @property
    def trusted(self) -> bool:
        """Whether the gain is more than chance and more than a fiftieth of the score's range."""
        return self.gain > max(LEAST_GAIN * max(1.0, abs(self.whole)), 2 * self.spread)


def grade(question: Question, weights: np.ndarray, whole: float) -> Grade | None:
    """Put weights to the deletion test; ``None`` when there are too few parts for one.

    Args:
        question: What was asked.
        weights: One for each part.
        whole: The score of the whole example.
    """
    count = len(weights)
    if count < 3:
        return None
    rng = np.random.default_rng([question.seed & 0xFFFFFFFF, 11])
    stops = np.unique(np.linspace(1, count - 1, min(count - 1, POINTS)).astype(int))
    orders = [np.argsort(-weights, kind="stable"), *(rng.permutation(count) for _ in range(ORDERS))]
    examples = [question.without(order[:stop].tolist()) for order in orders for stop in stops]
    scores = question.scorer(examples).reshape(len(orders), len(stops)).mean(axis=1)
    spread = float(scores[1:].std(ddof=1)) / math.sqrt(ORDERS)
    return Grade(float(scores[0]), float(scores[1:].mean()), spread, whole)
