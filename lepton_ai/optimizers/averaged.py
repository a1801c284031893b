"""Weights that are the mean of those that were trained, so that no schedule is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer, follow_squares, kept, powers

variants = {"schedule_free_adamw": "ScheduleFreeAdamW"}


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW (Defazio et al. 2024): steps from one point, answers from their mean.

    Three points are in play: the one that steps are added to, the mean of its places, and one
    between both, where gradients are taken. The optimiser that :meth:`make` gives has ``eval()``,
    which puts the mean into the model, and ``train()``, which puts back the very bits of the point
    between; training calls both. Keras has the point between only.

    As in the paper, places count by the square of their rate (with a warm-up the first ones hardly
    do; Keras counts all alike), and the decay is that of the point between.

    Args:
        learning_rate: Size of the steps; larger than Adam's.
        beta_1: Where the point between is: this share of the way to the mean. Above 0.
        beta_2: How much of the mean of squares stays in each step.
        epsilon: Keeps the denominator away from 0.
        warmup_steps: Steps in which the rate rises in a straight line.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[1.0]]))
        >>> optimizer = ScheduleFreeAdamW(0.5, beta_1=0.5).make([weight])
        >>> for _ in range(2):
        ...     weight.grad = torch.ones(1, 1)
        ...     optimizer.step()
        >>> training = weight.item()
        >>> optimizer.eval()
        >>> round(weight.item(), 4), round(training, 4)
        (0.25, 0.125)
        >>> optimizer.train()
        >>> weight.item() == training
        True
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.0025, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, warmup_steps: int = 0,
        weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.warmup_steps = warmup_steps
        self._demand(lambda value: 0 < value < 1, "above 0 and below 1", "beta_1")
        self._expect_share("beta_2")
        self._expect_above_0("epsilon")
        whole = isinstance(warmup_steps, int) and not isinstance(warmup_steps, bool)
        if not (whole and warmup_steps >= 0):
            raise ConfigError(
                f"Expected warmup_steps as a whole number of at least 0; received {warmup_steps!r}."
                " Type warmup_steps=500, for example."
            )

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _ScheduleFree(
            self._groups(parameters), beta_1=self.beta_1, beta_2=self.beta_2,
            epsilon=self.epsilon, warmup=self.warmup_steps, averaged=False,
        )  # fmt: skip


class _ScheduleFree(TorchOptimizer):
    decays: ClassVar[bool] = False

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "base": parameter.detach().clone(), "velocity": torch.zeros_like(parameter),
            "rate": 0.0, "total": 0.0,
        }  # fmt: skip

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if any(group["averaged"] for group in self.param_groups):
            raise NotReadyError(
                "Expected the weights of training; the model holds their mean. Type "
                "optimizer.train() before the gradients are taken."
            )
        return super().step(closure)

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        base, velocity = kept(states, "base"), kept(states, "velocity")
        follow_squares(velocity, slopes, group["beta_2"])
        below = torch._foreach_div(velocity, powers(states, group["beta_2"]))
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, group["epsilon"])
        steps = torch._foreach_div(slopes, below)
        if group["weight_decay"]:
            torch._foreach_add_(steps, weights, alpha=group["weight_decay"])
        rates, news = [], []
        for state in states:
            rate = group["lr"] * min(state["step"] / max(group["warmup"], 1), 1.0)
            state["rate"] = max(state["rate"], rate)
            state["total"] += state["rate"] ** 2
            rates.append(rate)
            news.append(state["rate"] ** 2 / state["total"] if state["total"] else 0.0)
        torch._foreach_lerp_(weights, base, news)
        ahead = [
            rate * (1 - group["beta_1"] * (1 - new))
            for rate, new in zip(rates, news, strict=True)
        ]  # fmt: skip
        torch._foreach_sub_(weights, torch._foreach_mul(steps, ahead))
        torch._foreach_mul_(steps, rates)
        torch._foreach_sub_(base, steps)

    @torch.no_grad()
    def eval(self) -> None:
        """Put the mean into the model; what was there is kept for :meth:`train`."""
        for group, parameter, state in self._moved(averaged=False):
            state["between"] = parameter.detach().clone()
            parameter.lerp_(state["base"], 1 - 1 / group["beta_1"])
        for group in self.param_groups:
            group["averaged"] = True

    @torch.no_grad()
    def train(self) -> None:
        """Put the weights that are trained back into the model, bit for bit."""
        for _, parameter, state in self._moved(averaged=True):
            parameter.copy_(state.pop("between"))
        for group in self.param_groups:
            group["averaged"] = False

    def _moved(self, *, averaged: bool) -> list[tuple[dict[str, Any], Tensor, dict[str, Any]]]:
        """Group, parameter and state of all that has moved, where the model holds that point."""
        return [
            (group, parameter, self.state[parameter])
            for group in self.param_groups
            if group["averaged"] is averaged
            for parameter in group["params"]
            if parameter in self.state and "base" in self.state[parameter]
        ]
