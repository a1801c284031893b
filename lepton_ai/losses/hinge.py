"""Hinge losses: right answers are to be right by a margin."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import DataError
from lepton_ai.losses.loss import Loss, activate, per_example
from lepton_ai.losses.target import class_shares, quantities

variants = {
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
}


class Hinge(Loss):
    """``max(1 - y p, 0)`` with y of -1 and 1 (Cortes and Vapnik 1995), as Keras's class.

    Targets of 0 and 1 are read as -1 and 1.

    Args:
        label_smoothing: How far -1 and 1 are moved towards 0.

    Raises:
        DataError: A target is not between -1 and 1.

    Example:
        >>> sums, _ = Hinge()(torch.tensor([[0.5], [0.5]]), torch.tensor([1, 0]), "linear")
        >>> sums.tolist()
        [0.5, 1.5]
    """

    classes: ClassVar[bool] = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        wanted = quantities(predicted, expected)
        if wanted.numel():
            low, high = (float(value) for value in torch.aminmax(wanted))
            if low < -1 or high > 1:
                raise DataError(
                    f"Expected targets of -1 and 1, or of 0 and 1; received "
                    f"{high if high > 1 else low:g}. Type: loss='categorical_hinge' for classes."
                )
            if bool(((wanted == 0) | (wanted == 1)).all()):
                wanted = 2 * wanted - 1
        gap = 1 - wanted * (1 - self.label_smoothing) * predicted
        return per_example(self.of(gap.clamp_min(0)))

    def of(self, gap: Tensor) -> Tensor:
        """How much a gap to the margin counts."""
        return gap


class SquaredHinge(Hinge):
    """``max(1 - y p, 0)^2`` with y of -1 and 1, as Keras's class of this name."""

    def of(self, gap: Tensor) -> Tensor:
        return gap.square()


class CategoricalHinge(Loss):
    """``max(neg - pos + 1, 0)``: the right class is to lead the best wrong one by 1.

    ``pos`` is the output of the right class, ``neg`` the highest of the others, at least 0, as
    Keras's class of this name (after Crammer and Singer 2001). y may be numbers or one-hot rows;
    places whose class number is -1 do not count.

    Args:
        label_smoothing: Share of the target spread over all classes.
    """

    classes: ClassVar[bool] = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        shares, counted = class_shares(predicted, expected, self.label_smoothing)
        right = (shares * predicted).sum(-1)
        wrong = ((1 - shares) * predicted).amax(-1)
        return per_example((wrong - right + 1).clamp_min(0) * counted, counted)
