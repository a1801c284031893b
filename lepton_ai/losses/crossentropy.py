"""Cross-entropies: of classes, of yes and no."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import DataError, ShapeError
from lepton_ai.losses.loss import Loss, activate, log_probabilities

variants = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
}


class CategoricalCrossentropy(Loss):
    """Cross-entropy of classes; the classes may be numbers or one-hot rows.

    Args:
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.
    """

    classes: ClassVar[bool] = True

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        count = logits.shape[-1]
        if count < 2:
            raise ShapeError(
                f"Expected an output for each class; the last layer has {count} unit. For two "
                "classes on one unit type: loss='binary_crossentropy'."
            )
        if expected.ndim == logits.ndim and expected.shape[-1] == 1:
            expected = expected[..., 0]
        if expected.ndim == logits.ndim:
            return self._of_shares(logits, expected, activation)
        loss = self._of_numbers(logits, expected.long(), activation)
        counted = expected >= 0
        return loss.flatten(1).sum(1) if loss.ndim > 1 else loss, _per_example(counted, loss.dtype)

    def _of_numbers(self, logits: Tensor, numbers: Tensor, activation: str) -> Tensor:
        plain = activation == "softmax" or self.from_logits
        scores = logits if plain else log_probabilities(logits, activation, False)
        try:  # log-softmax of log-probabilities is themselves, so one call serves both
            return F.cross_entropy(
                scores.movedim(-1, 1), numbers, reduction="none", ignore_index=-1,
                label_smoothing=self.label_smoothing,
            )  # fmt: skip
        except IndexError:
            _check_numbers(numbers, logits.shape[-1])
            raise

    def _of_shares(
        self, logits: Tensor, expected: Tensor, activation: str
    ) -> tuple[Tensor, Tensor]:
        count = logits.shape[-1]
        if expected.shape != logits.shape:
            raise ShapeError(
                f"Expected one-hot rows of {count} classes; received {expected.shape[-1]}. "
                f"Type: Dense({expected.shape[-1]}, activation='softmax')."
            )
        logs = log_probabilities(logits, activation, self.from_logits)
        shares = expected.to(logs.dtype)
        if self.label_smoothing:
            shares = shares * (1 - self.label_smoothing) + self.label_smoothing / count
        loss = -(shares * logs).sum(-1)
        counted = torch.ones_like(loss)
        return loss.flatten(1).sum(1) if loss.ndim > 1 else loss, _per_example(counted, loss.dtype)


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    """Cross-entropy of classes given as numbers."""


class BinaryCrossentropy(Loss):
    """Cross-entropy of yes and no, of each output on its own.

    Args:
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: How far 0 and 1 are moved towards the middle.
    """

    classes: ClassVar[bool] = True

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        if expected.ndim == logits.ndim - 1 and logits.shape[-1] == 1:
            expected = expected.unsqueeze(-1)
        if expected.shape != logits.shape:
            raise ShapeError(
                f"Expected outputs like the targets, {list(expected.shape[1:]) or [1]}; the last "
                f"layer gives {list(logits.shape[1:])}. Type: Dense(1, activation='sigmoid')."
            )
        wanted = expected.to(logits.dtype)
        if self.label_smoothing:
            wanted = wanted * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        if activation == "sigmoid" or self.from_logits:
            loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        else:
            share = activate(logits, activation).clamp(1e-7, 1 - 1e-7)
            loss = F.binary_cross_entropy(share, wanted, reduction="none")
        flat = loss.flatten(1)
        return flat.sum(1), flat.new_full((len(flat),), flat.shape[1])


def _check_numbers(numbers: Tensor, count: int) -> None:
    low, high = int(numbers.min()), int(numbers.max())
    if high >= count or low < -1:
        raise DataError(
            f"Expected class numbers from 0 to {count - 1} (the last layer has {count} units); "
            f"received {high if high >= count else low}. "
            f"Type: Dense({max(high + 1, count)}, activation='softmax')."
        )


def _per_example(counted: Tensor, dtype: torch.dtype) -> Tensor:
    return (counted.flatten(1).sum(1) if counted.ndim > 1 else counted).to(dtype)
