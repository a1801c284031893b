"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, kept

variants = {"sgd": "SGD"}


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wished (Sutskever et al. 2013).

    The learning rate multiplies what momentum gathered, as in PyTorch; Keras gathers what the rate
    already multiplied. Both are the same while the rate stays.

    Args:
        learning_rate: Size of the steps.
        momentum: How much of the last step goes on.
        nesterov: Whether the gradient counts as if the momentum had been followed already.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[1.0, 2.0]]))
        >>> optimizer = SGD(0.5).make([weight])
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [[0.0, 0.0]]
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.01, momentum: float = 0.0,
        nesterov: bool = False, weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.momentum, self.nesterov = momentum, bool(nesterov)
        self._expect_share("momentum")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        nesterov = self.nesterov and self.momentum > 0
        return _SGD(self._groups(parameters), momentum=self.momentum, nesterov=nesterov)


class _SGD(TorchOptimizer):
    """PyTorch's fused step, with the decay apart from the gradient and from momentum."""

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum": torch.zeros_like(parameter)} if group["momentum"] else {}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        gathered = kept(states, "momentum") if group["momentum"] else [None] * len(weights)
        sgd(
            weights, slopes, gathered, fused=True, foreach=False, weight_decay=0.0, lr=group["lr"],
            momentum=group["momentum"], dampening=0.0, nesterov=group["nesterov"], maximize=False,
        )  # fmt: skip
