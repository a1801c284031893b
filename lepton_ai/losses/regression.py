"""Losses of quantities: squared, absolute, relative, logarithmic, Huber, quantiles, angles."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.losses.loss import EPSILON, Loss, activate, per_example
from lepton_ai.losses.target import quantities

variants = {
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "huber": "Huber",
    "log_cosh": "LogCosh",
    "cosine_similarity": "CosineSimilarity",
    "quantile": "Quantile",
}


class _Elementwise(Loss):
    """The mean over all numbers of what :meth:`of` says of one."""

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        return per_example(self.of(predicted, quantities(predicted, expected)))

    @abstractmethod
    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        """The loss of each number."""


class MeanSquaredError(_Elementwise):
    """Mean of the squared differences, ``(p - y)^2``.

    Raises:
        ShapeError: The outputs are not as many as the targets.

    Example:
        >>> sums, counts = MeanSquaredError()(torch.ones(2, 3), torch.zeros(2, 3), "linear")
        >>> sums.tolist(), counts.tolist()
        ([3.0, 3.0], [3.0, 3.0])
    """

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return (predicted - expected).square()


class MeanAbsoluteError(_Elementwise):
    """Mean of the absolute differences, ``|p - y|``."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return (predicted - expected).abs()


class MeanAbsolutePercentageError(_Elementwise):
    """Mean of the absolute differences in percent of the target, ``100 |p - y| / |y|``.

    As in Keras, ``|y|`` is at least 1e-7.
    """

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        return 100 * ((predicted - expected) / expected.abs().clamp_min(EPSILON)).abs()


class MeanSquaredLogarithmicError(_Elementwise):
    """Mean of ``(log(1 + p) - log(1 + y))^2``, for quantities that are not negative.

    As in Keras, what is below 1e-7 counts as 1e-7.
    """

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        logs = predicted.clamp_min(EPSILON).log1p(), expected.clamp_min(EPSILON).log1p()
        return (logs[0] - logs[1]).square()


class Huber(_Elementwise):
    """Squared below ``delta``, straight above it (Huber 1964).

    Args:
        delta: Where the square turns into a straight line.
    """

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = delta

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        size = (predicted - expected).abs()
        inner = size.clamp_max(self.delta)
        return 0.5 * inner.square() + self.delta * (size - inner)


class LogCosh(_Elementwise):
    """Mean of ``log(cosh(p - y))``: squared near 0, straight far from it."""

    def of(self, predicted: Tensor, expected: Tensor) -> Tensor:
        difference = predicted - expected
        return difference + F.softplus(-2.0 * difference) - math.log(2.0)


class CosineSimilarity(Loss):
    """The cosine of the angle between output and target, negated: -1 is the same direction.

    Args:
        axis: The axis that holds a vector; the first axis is the examples.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        wanted = quantities(predicted, expected)
        if not (-predicted.ndim < self.axis < predicted.ndim and self.axis):
            raise ShapeError(
                f"Expected an axis of the outputs {list(predicted.shape)} other than the first; "
                f"received axis={self.axis}. Type: axis=-1."
            )
        sides = (F.normalize(side, dim=self.axis, eps=EPSILON) for side in (predicted, wanted))
        return per_example(-torch.mul(*sides).sum(self.axis))


class Quantile(Loss):
    """Pinball loss, ``max(q (y - p), (q - 1)(y - p))``: smallest at the q-quantile.

    Koenker and Bassett (1978). With several quantiles the last axis of the outputs holds one of
    each, in their order, for a target that is one number.

    Args:
        quantile: The quantile, between 0 and 1, or several.

    Raises:
        ShapeError: The outputs are not as many as the targets, or as the quantiles.

    Example:
        >>> loss = Quantile([0.1, 0.9])
        >>> sums, counts = loss(torch.tensor([[0.0, 0.0]]), torch.tensor([10.0]), "linear")
        >>> float(sums), float(counts)
        (10.0, 2.0)
    """

    def __init__(self, quantile: float | Sequence[float] = 0.5) -> None:
        self.quantile = list(quantile) if isinstance(quantile, Sequence) else quantile
        for one in self.quantile if isinstance(self.quantile, list) else [self.quantile]:
            if not 0 < one < 1:
                raise ConfigError(
                    f"Expected quantiles between 0 and 1; received {one}. Type: 0.5 for the median."
                )

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        if isinstance(self.quantile, list):
            wanted = _for_each(predicted, expected, len(self.quantile))
            levels: Tensor | float = predicted.new_tensor(self.quantile)
        else:
            wanted, levels = quantities(predicted, expected), self.quantile
        under = wanted - predicted
        return per_example(torch.maximum(levels * under, (levels - 1) * under))


def _for_each(predicted: Tensor, expected: Tensor, count: int) -> Tensor:
    """One target for each of several quantiles."""
    if expected.ndim == predicted.ndim - 1:
        expected = expected.unsqueeze(-1)
    if predicted.shape[-1] != count or expected.shape != (*predicted.shape[:-1], 1):
        raise ShapeError(
            f"Expected an output for each of the {count} quantiles and one target; received "
            f"outputs {list(predicted.shape[1:])} and targets {list(expected.shape[1:])}. "
            f"Type: Dense({count}) as the last layer."
        )
    return expected.to(predicted.dtype).expand_as(predicted)
