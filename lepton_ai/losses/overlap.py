"""Losses of overlap, for masks and rare classes: dice, Tversky, Lovász."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.losses.loss import EPSILON, Loss, activate, of_batch, per_example, probabilities
from lepton_ai.losses.target import class_shares, shares_or_yes, yes_or_no

variants = {
    "dice": "Dice",
    "tversky": "Tversky",
    "lovasz_softmax": "LovaszSoftmax",
    "lovasz_hinge": "LovaszHinge",
}


class _Pooled(Loss):
    """One minus a share of sums over some axes, or over the whole batch."""

    classes: ClassVar[bool] = True

    def __init__(
        self, axis: int | Sequence[int] | None, from_logits: bool, label_smoothing: float
    ) -> None:
        self.axis = list(axis) if isinstance(axis, Sequence) else axis
        self.from_logits, self.label_smoothing = from_logits, label_smoothing
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        self.joint = axes is None or 0 in axes

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        shares, counted = shares_or_yes(logits, expected, self.label_smoothing)
        predicted = probabilities(logits, activation, self.from_logits) * counted
        shares = shares * counted
        axes = list(range(logits.ndim)) if self.axis is None else self.axis
        listed = [axes] if isinstance(axes, int) else axes
        if any(not -logits.ndim < axis < logits.ndim for axis in listed):
            raise ShapeError(
                f"Expected axes of the outputs {list(logits.shape)}; received axis={self.axis}. "
                "Type: axis=None to sum over all of them."
            )
        loss = 1 - self.share(shares, predicted, [axis % logits.ndim for axis in listed])
        if 0 in [axis % logits.ndim for axis in listed]:
            return of_batch(loss.mean(), len(logits))
        return per_example(loss)

    @abstractmethod
    def share(self, expected: Tensor, predicted: Tensor, axes: list[int]) -> Tensor:
        """How much of the targets is covered: 1 is all."""


class Dice(_Pooled):
    """One minus the dice share, ``2 sum(y p) / (sum(y) + sum(p))``.

    Dice 1945; as a loss Milletari et al. 2016; as Keras's class of this name. y may be numbers,
    one-hot rows, or yes and no; places whose class number is -1 do not count.

    Args:
        axis: Axes of the outputs ``[N, ..., C]`` that are summed over. ``None`` is all of them: one
            figure for the batch, which then is not split (``joint``); ``[1, 2]`` is a figure for
            each picture and class.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.

    Raises:
        ShapeError: The targets do not fit the outputs.
    """

    def __init__(
        self, axis: int | Sequence[int] | None = None, from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(axis, from_logits, label_smoothing)

    def share(self, expected: Tensor, predicted: Tensor, axes: list[int]) -> Tensor:
        both = (expected * predicted).sum(axes)
        return 2 * both / (expected.sum(axes) + predicted.sum(axes) + EPSILON)


class Tversky(_Pooled):
    """One minus Tversky's share, ``tp / (tp + alpha missed + beta wrong)``.

    Tversky 1977; as a loss Salehi et al. 2017. As Keras's class of this name, where ``alpha``
    weighs what was missed, ``sum(y (1 - p))``, and ``beta`` what was wrong, ``sum((1 - y) p)``;
    with both 0.5 it is :class:`Dice`.

    Args:
        alpha: Weight of what was missed.
        beta: Weight of what was wrong.
        axis: Axes of the outputs that are summed over; ``None`` is all of them.
        from_logits: The last layer has no activation, its outputs are logits.
        label_smoothing: Share of the probability spread over all classes.
    """

    def __init__(
        self, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None,
        from_logits: bool = False, label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.alpha, self.beta = alpha, beta
        super().__init__(axis, from_logits, label_smoothing)

    def share(self, expected: Tensor, predicted: Tensor, axes: list[int]) -> Tensor:
        both = (expected * predicted).sum(axes)
        missed = expected.sum(axes) - both
        wrong = predicted.sum(axes) - both
        return both / (both + self.alpha * missed + self.beta * wrong + EPSILON)


class _Lovasz(Loss):
    """The Lovász extension of the Jaccard loss, over the batch or each example on its own."""

    classes: ClassVar[bool] = True

    def __init__(self, per_example: bool, from_logits: bool) -> None:
        self.per_example, self.from_logits = per_example, from_logits
        self.joint = not per_example

    def _given(self, loss: Tensor, counted: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """The loss of each example; those without a place that counts do not count."""
        if self.per_example:
            return loss, counted.flatten(1).any(1).to(loss.dtype)
        return of_batch(loss.sum(), size)


class LovaszSoftmax(_Lovasz):
    """Lovász softmax: a convex bound of one minus intersection over union, mean of the classes.

    Berman, Triki and Blaschko 2018; classes that do not occur are left out of the mean. y may be
    numbers or one-hot rows; places whose class number is -1 do not count.

    Args:
        per_example: Whether each example is ranked on its own, and not the batch as a whole
            (``joint``).
        from_logits: The last layer has no activation, its outputs are logits.
    """

    def __init__(self, per_example: bool = False, from_logits: bool = False) -> None:
        super().__init__(per_example, from_logits)

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = probabilities(logits, activation, self.from_logits)
        truth, counted = class_shares(logits, expected)
        gap = (truth - predicted).abs() * counted.unsqueeze(-1)
        gaps, truths = (_rows(part, self.per_example) for part in (gap, truth))
        loss = _extension(gaps, truths)  # [examples, classes]
        present = truths.sum(-1) > 0
        mean = (loss * present).sum(-1) / present.sum(-1).clamp_min(1)
        return self._given(mean, counted, len(logits))


class LovaszHinge(_Lovasz):
    """Lovász hinge: a convex bound of one minus intersection over union, for yes and no.

    Berman, Triki and Blaschko 2018 (after Yu and Blaschko 2015). It ranks ``1 - y z`` with z the
    logit and y of -1 and 1, so a sigmoid at the end is left out. Whole numbers of -1 do not count.

    Args:
        per_example: Whether each example is ranked on its own, and not the batch as a whole
            (``joint``).
        from_logits: The last layer has no activation (it makes no difference here).
    """

    def __init__(self, per_example: bool = True, from_logits: bool = False) -> None:
        super().__init__(per_example, from_logits)

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        truth, counted = yes_or_no(logits, expected)
        plain = activation == "sigmoid" or self.from_logits
        margins = logits if plain else activate(logits, activation)
        gap = (1 - margins * (2 * truth - 1)).clamp_min(0) * counted
        pairs = (part.flatten(1) if self.per_example else part.reshape(1, -1) for part in
                 (gap, truth * counted))  # fmt: skip
        return self._given(_extension(*pairs), counted, len(logits))


def _rows(values: Tensor, per_example: bool) -> Tensor:
    """``[N, ..., C]`` as ``[examples, C, places]``; the batch is one example unless told."""
    classes = values.shape[-1]
    whole = values.reshape(len(values), -1, classes) if per_example else values.reshape(
        1, -1, classes
    )  # fmt: skip
    return whole.transpose(1, 2)


def _extension(gaps: Tensor, truth: Tensor) -> Tensor:
    """Gaps, largest first, times what the Jaccard loss grows by as each place is missed."""
    ranked, order = gaps.sort(dim=-1, descending=True, stable=True)
    true = truth.gather(-1, order)
    total = true.sum(-1, keepdim=True)
    union = total + (1 - true).cumsum(-1)
    jaccard = 1 - (total - true.cumsum(-1)) / union.clamp_min(EPSILON)
    steps = torch.cat([jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]], dim=-1)
    return (ranked * steps).sum(-1)
