"""Losses of distributions: Kullback-Leibler, Poisson, Gaussian."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import DataError, ShapeError
from lepton_ai.losses.loss import EPSILON, Loss, activate, per_example
from lepton_ai.losses.target import class_shares, quantities

variants = {
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "gaussian_nll": "GaussianNLL",
}


class KLDivergence(Loss):
    """Kullback-Leibler divergence of the outputs from the targets, ``sum(y log(y / p))``.

    Targets are distributions over the last axis, or class numbers. As Keras's class of this name;
    after a softmax the logarithms come from the logits.
    """

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        if expected.shape == logits.shape:
            shares, counted = expected.to(logits.dtype), None
        else:
            shares, counted = class_shares(logits, expected)
        wanted = shares.clamp(EPSILON, 1)
        if activation == "softmax":
            logs = F.log_softmax(logits, dim=-1)
        elif activation == "sigmoid":
            logs = F.logsigmoid(logits)
        else:
            logs = activate(logits, activation).clamp(EPSILON, 1).log()
        loss = (wanted * (wanted.log() - logs)).sum(-1)
        return per_example(loss if counted is None else loss * counted, counted)


class Poisson(Loss):
    """Negative log-likelihood of counts, ``p - y log p`` without what depends on y alone.

    The outputs are rates, so they end in ``"exponential"`` or ``"softplus"``. As Keras's class of
    this name.

    Args:
        from_logits: The outputs are logarithms of rates, and the last layer has no activation.

    Raises:
        DataError: A rate is negative.
    """

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        wanted = quantities(logits, expected)
        if self.from_logits or activation == "exponential":
            return per_example(logits.exp() - wanted * logits)
        rates = activate(logits, activation)
        if activation in ("linear", "tanh") and rates.numel() and float(rates.detach().min()) < 0:
            raise DataError(
                f"Expected rates of 0 or more; received {float(rates.detach().min()):g}. "
                "Type: Dense(1, activation='softplus'), or loss=lai.losses.Poisson("
                "from_logits=True) when the outputs are logarithms of rates."
            )
        return per_example(rates - wanted * (rates + EPSILON).log())


class GaussianNLL(Loss):
    """Negative log-likelihood of a normal distribution whose mean and variance are predicted.

    ``(log v + (y - m)^2 / v) / 2`` (Nix and Weigend 1994). The last axis of the outputs holds the
    means m, then as many logarithms of the variance, ``log v`` (Kendall and Gal 2017): for one
    target ``Dense(2)``.

    Args:
        full: Whether ``log(2 pi) / 2`` is added.
        eps: The smallest variance.

    Raises:
        ShapeError: The outputs are not twice the targets.

    Example:
        >>> sums, counts = GaussianNLL()(torch.tensor([[1.0, 0.0]]), torch.tensor([3.0]), "linear")
        >>> float(sums)
        2.0
    """

    classes: ClassVar[bool] = False

    def __init__(self, full: bool = False, eps: float = 1e-6) -> None:
        self.full, self.eps = full, eps

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        outputs = activate(logits, activation)
        if expected.ndim == outputs.ndim - 1:
            expected = expected.unsqueeze(-1)
        width = expected.shape[-1]
        if expected.ndim != outputs.ndim or outputs.shape != (*expected.shape[:-1], 2 * width):
            raise ShapeError(
                f"Expected a mean and a logarithm of the variance for each of the {width} targets; "
                f"the network gives {list(outputs.shape[1:])}. "
                f"Type: Dense({2 * width}) as the last layer."
            )
        mean, logs = outputs.split(width, dim=-1)
        # the bound lets gradients through, so that a variance which is too small can grow again
        logs = logs + (logs.detach().clamp_min(math.log(self.eps)) - logs.detach())
        loss = 0.5 * (logs + (expected.to(mean.dtype) - mean).square() * torch.exp(-logs))
        return per_example(loss + 0.5 * math.log(2 * math.pi) if self.full else loss)
