"""Head: how a task is answered. It turns features into outputs, has the loss and the decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

Features = dict[str, Tensor]
"""What a backbone gives: ``"pooled"`` [N, D], ``"sequence"`` [N, L, D] with ``"lengths"`` [N],
``"maps"`` [N, D, H, W], ``"raw"`` (what a whole network returns)."""
Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class Option:
    """An option of ``predict`` (a confidence, a beam width), with its default and limits."""

    default: Any
    meaning: str
    minimum: float | None = None
    maximum: float | None = None


class Head(nn.Module, ABC):
    """How a task is answered."""

    needs: ClassVar[str] = "pooled"
    joint: bool = False
    """Whether the loss couples examples, so that a batch cannot be split."""
    exact_in_columns: ClassVar[bool] = False
    """Whether metrics must be taken from decoded columns, which are finer than outputs."""
    options: ClassVar[dict[str, Option]] = {}

    @abstractmethod
    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        """Features to outputs; whatever loss and decode need travels in them."""

    @abstractmethod
    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Target columns to tensors (or Ragged), once for the whole data set."""

    @abstractmethod
    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Sum of the loss and count of what it sums over, per example: ``[N]`` and ``[N]``."""

    @abstractmethod
    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        """Predicted and expected values for metrics, flat: decisions or scores, and classes."""

    @abstractmethod
    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        """Outputs to columns: those that the data set stores, and companions (``label.scores``)."""

    @abstractmethod
    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        """One number per example, ``[N]``: what explanations explain (the decision's score)."""

    def begin(self, features: Features, targets: dict[str, Tensor], plain: int) -> None:  # noqa: B027
        """Start from what can be solved without gradient steps; most heads start as they are.

        Args:
            features: Of at most 20,000 training examples.
            targets: Encoded targets of the same examples.
            plain: How many of the features, counted from the first, are the input itself.
        """

    def stages(self) -> dict[str, nn.Module]:
        """The modules that export and quantisation act on, for heads that loop."""
        return {}


def sequence_mask(lengths: Tensor, longest: int) -> Tensor:
    """Which positions hold something, ``[N, longest]`` bool.

    Example:
        >>> sequence_mask(torch.tensor([2, 1]), 3).int().tolist()
        [[1, 1, 0], [1, 0, 0]]
    """
    return torch.arange(longest, device=lengths.device)[None, :] < lengths[:, None]
