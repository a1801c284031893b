"""The result of training on examples that were held out: figures, their intervals, a baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lepton_ai.data.column import items
from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.target import kind_of
from lepton_ai.training.evaluation import evaluate


@dataclass
class Result:
    """How good a predictor is on held-out examples.

    Attributes:
        figures: Metric to figure, the headline first.
        intervals: Metric to its 95 % interval, where the metric can tell.
        count: How many examples were held out.
        baseline: What always answering the most frequent class would give, where there are classes.
    """

    figures: dict[str, float]
    count: int
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    baseline: tuple[str, float] | None = None

    def told(self, name: str) -> str:
        """One figure with its interval: ``"accuracy 0.912 (95 %: 0.906 to 0.917)"``."""
        text = f"{name} {self.figures[name]:.4g}"
        if name in self.intervals:
            low, high = self.intervals[name]
            text += f" (95 %: {low:.3f} to {high:.3f})"
        return text

    def __str__(self) -> str:
        text = ", ".join(self.told(name) for name in self.figures)
        text += f" on {self.count:,} held-out examples"
        if self.baseline is not None:
            text += f"; always answering {self.baseline[0]!r} gives {self.baseline[1]:.4g}"
        return text

    def to_json(self) -> dict[str, Any]:
        """JSON values; a figure that is not a number becomes ``None``."""
        return {
            "figures": {k: v if np.isfinite(v) else None for k, v in self.figures.items()},
            "intervals": {k: list(v) for k, v in self.intervals.items()},
            "examples": self.count,
            "baseline": list(self.baseline) if self.baseline else None,
        }


def measure(predictor: Any, data: Dataset, *, batch_size: int = 256) -> Result:
    """The task's metrics on data, with intervals; works for whatever predicts.

    Raises:
        DataError: The data lacks a column of the task, or has no example.
    """
    metrics = predictor.task.metrics()
    figures = evaluate(predictor, data, batch_size=batch_size, metrics=metrics)
    intervals = {name: metric.interval() for name, metric in metrics.items()}
    typed = predictor.task.typed(data)
    return Result(
        {name: figures[name] for name in metrics},
        len(typed),
        {name: interval for name, interval in intervals.items() if interval is not None},
        _baseline(typed, predictor.task.target),
    )


def _baseline(data: Dataset, target: str) -> tuple[str, float] | None:
    if kind_of(data.fields[target]) != "label":
        return None
    names, counts = np.unique([str(v) for v in items(data[target])], return_counts=True)
    most = int(counts.argmax())
    return str(names[most]), float(counts[most] / counts.sum())
