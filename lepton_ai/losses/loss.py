"""Loss: how wrong an output is; a sum and a count for each example.

Losses take the output before its last activation, with the activation's name, and compute stably:
softmax with cross-entropy goes through the logarithms, never through rounded probabilities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai import registry
from lepton_ai.errors import ConfigError

EPSILON = 1e-7
"""What keeps logarithms and divisions finite, as in Keras."""


class Loss(ABC):
    """A loss; constructors only store their arguments.

    Args:
        logits: The output before its last activation, ``[N, ...]``.
        expected: Class numbers, one-hot rows or numbers, as the loss takes them.
        activation: The name of the last activation (``"linear"`` when there is none).

    Returns:
        Sum of the loss and count of what it sums over, for each example: ``[N]`` and ``[N]``.
    """

    joint: bool = False
    """Whether it couples the examples of a batch, which then cannot be split or weighed."""
    classes: ClassVar[bool] = False
    """Whether it judges classes (and not quantities)."""
    from_logits: bool = False

    @abstractmethod
    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        """The loss of each example."""

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {name: value for name, value in vars(self).items() if name != "joint"}

    def to_config(self) -> dict[str, Any]:
        """The loss as JSON: its registered name and its arguments."""
        return {"loss": registry.name_of("losses", type(self)), **self.config()}


_ACTIVATIONS = {
    "linear": lambda x: x,
    "softmax": lambda x: torch.softmax(x, dim=-1),
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "exponential": torch.exp,
}


def activate(logits: Tensor, activation: str) -> Tensor:
    """Apply a last activation by its name."""
    if activation not in _ACTIVATIONS:
        raise ConfigError(
            f"Expected a last activation out of {', '.join(_ACTIVATIONS)}; received "
            f"{activation!r}.{registry.near_miss(activation, _ACTIVATIONS)}"
        )
    return _ACTIVATIONS[activation](logits)


def probabilities(logits: Tensor, activation: str, from_logits: bool) -> Tensor:
    """What the network says of each class; with ``from_logits`` the softmax (one unit: sigmoid)."""
    if from_logits and activation == "linear":
        return activate(logits, "softmax" if logits.shape[-1] > 1 else "sigmoid")
    return activate(logits, activation)


def log_probabilities(logits: Tensor, activation: str, from_logits: bool) -> Tensor:
    """Logarithms of class probabilities over the last axis, computed stably.

    A sigmoid at the end is read as in Keras: ``p / sum(p)``.
    """
    if activation == "softmax" or from_logits:
        return F.log_softmax(logits, dim=-1)
    if activation == "sigmoid":
        logs = F.logsigmoid(logits)
        return logs - torch.logsumexp(logs, dim=-1, keepdim=True)
    shares = activate(logits, activation)
    total = shares.sum(dim=-1, keepdim=True)
    shares = shares / torch.where(total == 0, torch.ones_like(total), total)
    return shares.clamp(EPSILON, 1 - EPSILON).log()


def per_example(values: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sum of what each example holds, and how much of it counts (all, without ``counted``)."""
    rows = values.flatten(1) if values.ndim > 1 else values.unsqueeze(1)
    if counted is None:
        return rows.sum(1), rows.new_full((len(rows),), rows.shape[1])
    marks = counted.flatten(1) if counted.ndim > 1 else counted.unsqueeze(1)
    return rows.sum(1), marks.sum(1).to(rows.dtype)


def of_batch(value: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """One figure of a whole batch, as the loss of each of its examples."""
    return value.expand(size), value.new_ones(size)
