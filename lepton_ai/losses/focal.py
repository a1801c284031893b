"""Focal cross-entropies: examples that are already right count less (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.losses.crossentropy import binary_crossentropy
from lepton_ai.losses.loss import EPSILON, Loss, activate, log_probabilities, per_example
from lepton_ai.losses.target import class_shares, yes_or_no

variants = {
    "focal": "Focal",
    "categorical_focal_crossentropy": "CategoricalFocalCrossentropy",
    "binary_focal_crossentropy": "BinaryFocalCrossentropy",
}


class Focal(Loss):
    """Focal loss of several classes, ``-alpha[y] (1 - p[y])^gamma log p[y]`` (Lin et al. 2017).

    y may be numbers or one-hot rows; places whose class number is -1 do not count.

    Args:
        gamma: How much what is already right loses weight; 0 is cross-entropy.
        alpha: Weight of each class, or one weight for all; ``None`` is 1.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.

    Example:
        >>> sums, counts = Focal(gamma=2.0)(torch.zeros(1, 2), torch.tensor([1]), "softmax")
        >>> round(float(sums), 4)  # a quarter of log 2
        0.1733
    """

    classes: ClassVar[bool] = True

    def __init__(
        self, gamma: float = 2.0, alpha: float | Sequence[float] | None = None,
        from_logits: bool = False, label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.gamma, self.from_logits, self.label_smoothing = gamma, from_logits, label_smoothing
        self.alpha = [float(a) for a in alpha] if isinstance(alpha, Sequence) else alpha

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        shares, counted = class_shares(logits, expected, self.label_smoothing)
        logs = log_probabilities(logits, activation, self.from_logits)
        rest = (-torch.expm1(logs)).clamp_min(EPSILON)  # 1 - p, exact where p is near 1
        loss = -self._weight(logs) * shares * rest.pow(self.gamma) * logs
        return per_example(loss.sum(-1) * counted, counted)

    def _weight(self, logs: Tensor) -> Tensor | float:
        if not isinstance(self.alpha, list):
            return 1.0 if self.alpha is None else self.alpha
        if len(self.alpha) != logs.shape[-1]:
            raise ShapeError(
                f"Expected a weight in alpha for each of the {logs.shape[-1]} classes; received "
                f"{len(self.alpha)}. Type one number, which holds for all, or "
                f"{logs.shape[-1]} of them."
            )
        return logs.new_tensor(self.alpha)


class CategoricalFocalCrossentropy(Focal):
    """Focal loss of several classes with one weight for all, as Keras's class of this name.

    Args:
        alpha: Weight of every class (or a list, one for each class).
        gamma: How much what is already right loses weight.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.
    """

    def __init__(
        self, alpha: float | Sequence[float] = 0.25, gamma: float = 2.0,
        from_logits: bool = False, label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(gamma, alpha, from_logits, label_smoothing)


class BinaryFocalCrossentropy(Loss):
    """Focal loss of yes and no, of each output on its own, as Keras's class of this name.

    ``(1 - p_t)^gamma`` times the binary cross-entropy, where ``p_t = y p + (1 - y)(1 - p)``
    (Lin et al. 2017). Whole numbers of -1 do not count.

    Args:
        apply_class_balancing: Whether yes weighs ``alpha`` and no ``1 - alpha``.
        alpha: The weight of yes.
        gamma: How much what is already right loses weight.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: How far 0 and 1 are moved towards the middle.
    """

    classes: ClassVar[bool] = True

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0,
        from_logits: bool = False, label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.from_logits, self.label_smoothing = from_logits, label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        wanted, counted = yes_or_no(logits, expected, self.label_smoothing)
        stable = activation == "sigmoid" or self.from_logits
        yes = torch.sigmoid(logits) if stable else activate(logits, activation)
        no = torch.sigmoid(-logits) if stable else 1 - yes
        wrong = (wanted * no + (1 - wanted) * yes).clamp_min(1e-12)
        loss = wrong.pow(self.gamma) * binary_crossentropy(
            logits, wanted, activation, self.from_logits
        )
        if self.apply_class_balancing:
            loss = loss * (wanted * self.alpha + (1 - wanted) * (1 - self.alpha))
        return per_example(loss * counted, counted)
