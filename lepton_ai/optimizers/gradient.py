"""Gradient descent and its relatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError

variants = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}


class Optimizer(ABC):
    """How parameters follow their gradients; constructors only store their arguments."""

    learning_rate: float

    def _check(self) -> None:
        if not (isinstance(self.learning_rate, (int, float)) and self.learning_rate > 0):
            raise ConfigError(
                f"Expected a learning_rate above 0; received {self.learning_rate!r}. "
                "Usual values are between 0.0001 and 0.1."
            )

    @abstractmethod
    def make(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """PyTorch's optimiser over these parameters."""

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return dict(vars(self))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


def _groups(parameters: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, scales and other vectors do not."""
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}]
    return [g for g in [*groups, {"params": vectors, "weight_decay": 0.0}] if g["params"]]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wished."""

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False,
        *, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.weight_decay = weight_decay
        self._check()

    def make(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            _groups(parameters, self.weight_decay), lr=self.learning_rate, momentum=self.momentum,
            nesterov=self.nesterov, foreach=True,
        )  # fmt: skip


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), with Keras's epsilon of 1e-7."""

    def __init__(
        self, learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:  # fmt: skip
        self.learning_rate, self.beta_1, self.beta_2 = learning_rate, beta_1, beta_2
        self.epsilon = epsilon
        self._check()

    def make(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            parameters, lr=self.learning_rate, betas=(self.beta_1, self.beta_2), eps=self.epsilon,
            fused=True,
        )  # fmt: skip


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self, learning_rate: float = 0.001, weight_decay: float = 0.01, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-7,
    ) -> None:  # fmt: skip
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self._check()

    def make(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            _groups(parameters, self.weight_decay), lr=self.learning_rate,
            betas=(self.beta_1, self.beta_2), eps=self.epsilon, fused=True,
        )  # fmt: skip


class RMSprop(Optimizer):
    """Gradients divided by a running mean of their size (Hinton 2012)."""

    def __init__(
        self, learning_rate: float = 0.001, rho: float = 0.9, momentum: float = 0.0,
        epsilon: float = 1e-7,
    ) -> None:  # fmt: skip
        self.learning_rate, self.rho, self.momentum = learning_rate, rho, momentum
        self.epsilon = epsilon
        self._check()

    def make(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            parameters, lr=self.learning_rate, alpha=self.rho, momentum=self.momentum,
            eps=self.epsilon, foreach=True,
        )  # fmt: skip
