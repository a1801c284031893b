"""Sizes of gradients kept by row and column, in little memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import Tensor

from lepton_ai.optimizers.optimizer import Common, Optimizer
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule
from lepton_ai.optimizers.torch_optimizer import TorchOptimizer

variants = {"adafactor": "Adafactor"}


class Adafactor(Optimizer):
    """Adam's sizes from rows and columns alone, steps in proportion to weights (Shazeer 2018).

    Of the squares of a matrix only the means of its rows and columns are kept; of a convolution's
    kernel those of its channels, for each place.

    Args:
        learning_rate: Largest step as a share of the size of the weights.
        beta_2_decay: How fast the means of squares come to last: ``1 - step ** beta_2_decay`` of
            them stays.
        epsilon_1: Added to squares.
        epsilon_2: Size that weights count as at least, so that zeros can grow.
        clip_threshold: Largest root of the mean square of a direction.
        relative_step: Whether the rate falls below ``1 / sqrt(step)``. In Keras it does so whatever
            is said here.
        weight_decay: Share of each matrix, times the rate, that a step takes away.
        common: See :class:`~lepton_ai.optimizers.optimizer.Optimizer`.
    """

    def __init__(
        self, learning_rate: float | LearningRateSchedule = 0.001, beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30, epsilon_2: float = 1e-3, clip_threshold: float = 1.0,
        relative_step: bool = True, weight_decay: float | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay, **common)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, bool(relative_step)
        self._demand(lambda value: value <= 0, "of at most 0", "beta_2_decay")
        self._expect_above_0("epsilon_1", "clip_threshold")
        self._expect_at_least_0("epsilon_2")

    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        return _Adafactor(
            self._groups(parameters), power=self.beta_2_decay, epsilon=self.epsilon_1,
            least=self.epsilon_2, threshold=self.clip_threshold, relative=self.relative_step,
        )  # fmt: skip


class _Adafactor(TorchOptimizer):
    def begin(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if parameter.ndim < 2:
            return {"squares": torch.zeros_like(parameter)}
        shape = _plane(parameter).shape
        return {
            "rows": parameter.new_zeros(shape[:-1]),
            "columns": parameter.new_zeros((*shape[:-2], shape[-1])),
        }

    def move(
        self, group: dict[str, Any], weights: list[Tensor], slopes: list[Tensor],
        states: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        squares = torch._foreach_mul(slopes, slopes)
        torch._foreach_add_(squares, group["epsilon"])
        directions = [
            _direction(slope, square, state, state["step"] ** group["power"])
            for slope, square, state in zip(slopes, squares, states, strict=True)
        ]
        sizes, lengths = _sizes(weights), _sizes(directions)
        rates = [group["lr"] for _ in states]
        if group["relative"]:
            rates = [min(group["lr"], state["step"] ** -0.5) for state in states]
        for weight, direction, size, length, rate in zip(
            weights, directions, sizes, lengths, rates, strict=True
        ):
            within = (length / group["threshold"]).clamp_min(1.0)
            weight.sub_(direction * (size.clamp_min(group["least"]) * rate / within))


def _direction(slope: Tensor, square: Tensor, state: dict[str, Any], new: float) -> Tensor:
    """The gradient divided by its usual size, whose means take a share of the new squares."""
    if "squares" in state:
        return slope * state["squares"].lerp_(square, new).rsqrt()
    square = _plane(square)
    rows = state["rows"].lerp_(square.mean(-1), new)
    columns = state["columns"].lerp_(square.mean(-2), new)
    shares = rows / rows.mean(-1, keepdim=True)
    return slope * _back((shares[..., None] * columns[..., None, :]).rsqrt())


def _plane(tensor: Tensor) -> Tensor:
    """A tensor with the two axes that are factored at its end: the channels of a kernel."""
    return tensor if tensor.ndim == 2 else tensor.movedim((0, 1), (-2, -1))


def _back(plane: Tensor) -> Tensor:
    return plane if plane.ndim == 2 else plane.movedim((-2, -1), (0, 1))


def _sizes(tensors: list[Tensor]) -> list[Tensor]:
    """The root of the mean square of each tensor, kept on its device."""
    norms = torch._foreach_norm(tensors)
    return [norm / max(t.numel(), 1) ** 0.5 for norm, t in zip(norms, tensors, strict=True)]
