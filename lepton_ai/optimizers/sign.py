"""Steps of one size: only the sign of the direction counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, follow, kept

variants = {"lion": "Lion"}


class Lion(Optimizer):
    """Lion: the sign of gradient and momentum (Chen et al. 2023).

    Its rate is usually 3 to 10 times smaller than Adam's, its decay as many times larger.

    Args:
        learning_rate: Size of each step of each weight.
        beta_1: Share of the momentum in the direction of the step.
        beta_2: How much of the momentum stays in each step.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[1.0, -5.0]]))
        >>> optimizer = Lion(0.5).make([weight])
        >>> (weight**2).sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [[0.5, -4.5]]
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, beta_1: float = 0.9,
        beta_2: float = 0.99, weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.beta_1, self.beta_2 = beta_1, beta_2
        self._expect_share("beta_1", "beta_2")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _Lion(self._groups(parameters), beta_1=self.beta_1, beta_2=self.beta_2)


class _Lion(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum": torch.zeros_like(parameter)}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        momentum = kept(states, "momentum")
        steps = torch._foreach_mul(momentum, group["beta_1"])
        torch._foreach_add_(steps, slopes, alpha=1 - group["beta_1"])
        torch._foreach_sign_(steps)
        torch._foreach_add_(weights, steps, alpha=-group["lr"])
        follow(momentum, slopes, group["beta_2"])
