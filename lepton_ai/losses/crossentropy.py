"""Cross-entropies: of classes, of yes and no, and one that noise in the labels hurts less."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.losses.loss import EPSILON, Loss, activate, log_probabilities, per_example
from lepton_ai.losses.target import check_numbers, class_numbers, class_shares, yes_or_no

variants = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_generalized_cross_entropy": "CategoricalGeneralizedCrossEntropy",
}


class CategoricalCrossentropy(Loss):
    """Cross-entropy of classes, ``-sum(y log p)``; y may be numbers or one-hot rows.

    Places whose class number is -1 do not count. As Keras's class of this name.

    Args:
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes (Szegedy et al. 2016).

    Raises:
        ShapeError: The targets do not fit the outputs.
        DataError: A class number is outside of the classes.

    Example:
        >>> loss = CategoricalCrossentropy()
        >>> sums, counts = loss(torch.zeros(2, 4), torch.tensor([3, -1]), "softmax")
        >>> [round(value, 4) for value in sums.tolist()], counts.tolist()
        ([1.3863, 0.0], [1.0, 0.0])
    """

    classes: ClassVar[bool] = True

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        numbers = class_numbers(logits, expected)
        if numbers is not None:
            return per_example(self._of_numbers(logits, numbers, activation), numbers >= 0)
        shares, _ = class_shares(logits, expected, self.label_smoothing)
        logs = log_probabilities(logits, activation, self.from_logits)
        return per_example(-(shares * logs).sum(-1))

    def _of_numbers(self, logits: Tensor, numbers: Tensor, activation: str) -> Tensor:
        plain = activation == "softmax" or self.from_logits
        scores = logits if plain else log_probabilities(logits, activation, False)
        try:  # log-softmax of log-probabilities is themselves, so one call serves both
            return F.cross_entropy(
                scores.movedim(-1, 1), numbers, reduction="none", ignore_index=-1,
                label_smoothing=self.label_smoothing,
            )  # fmt: skip
        except IndexError:
            check_numbers(numbers, logits.shape[-1])
            raise


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    """Cross-entropy of classes given as numbers, ``-log p[y]``, as Keras's class of this name.

    Args:
        from_logits: The last layer has no activation, its outputs are logits.
        ignore_class: A class number that does not count, such as 255 for unlabelled pixels;
            -1 never counts.
        label_smoothing: Share of the probability spread over all classes.
    """

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(from_logits, label_smoothing)
        self.ignore_class = ignore_class

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        if self.ignore_class is not None:
            numbers = class_numbers(logits, expected)
            numbers = expected.argmax(-1) if numbers is None else numbers
            expected = torch.where(numbers == self.ignore_class, -1, numbers)
        return super().__call__(logits, expected, activation)


class BinaryCrossentropy(Loss):
    """Cross-entropy of yes and no, of each output on its own: ``-y log p - (1 - y) log(1 - p)``.

    Targets are 0, 1 or shares between; whole numbers of -1 do not count. As Keras's class of this
    name.

    Args:
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: How far 0 and 1 are moved towards the middle.

    Raises:
        ShapeError: The outputs are not as many as the targets.
        DataError: A target is not between 0 and 1.
    """

    classes: ClassVar[bool] = True

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        wanted, counted = yes_or_no(logits, expected, self.label_smoothing)
        loss = binary_crossentropy(logits, wanted, activation, self.from_logits)
        return per_example(loss * counted, counted)


class CategoricalGeneralizedCrossEntropy(Loss):
    """``(1 - p^q) / q`` of the right class: between cross-entropy (q -> 0) and absolute error.

    Wrong labels pull less on it than on cross-entropy (Zhang and Sabuncu 2018). As Keras's class
    of this name.

    Args:
        q: Between 0 and 1; higher bears more wrong labels and learns more slowly.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.
    """

    classes: ClassVar[bool] = True

    def __init__(
        self, q: float = 0.5, from_logits: bool = False, label_smoothing: float = 0.0
    ) -> None:
        if not 0 < q < 1:
            raise ConfigError(f"Expected q between 0 and 1, both excluded; received {q}. Type 0.5.")
        self.q, self.from_logits, self.label_smoothing = q, from_logits, label_smoothing

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        shares, counted = class_shares(logits, expected, self.label_smoothing)
        if activation == "softmax" or self.from_logits:
            logs = F.log_softmax(logits, dim=-1)
        elif activation == "sigmoid":
            logs = F.logsigmoid(logits)
        else:
            logs = activate(logits, activation).clamp_min(EPSILON).log()
        loss = -torch.expm1(self.q * logs) / self.q
        return per_example((shares * loss).sum(-1) * counted, counted)


def binary_crossentropy(
    logits: Tensor, wanted: Tensor, activation: str, from_logits: bool
) -> Tensor:
    """Cross-entropy of yes and no of each output, from the logits where they are known."""
    if activation == "sigmoid" or from_logits:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    share = activate(logits, activation).clamp(EPSILON, 1 - EPSILON)
    return F.binary_cross_entropy(share, wanted, reduction="none")
