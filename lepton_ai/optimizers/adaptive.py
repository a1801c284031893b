"""Steps divided by the size that the gradients of each weight have had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, follow, follow_squares, kept

variants = {"rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta"}


class RMSprop(Optimizer):
    """Gradients divided by a running mean of their size (Hinton 2012).

    As in Keras, epsilon is added under the root: where gradients are smaller than its root, 3e-4,
    steps shrink with them.

    Args:
        learning_rate: Size of the steps.
        rho: How much of the mean of squares stays in each step.
        momentum: How much of the last step goes on.
        epsilon: Keeps the denominator away from 0.
        centered: Whether gradients are divided by their deviation and not by their size (Graves
            2013).
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, rho: float = 0.9,
        momentum: float = 0.0, epsilon: float = 1e-7, centered: bool = False,
        weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon
        self.centered = bool(centered)
        self._expect_share("rho", "momentum")
        self._expect_above_0("epsilon")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _RMSprop(
            self._groups(parameters), rho=self.rho, momentum=self.momentum, epsilon=self.epsilon,
            centered=self.centered,
        )  # fmt: skip


class _RMSprop(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        wanted = {"velocity": True, "mean": group["centered"], "momentum": group["momentum"] > 0}
        return {name: torch.zeros_like(parameter) for name, needed in wanted.items() if needed}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        velocity = kept(states, "velocity")
        follow_squares(velocity, slopes, group["rho"])
        below = torch._foreach_add(velocity, group["epsilon"])
        if group["centered"]:
            means = kept(states, "mean")
            follow(means, slopes, group["rho"])
            torch._foreach_addcmul_(below, means, means, -1.0)
            # rounding may take the variance of a constant gradient below 0
            torch._foreach_clamp_min_(below, group["epsilon"])
        torch._foreach_sqrt_(below)
        if group["momentum"] == 0:
            torch._foreach_addcdiv_(weights, slopes, below, -group["lr"])
            return
        gathered = kept(states, "momentum")
        torch._foreach_mul_(gathered, group["momentum"])
        torch._foreach_addcdiv_(gathered, slopes, below, group["lr"])
        torch._foreach_sub_(weights, gathered)


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all their squares (Duchi et al. 2011).

    Args:
        learning_rate: Size of the steps.
        initial_accumulator_value: Where the sums begin.
        epsilon: Keeps the denominator away from 0.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon
        self._expect_at_least_0("initial_accumulator_value")
        self._expect_above_0("epsilon")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        start = self.initial_accumulator_value
        return _Adagrad(self._groups(parameters), start=start, epsilon=self.epsilon)


class _Adagrad(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"sum": torch.full_like(parameter, group["start"])}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        sums = kept(states, "sum")
        torch._foreach_addcmul_(sums, slopes, slopes, 1.0)
        below = torch._foreach_add(sums, group["epsilon"])
        torch._foreach_sqrt_(below)
        torch._foreach_addcdiv_(weights, slopes, below, -group["lr"])


class Adadelta(Optimizer):
    """Steps as large as the steps before, in the units of the weights (Zeiler 2012).

    The paper's learning rate is 1; Keras's default is far smaller.

    Args:
        learning_rate: What multiplies the steps.
        rho: How much of the means stays in each step.
        epsilon: Keeps the denominator away from 0, and the first steps too.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, rho: float = 0.95,
        epsilon: float = 1e-7, weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.rho, self.epsilon = rho, epsilon
        self._expect_share("rho")
        self._expect_above_0("epsilon")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _Adadelta(self._groups(parameters), rho=self.rho, epsilon=self.epsilon)


class _Adadelta(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"velocity": torch.zeros_like(parameter), "moved": torch.zeros_like(parameter)}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        velocity, moved = kept(states, "velocity"), kept(states, "moved")
        follow_squares(velocity, slopes, group["rho"])
        steps = torch._foreach_add(moved, group["epsilon"])
        torch._foreach_div_(steps, torch._foreach_add(velocity, group["epsilon"]))
        torch._foreach_sqrt_(steps)
        torch._foreach_mul_(steps, slopes)
        follow_squares(moved, steps, group["rho"])
        torch._foreach_add_(weights, steps, alpha=-group["lr"])
