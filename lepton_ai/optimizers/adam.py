"""Adam and its relatives: running means of gradients and of their size, from the first step on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import (
    TorchOptimizer,
    follow,
    follow_squares,
    keep_layout,
    kept,
    powers,
)

variants = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "nadam": "Nadam"}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with Keras's epsilon of 1e-7.

    Epsilon is added where the paper's algorithm does, to the corrected root; Keras adds it to the
    root as it is, which is the same but for the first steps of very small gradients.

    Args:
        learning_rate: Size of the steps.
        beta_1: How much of the mean of the gradients stays in each step.
        beta_2: How much of the mean of their squares stays.
        epsilon: Keeps the denominator away from 0.
        amsgrad: Whether the largest mean of squares so far counts (Reddi et al. 2018).
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> layer = torch.nn.Linear(3, 1)
        >>> optimizer = Adam(learning_rate=0.01, clipnorm=1.0).make(layer.parameters())
        >>> optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["eps"]
        (0.01, 1e-07)
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
        weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.amsgrad = bool(amsgrad)
        self._expect_share("beta_1", "beta_2")
        self._expect_above_0("epsilon")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        made = torch.optim.AdamW(
            self._groups(parameters), betas=(self.beta_1, self.beta_2), eps=self.epsilon,
            weight_decay=0.0, amsgrad=self.amsgrad, fused=True,
        )  # fmt: skip
        keep_layout(made)
        return made


class AdamW(Adam):
    """Adam with weights that decay from the start (Loshchilov and Hutter 2019).

    Args:
        learning_rate: Size of the steps.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        beta_1: How much of the mean of the gradients stays in each step.
        beta_2: How much of the mean of their squares stays.
        epsilon: Keeps the denominator away from 0.
        amsgrad: Whether the largest mean of squares so far counts.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> layer = torch.nn.Linear(3, 1)
        >>> optimizer = AdamW(0.001, 0.05).make(layer.parameters())
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.05, 0.0]
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, weight_decay: float = 0.004,
        beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **common)


class Adamax(Optimizer):
    """Adam with the largest gradient in the place of the mean of squares (Kingma and Ba 2015).

    Args:
        learning_rate: Size of the steps.
        beta_1: How much of the mean of the gradients stays in each step.
        beta_2: How much of the largest gradient stays.
        epsilon: Keeps the denominator away from 0.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
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
        return _Adamax(
            self._groups(parameters), beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon
        )


class _Adamax(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum": torch.zeros_like(parameter), "largest": torch.zeros_like(parameter)}

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        momentum, largest = kept(states, "momentum"), kept(states, "largest")
        follow(momentum, slopes, group["beta_1"])
        torch._foreach_mul_(largest, group["beta_2"])
        torch._foreach_maximum_(largest, torch._foreach_abs(slopes))
        below = torch._foreach_add(largest, group["epsilon"])
        sizes = [-group["lr"] / held for held in powers(states, group["beta_1"])]
        torch._foreach_addcdiv_(weights, momentum, below, sizes)


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2016).

    Args:
        learning_rate: Size of the steps.
        beta_1: How much of the mean of the gradients stays in each step, after a slow start.
        beta_2: How much of the mean of their squares stays.
        epsilon: Keeps the denominator away from 0.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
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
        return _Nadam(
            self._groups(parameters), beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon
        )


class _Nadam(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "momentum": torch.zeros_like(parameter), "velocity": torch.zeros_like(parameter),
            "product": 1.0,
        }  # fmt: skip

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        momentum, velocity = kept(states, "momentum"), kept(states, "velocity")
        follow(momentum, slopes, group["beta_1"])
        follow_squares(velocity, slopes, group["beta_2"])
        below = torch._foreach_div(velocity, powers(states, group["beta_2"]))
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, group["epsilon"])
        for_slopes, for_momentum = [], []
        for state in states:
            now, coming = (
                group["beta_1"] * (1 - 0.5 * 0.96 ** (state["step"] + later)) for later in (0, 1)
            )
            state["product"] *= now
            for_slopes.append(-group["lr"] * (1 - now) / (1 - state["product"]))
            for_momentum.append(-group["lr"] * coming / (1 - state["product"] * coming))
        torch._foreach_addcdiv_(weights, slopes, below, for_slopes)
        torch._foreach_addcdiv_(weights, momentum, below, for_momentum)
