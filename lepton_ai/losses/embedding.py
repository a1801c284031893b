"""Losses of embeddings: like examples near one another, others apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.losses.loss import Loss, activate, per_example
from lepton_ai.losses.target import yes_or_no
from lepton_ai.registry import near_miss

variants = {
    "contrastive": "Contrastive",
    "triplet": "Triplet",
    "info_nce": "InfoNCE",
    "circle": "Circle",
}


class Contrastive(Loss):
    """Contrastive loss of pairs, ``y d^2 + (1 - y) max(margin - d, 0)^2``.

    Hadsell, Chopra and LeCun 2006 (without the half). The network gives the distance d of the two
    examples of a pair; y is 1 for a pair of the same kind, 0 for others.

    Args:
        margin: The distance from which a pair of different kinds is far enough.
    """

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = margin

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        distance = activate(logits, activation)
        alike, counted = yes_or_no(distance, expected)
        apart = (self.margin - distance).clamp_min(0)
        loss = alike * distance.square() + (1 - alike) * apart.square()
        return per_example(loss * counted, counted)


class _Embedded(Loss):
    """A loss of embeddings ``[N, D]`` whose examples have class numbers ``[N]``.

    Embeddings ``[N, V, D]`` are V views of each example, all with its number. Examples whose
    number is negative take no part.
    """

    joint: bool = True

    def _read(
        self, logits: Tensor, expected: Tensor, activation: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings ``[N V, D]``; which pairs are of one kind, and which of different kinds."""
        rows = activate(logits, activation)
        if expected.ndim == 2:
            expected = expected[:, 0] if expected.shape[1] == 1 else expected.argmax(1)
        if rows.ndim not in (2, 3) or expected.shape != rows.shape[:1] or rows.shape[-1] < 2:
            raise ShapeError(
                "Expected embeddings [N, D] (or [N, views, D]) with D of 2 or more, and a class "
                f"number for each example, [N]; received {list(rows.shape)} and "
                f"{list(expected.shape)}. Type: Dense(64) as the last layer."
            )
        numbers = expected.long()
        if rows.ndim == 3:
            numbers, rows = numbers.repeat_interleave(rows.shape[1]), rows.flatten(0, 1)
        known = (numbers >= 0)[:, None] & (numbers >= 0)[None, :]
        same = numbers[:, None] == numbers[None, :]
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        return rows, same & known & ~itself, ~same & known


class Triplet(_Embedded):
    """Triplet loss, ``max(d(a, p) - d(a, n) + margin, 0)``, its triplets found in the batch.

    Embeddings come as ``[N, D]``, with class numbers ``[N]``; it couples the examples of a batch,
    so a batch should hold several examples of each class. Distances are Euclidean, or squared.

    Args:
        margin: How much farther the other kind is to be.
        mining: ``"hard"`` takes each anchor's farthest of its kind and nearest of another (Hermans
            et al. 2017); ``"semi_hard"`` takes, for each pair of a kind, the nearest other that is
            farther than the pair, or the farthest when there is none (Schroff et al. 2015).
        squared: Whether distances are squared.
        normalize: Whether embeddings are brought to length 1 first.

    Raises:
        ShapeError: There is not one class number for each embedding.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 4.0]])
        >>> sums, counts = Triplet()(points, torch.tensor([0, 0, 1]), "linear")
        >>> sums.tolist(), counts.tolist()  # the third has no other of its kind
        ([0.0, 0.0, 0.0], [1.0, 1.0, 0.0])
    """

    def __init__(
        self, margin: float = 1.0, mining: str = "hard", squared: bool = False,
        normalize: bool = False,
    ) -> None:  # fmt: skip
        if mining not in ("hard", "semi_hard"):
            raise ConfigError(
                f"Expected mining 'hard' or 'semi_hard'; received {mining!r}."
                f"{near_miss(mining, ['hard', 'semi_hard'])}"
            )
        self.margin, self.mining, self.squared = margin, mining, squared
        self.normalize = normalize

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        rows, alike, other = self._read(logits, expected, activation)
        if self.normalize:
            rows = F.normalize(rows, dim=-1)
        distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
        if self.squared:
            distance = distance.square()
        anchors = _hard if self.mining == "hard" else _semi_hard
        loss, counted = anchors(distance, alike, other, self.margin)
        size = len(logits)
        return loss.reshape(size, -1).sum(1), counted.reshape(size, -1).sum(1).to(loss.dtype)


def _hard(
    distance: Tensor, alike: Tensor, other: Tensor, margin: float
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Of each anchor: the loss of its hardest triplet, and whether it has one."""
    used = alike.any(1) & other.any(1)
    farthest = distance.masked_fill(~alike, 0).amax(1)
    highest = distance.detach().max() if distance.numel() else 0.0
    nearest = distance.masked_fill(~other, float(highest)).amin(1)
    return (farthest - nearest + margin).clamp_min(0) * used, used


def _semi_hard(
    distance: Tensor, alike: Tensor, other: Tensor, margin: float
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Of each anchor: the loss of its pairs with their semi-hard third, and how many pairs."""
    found = distance.detach()
    beyond = other[:, None, :] & (found[:, None, :] > found[:, :, None])  # anchor, like, third
    nearest = torch.where(beyond, found[:, None, :], torch.inf).argmin(-1)
    farthest = torch.where(other, found, -torch.inf).argmax(-1, keepdim=True)
    third = torch.where(beyond.any(-1), nearest, farthest.expand_as(nearest))
    pairs = alike & other.any(1, keepdim=True)
    loss = (distance - distance.gather(1, third) + margin).clamp_min(0) * pairs
    return loss.sum(1), pairs.sum(1)


class InfoNCE(_Embedded):
    """InfoNCE: an example is to be nearer to its kind than to the rest of the batch.

    ``-log(exp(s(a, p) / t) / sum over k of exp(s(a, k) / t))``, the mean over the others p of the
    anchor's kind, with s the cosine and k all examples but the anchor: van den Oord et al. 2018,
    Chen et al. 2020 (two views, each example a kind of its own), Khosla et al. 2020 (kinds are
    classes). Embeddings are ``[N, D]``, or ``[N, views, D]``.

    Args:
        temperature: Divides the cosines; small ones make near examples count more.

    Raises:
        ShapeError: There is not one class number for each embedding.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        if temperature <= 0:
            raise ConfigError(f"Expected a temperature above 0; received {temperature}. Type 0.1.")
        self.temperature = temperature

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        rows, alike, other = self._read(logits, expected, activation)
        rows = F.normalize(rows, dim=-1)
        scores = rows @ rows.T / self.temperature
        used = alike.any(1)
        everyone = (alike | other) | ~used[:, None]  # anchors without a pair: finite, and unused
        logs = scores - scores.masked_fill(~everyone, -torch.inf).logsumexp(1, keepdim=True)
        loss = -(logs * alike).sum(1) / alike.sum(1).clamp_min(1)
        size = len(logits)
        return loss.reshape(size, -1).sum(1), used.reshape(size, -1).sum(1).to(loss.dtype)


class Circle(_Embedded):
    """Circle loss: pairs far from where they should be pull harder (Sun et al. 2020).

    As Keras's class of this name: embeddings of length 1 (``UnitNormalization`` as the last
    layer), d = 1 - cosine, and anchors whose loss is 0 left out of the mean.

    Args:
        gamma: Scale of the pull.
        margin: How near a kind is to be, and how far others.
        remove_diagonal: Whether an example is no pair with itself.

    Raises:
        ShapeError: There is not one class number for each embedding.
    """

    def __init__(
        self, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True
    ) -> None:
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        rows, alike, other = self._read(logits, expected, activation)
        if not self.remove_diagonal:
            alike = alike | torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        distance = (1 - rows @ rows.T).clamp_min(0)
        near = -self.gamma * (self.margin + distance) * (self.margin - distance)
        far = self.gamma * (1 + self.margin - distance).clamp_min(0) * (1 - self.margin - distance)
        used = alike.any(1) & other.any(1)
        total = _log_sum(near, alike, used) + _log_sum(far, other, used)
        loss = F.softplus(total) * used
        size = len(logits)
        counted = (loss > 0).reshape(size, -1).sum(1).to(loss.dtype)
        return loss.reshape(size, -1).sum(1), counted


def _log_sum(values: Tensor, kept: Tensor, used: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials of what is kept; 0 in rows that are not used."""
    masked = values.masked_fill(~kept, -torch.inf).masked_fill(~used[:, None], 0.0)
    return masked.logsumexp(1)
