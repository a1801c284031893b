"""Steps in proportion to the weights of each layer, for large batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, adam_directions, scaled

variants = {"lamb": "Lamb"}


class Lamb(Optimizer):
    """LAMB: Adam's direction, as long as the weights of the layer are (You et al. 2020).

    The decay is part of the direction whose length is set, as in the paper; Keras takes it away
    beforehand.

    Args:
        learning_rate: Size of a step as a share of the size of the weights.
        beta_1: How much of the mean of the gradients stays in each step.
        beta_2: How much of the mean of their squares stays.
        epsilon: Keeps the denominator away from 0.
        weight_decay: Share of each matrix that is part of the direction.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, weight_decay: float | None = None,
        **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._expect_share("beta_1", "beta_2")
        self._expect_above_0("epsilon")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _Lamb(
            self._groups(parameters), beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon
        )


class _Lamb(TorchOptimizer):
    decays: ClassVar[bool] = False

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum": torch.zeros_like(parameter), "velocity": torch.zeros_like(parameter)}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        betas = (group["beta_1"], group["beta_2"])
        steps = adam_directions(slopes, states, betas, group["epsilon"])
        if group["weight_decay"]:
            torch._foreach_add_(steps, weights, alpha=group["weight_decay"])
        sizes = torch.stack(list(torch._foreach_norm(weights)))
        lengths = torch.stack(list(torch._foreach_norm(steps)))
        known = (sizes > 0) & (lengths > 0)
        trust = torch.where(known, sizes / lengths, torch.ones_like(sizes))
        scaled(steps, list(trust.unbind()))
        torch._foreach_add_(weights, steps, alpha=-group["lr"])
