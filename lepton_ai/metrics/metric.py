"""Metric: a figure that says how good predictions are; ``update`` it, then ``compute``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from lepton_ai import registry


class Metric(ABC):
    """A figure over many examples, gathered batch by batch.

    ``predicted`` is what the metric ``wants``: decisions (class numbers, numbers) or scores
    (``[N, classes]``, higher is surer). ``expected`` are class numbers or numbers. Positions whose
    expected class is negative do not count (padding, unlabelled pixels).
    """

    wants: ClassVar[str] = "decisions"
    """``"decisions"`` or ``"scores"``."""
    higher_is_better: ClassVar[bool] = True
    while_training: ClassVar[bool] = True
    """Whether it is cheap enough to be gathered from every training batch."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything gathered so far."""

    @abstractmethod
    def update(self, predicted: Tensor, expected: Tensor) -> None:
        """Gather one batch; both are laid out flat, ``[N]`` or ``[N, classes]``."""

    @abstractmethod
    def compute(self) -> float:
        """The figure; NaN when nothing was gathered."""

    def interval(self) -> tuple[float, float] | None:
        """A 95 % interval of the figure, where the metric can tell."""
        return None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {}


class Mean:
    """A running mean, kept as tensors so that nothing waits for the device."""

    def __init__(self) -> None:
        self.total = torch.zeros((), dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.float64)

    def update(self, total: Tensor, count: Tensor | float) -> None:
        """Add a sum over ``count`` examples."""
        self.total = self.total + total.detach().to("cpu", torch.float64)
        self.count = self.count + count

    def compute(self) -> float:
        """The mean, NaN when nothing was added."""
        return float(self.total / self.count) if float(self.count) else float("nan")


def get(metric: str | Metric) -> Metric:
    """A metric from its name (``"accuracy"``, ``"acc"``), or itself."""
    if isinstance(metric, Metric):
        return metric
    aliases = {"acc": "accuracy", "mse": "mean_squared_error", "mae": "mean_absolute_error",
               "r2": "r2", "categorical_accuracy": "accuracy", "binary_accuracy": "accuracy",
               "sparse_categorical_accuracy": "accuracy"}  # fmt: skip
    return registry.lookup("metrics", aliases.get(metric, metric))()
