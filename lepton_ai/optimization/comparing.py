"""Comparing: how good a form is, and how far its answers are from those of the original."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton_ai.data.column import Ragged, item
from lepton_ai.data.dataset import Dataset
from lepton_ai.metrics.metric import Metric
from lepton_ai.models.model import Model
from lepton_ai.training.evaluation import evaluate

AGREEMENT = {"float32": 0.99, "bfloat16": 0.9, "int8": 0.9}
"""Smallest agreement, by precision. The bound on the headline metric alone would let
a form through that is wrong elsewhere than the original."""
CLOSE = {"float32": 1e-3, "bfloat16": math.inf, "int8": math.inf}
"""Largest difference of scores, by precision."""


@dataclass(frozen=True)
class Quality:
    """How good a form is on the data.

    Attributes:
        figures: Loss and metrics by name.
        interval: A 95 % interval of the headline metric, where it can tell.
    """

    figures: dict[str, float]
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Likeness:
    """How far a form's answers are from the original's.

    Attributes:
        agreement: 1 minus the mean distance of the decisions: the share of equal classes, tags or
            pixels; for numbers 1 minus their relative difference.
        difference: Largest difference of a score, or of a number relative to its size.
    """

    agreement: float
    difference: float


def judge(model: Model, data: Dataset) -> Quality:
    """Loss and metrics by ``lai.evaluate``, with the interval of the headline."""
    metrics = model.task.metrics()
    figures = evaluate(model, data, metrics=metrics)
    headline = metrics.get(model.task.headline)
    return Quality(figures, headline.interval() if headline is not None else None)


def drop(before: float, after: float, metric: Metric | None) -> float:
    """How much worse a headline figure became: positive is worse.

    Absolute where higher is better (shares); relative to the original where lower is better
    (errors and losses, which have the unit of the data). ``metric`` is ``None`` for the loss.
    """
    if metric is not None and metric.higher_is_better:
        return before - after
    return (after - before) / max(abs(before), 1e-9)


class Answers:
    """What the original answered to some examples, to compare other forms with.

    Args:
        model: The original.
        examples: Examples with the inputs of the task.
    """

    def __init__(self, model: Model, examples: Dataset) -> None:
        self.examples = examples.select(list(model.task.inputs))
        self.columns = Model.predict(model, self.examples)
        self.outputs = model.task.outputs
        self.usual = {name: self._usual(name) for name in self.outputs}

    def _usual(self, name: str) -> float:
        """Mean distance between the answers to neighbours: what is far where values are large."""
        column, field = self.columns[name], self.outputs[name]
        count = len(self.examples)
        apart = [
            field.distance(item(column, i), item(column, (i + 1) % count)) for i in range(count)
        ]
        finite = [value for value in apart if math.isfinite(value)]
        return float(np.mean(finite)) if finite else 0.0

    def compare(self, form: Model) -> Likeness:
        """How far another form's answers to the same examples are away."""
        columns = Model.predict(form, self.examples)
        worst = np.zeros(len(self.examples))
        furthest = 0.0
        for name, field in self.outputs.items():
            apart = np.array([
                field.distance(item(self.columns[name], i), item(columns[name], i))
                for i in range(len(self.examples))
            ])  # fmt: skip
            worst = np.maximum(worst, np.minimum(apart / max(1.0, self.usual[name]), 1.0))
        if set(columns) != set(self.columns):
            return Likeness(0.0, math.inf)
        for name, column in columns.items():
            furthest = max(furthest, _furthest(self.columns[name], column))
        return Likeness(1.0 - float(np.nan_to_num(worst, nan=1.0).mean()), furthest)


def _furthest(first: Any, second: Any) -> float:
    """Largest difference of two columns of numbers, relative where above 1; 0 for other columns."""
    if isinstance(first, Ragged):
        first, second = first.values, second.values
    if not isinstance(first, np.ndarray) or first.dtype.kind != "f":
        return 0.0
    if first.shape != second.shape:
        return math.inf
    if not first.size:
        return 0.0
    gap = np.abs(np.nan_to_num(first) - np.nan_to_num(second))
    odd = np.isnan(first) != np.isnan(second)
    return math.inf if odd.any() else float((gap / np.maximum(1.0, np.abs(first))).max())
