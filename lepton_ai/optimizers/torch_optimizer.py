"""TorchOptimizer: the base of optimisers that PyTorch lacks, or has otherwise than Keras.

A subclass says what it keeps for a parameter (``begin``) and how parameters move (``move``); whole
lists of tensors go through ``torch._foreach_*`` at once. What is kept are tensors and numbers only,
so that ``state_dict`` can be written without pickle and read back bit for bit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError


class TorchOptimizer(torch.optim.Optimizer):
    """Counts steps, takes the decay away, and hands on what moves, by device and type.

    Every state holds ``"step"``, the number of steps that the parameter has taken, as an int.
    """

    decays: ClassVar[bool] = True
    """Whether weights decay before ``move``; otherwise ``move`` sees to it."""

    def __init__(self, groups: list[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})
        self.register_load_state_dict_post_hook(_align_state)

    @abstractmethod
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """What is kept for a parameter before its first step."""

    @abstractmethod
    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        """Move weights of one group, device and type against their gradients."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        _align_slopes(self)
        for group in self.param_groups:
            for weights in _alike([p for p in group["params"] if p.grad is not None]):
                states = [self._state_of(weight, group) for weight in weights]
                if self.decays and group["weight_decay"]:
                    torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                self.move(group, weights, [w.grad for w in weights if w.grad is not None], states)
        return loss

    def _state_of(self, weight: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[weight]
        if not state:
            state.update({"step": 0, **self.begin(weight, group)})
        state["step"] += 1
        return state


def kept(states: list[dict[str, Any]], name: str) -> list[Any]:
    """One of the kept values of every parameter."""
    return [state[name] for state in states]


def powers(states: list[dict[str, Any]], base: float) -> list[float]:
    """``1 - base ** step`` of every parameter: what a running mean that began at 0 holds so far."""
    return [1 - base ** state["step"] for state in states]


def follow(means: list[Tensor], values: Sequence[Tensor], stays: float) -> None:
    """Running means: a share of each stays, the rest comes from the values."""
    values = list(values)
    torch._foreach_mul_(means, stays)
    torch._foreach_add_(means, values, alpha=1 - stays)


def follow_squares(means: list[Tensor], values: Sequence[Tensor], stays: float) -> None:
    """Running means of squares."""
    values = list(values)
    torch._foreach_mul_(means, stays)
    torch._foreach_addcmul_(means, values, values, 1 - stays)


def adam_directions(
    slopes: list[Tensor], states: list[dict[str, Any]], betas: tuple[float, float], epsilon: float
) -> list[Tensor]:
    """Adam's directions (Kingma and Ba 2015), from the ``"momentum"`` and ``"velocity"`` kept."""
    momentum, velocity = kept(states, "momentum"), kept(states, "velocity")
    follow(momentum, slopes, betas[0])
    follow_squares(velocity, slopes, betas[1])
    below = torch._foreach_div(velocity, powers(states, betas[1]))
    torch._foreach_sqrt_(below)
    torch._foreach_add_(below, epsilon)
    directions = torch._foreach_div(momentum, powers(states, betas[0]))
    torch._foreach_div_(directions, below)
    return list(directions)


def scaled(values: list[Tensor], factors: list[Tensor]) -> None:
    """Multiply each tensor by a factor of its own, which stays on its device."""
    for value, factor in zip(values, factors, strict=True):
        value.mul_(factor)


def _alike(weights: list[Any]) -> list[list[Any]]:
    """Parameters by device and type."""
    found: dict[tuple[torch.device, torch.dtype], list[Any]] = {}
    for weight in weights:
        found.setdefault((weight.device, weight.dtype), []).append(weight)
    return list(found.values())


def keep_layout(optimizer: torch.optim.Optimizer) -> None:
    """Let gradients and what one of PyTorch's optimisers keeps lie in memory as parameters do.

    PyTorch's fused steps walk through memory without a look at strides: a gradient or a reloaded
    mean in another layout (``channels_last``) would move the wrong weights. And sums over another
    layout round otherwise, so that a reloaded run would not give the same bits.
    """
    optimizer.register_step_pre_hook(_align_slopes)
    optimizer.register_load_state_dict_post_hook(_align_state)


@torch.no_grad()
def _align_slopes(optimizer: torch.optim.Optimizer, *unused: Any) -> None:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            slope = weight.grad
            if slope is None:
                continue
            if slope.is_sparse:
                raise ConfigError(
                    f"Expected a dense gradient; received a sparse one of shape "
                    f"{tuple(weight.shape)}. Type sparse=False where its embedding is made."
                )
            if slope.stride() != weight.stride():
                weight.grad = torch.empty_like(weight).copy_(slope)


@torch.no_grad()
def _align_state(optimizer: torch.optim.Optimizer) -> None:
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape and value.ndim > 1:
                same = value.stride() == weight.stride()
                state[name] = value if same else torch.empty_like(weight).copy_(value)
