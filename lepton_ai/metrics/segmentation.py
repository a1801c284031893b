"""Metrics of masks: intersection over union."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from lepton_ai.metrics.metric import Metric
from lepton_ai.metrics.moments import Meetings
from lepton_ai.metrics.reading import decisions, questions

variants = {"iou": "IoU", "mean_iou": "MeanIoU", "binary_iou": "BinaryIoU"}


class _Overlap(Metric):
    """Intersection over union of each class, pooled over all places, and a mean of them."""

    while_training: bool = False
    classes: bool = True
    weighted: bool = True

    def reset(self) -> None:
        self._met = Meetings()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._met.add(*decisions(predicted, expected, weights))

    def counts(self, number: int) -> bool:
        """Whether a class is part of the mean."""
        return True

    def per_class(self) -> list[float]:
        """The figure of each class; NaN for those that neither occur nor were predicted."""
        both = self._met.right
        either = self._met.decided + self._met.expected - both
        return [float(b / e) if e > 0 else math.nan for b, e in zip(both, either, strict=True)]

    def compute(self) -> float:
        figures = [
            f for c, f in enumerate(self.per_class()) if self.counts(c) and not math.isnan(f)
        ]
        return sum(figures) / len(figures) if figures else math.nan


class IoU(_Overlap):
    """Intersection over union, pooled over all pixels, averaged over the classes (Jaccard 1901).

    Args:
        background: Class that is left out of the mean; ``None`` counts all.

    Example:
        >>> import torch
        >>> iou = IoU()
        >>> iou.update(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 0]))
        >>> iou.compute()
        0.5
    """

    def __init__(self, background: int | None = 0) -> None:
        self.background = background
        self.reset()

    def counts(self, number: int) -> bool:
        return number != self.background


class MeanIoU(_Overlap):
    """Intersection over union, averaged over all classes that occur, as in Keras.

    Args:
        num_classes: How many classes there are; they need not be told.
        ignore_class: An expected class whose places do not count, such as 255.
    """

    def __init__(self, num_classes: int | None = None, ignore_class: int | None = None) -> None:
        self.num_classes, self.ignore_class = num_classes, ignore_class
        self.reset()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        decided, wanted, weights = decisions(predicted, expected, weights)
        if self.ignore_class is not None:
            kept = wanted != self.ignore_class
            decided, wanted = decided[kept], wanted[kept]
            weights = None if weights is None else weights[kept]
        self._met.add(decided, wanted, weights)

    def counts(self, number: int) -> bool:
        return self.num_classes is None or number < self.num_classes


class BinaryIoU(_Overlap):
    """Intersection over union of no and yes, with yes from a threshold on, as in Keras.

    Args:
        target_class_ids: Which of no (0) and yes (1) are part of the mean.
        threshold: The score from which the answer is yes.
    """

    wants: str = "scores"

    def __init__(self, target_class_ids: Sequence[int] = (0, 1), threshold: float = 0.5) -> None:
        self.target_class_ids, self.threshold = list(target_class_ids), threshold
        self.reset()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, truth, weights = questions(predicted, expected, weights)
        share = None if weights is None else weights[:, None].expand(truth.shape).reshape(-1)
        said = (scores >= self.threshold).reshape(-1)
        self._met.add(said.long(), truth.reshape(-1).long(), share)

    def counts(self, number: int) -> bool:
        return number in self.target_class_ids
