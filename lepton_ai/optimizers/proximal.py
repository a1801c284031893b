"""Weights that follow the sum of all gradients, and may become exactly 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, kept

variants = {"ftrl": "Ftrl"}


class Ftrl(Optimizer):
    """Follow the regularised leader (McMahan et al. 2013), for wide and sparse inputs.

    Weights are found anew in each step from the sum of all gradients, so that with L1 those of no
    use are exactly 0. As in Keras, the weights at the start are soon forgotten. When the rate
    changes between steps, the proximal terms of the old and the new rate meet, as in the paper;
    Keras takes the new rate for both, and weights jump when it rises. At a rate of 0 nothing moves.

    Args:
        learning_rate: Size of the steps.
        learning_rate_power: How the rate falls with the sum of squares; 0 keeps it.
        initial_accumulator_value: Where the sums of squares begin.
        l1_regularization_strength: Pull of each weight towards exactly 0.
        l2_regularization_strength: Pull that grows with the weight.
        l2_shrinkage_regularization_strength: The same, on the gradient.
        beta: Added to the root of the sums, as in the paper.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001,
        learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0,
        weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        self._demand(lambda value: value <= 0, "of at most 0", "learning_rate_power")
        self._expect_at_least_0(
            "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength",
            "l2_shrinkage_regularization_strength", "beta",
        )  # fmt: skip

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _Ftrl(
            self._groups(parameters), power=-self.learning_rate_power,
            start=self.initial_accumulator_value, l1=self.l1_regularization_strength,
            l2=self.l2_regularization_strength, shrinkage=self.l2_shrinkage_regularization_strength,
            beta=self.beta,
        )  # fmt: skip


class _Ftrl(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        start = torch.full_like(parameter, group["start"])
        return {"sum": start, "linear": torch.zeros_like(parameter), "rate": group["lr"]}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        rate, l1 = group["lr"], group["l1"]
        if rate == 0:
            return
        sums, linear = kept(states, "sum"), kept(states, "linear")
        before = torch._foreach_pow(sums, group["power"])
        torch._foreach_div_(before, [state["rate"] or rate for state in states])
        torch._foreach_addcmul_(sums, slopes, slopes, 1.0)
        nearness = torch._foreach_pow(sums, group["power"])
        torch._foreach_div_(nearness, rate)
        torch._foreach_add_(linear, slopes)
        torch._foreach_add_(linear, weights, alpha=2 * group["shrinkage"])
        torch._foreach_addcmul_(linear, torch._foreach_sub(nearness, before), weights, -1.0)
        torch._foreach_add_(nearness, 2 * group["l2"] + group["beta"] / rate)
        pulled = torch._foreach_clamp_max(torch._foreach_clamp_min(linear, -l1), l1)
        torch._foreach_sub_(pulled, linear)
        torch._foreach_div_(pulled, nearness)
        torch._foreach_copy_(weights, pulled)
        for state in states:
            state["rate"] = rate
