"""Metrics of distributions and margins: Kullback-Leibler, Poisson, hinge."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.metrics.reading import quantities, questions, score_rows, spread

variants = {
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
}


class _Averaged(Metric):
    """A mean over examples, the smaller the better."""

    higher_is_better: bool = False
    weighted: bool = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def compute(self) -> float:
        return self._mean.compute()


class KLDivergence(_Averaged):
    """Kullback-Leibler divergence of the scores from what is expected, ``sum(y log(y / p))``.

    Expected are distributions like the scores, or class numbers. As in Keras, shares below 1e-7
    count as 1e-7.
    """

    classes: bool = True
    wants: str = "scores"

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        if predicted.shape == expected.shape and predicted.ndim > 1 and predicted.shape[-1] > 1:
            shares = spread(weights, expected[..., 0])
            scores, wanted = predicted.double(), expected.double()
        else:
            scores, numbers, shares = score_rows(predicted, expected, weights)
            scores, wanted = scores.double(), F.one_hot(numbers, scores.shape[-1]).double()
        wanted, scores = wanted.clamp(1e-7, 1), scores.clamp(1e-7, 1)
        self._mean.add((wanted * (wanted / scores).log()).sum(-1), shares)


class Poisson(_Averaged):
    """Mean of ``p - y log p``, for counts and the rates predicted for them, as in Keras."""

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        found, wanted, share = quantities(predicted, expected, weights)
        self._mean.add(found - wanted * (found + 1e-7).log(), share)


class Hinge(_Averaged):
    """Mean of ``max(1 - y s, 0)`` with s the score of yes and y of -1 and 1.

    Two classes are one question (is it the second?), more are one for each class, as in Keras.

    Example:
        >>> hinge = Hinge()
        >>> hinge.update(torch.tensor([0.5, 0.5]), torch.tensor([1, 0]))
        >>> hinge.compute()
        1.0
    """

    classes: bool = True
    wants: str = "scores"

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, truth, share = questions(predicted, expected, weights)
        gap = (1 - (2 * truth.double() - 1) * scores.double()).clamp_min(0)
        self._mean.add(self.of(gap), None if share is None else share[:, None].expand(gap.shape))

    def of(self, gap: Tensor) -> Tensor:
        """How much a gap to the margin counts."""
        return gap


class SquaredHinge(Hinge):
    """Mean of ``max(1 - y s, 0)^2`` with s the score of yes and y of -1 and 1."""

    def of(self, gap: Tensor) -> Tensor:
        return gap.square()


class CategoricalHinge(_Averaged):
    """Mean of ``max(neg - pos + 1, 0)``: how far the right class is from leading by 1.

    ``pos`` is the score of the right class, ``neg`` the highest of the others, at least 0, as in
    Keras (after Crammer and Singer 2001).
    """

    classes: bool = True
    wants: str = "scores"

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        scores, numbers, share = score_rows(predicted, expected, weights)
        scores = scores.double()
        right = scores.gather(-1, numbers[:, None])[:, 0]
        own = F.one_hot(numbers, scores.shape[-1]).bool()
        wrong = torch.where(own, 0.0, scores).amax(-1)
        self._mean.add((wrong - right + 1).clamp_min(0), share)
