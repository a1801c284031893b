"""Losses of quantities: squared, absolute, Huber."""

from __future__ import annotations

from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.losses.loss import Loss, activate

variants = {
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "huber": "Huber",
}


class MeanSquaredError(Loss):
    """Mean of the squared differences."""

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        difference = _difference(logits, expected, activation)
        return difference.square().sum(1), difference.new_full(
            (len(difference),), difference.shape[1]
        )


class MeanAbsoluteError(Loss):
    """Mean of the absolute differences."""

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        difference = _difference(logits, expected, activation)
        return difference.abs().sum(1), difference.new_full((len(difference),), difference.shape[1])


class Huber(Loss):
    """Squared below ``delta``, straight above it.

    Args:
        delta: Where the square turns into a straight line.
    """

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        size = _difference(logits, expected, activation).abs()
        inner = size.clamp_max(self.delta)
        loss = 0.5 * inner.square() + self.delta * (size - inner)
        return loss.sum(1), loss.new_full((len(loss),), loss.shape[1])


def _difference(logits: Tensor, expected: Tensor, activation: str) -> Tensor:
    predicted = activate(logits, activation)
    if expected.ndim == predicted.ndim - 1 and predicted.shape[-1] == 1:
        expected = expected.unsqueeze(-1)
    if expected.shape != predicted.shape:
        raise ShapeError(
            f"Expected outputs like the targets, {list(expected.shape[1:]) or [1]}; the network "
            f"gives {list(predicted.shape[1:])}."
        )
    return (predicted - expected.to(predicted.dtype)).reshape(len(predicted), -1)
