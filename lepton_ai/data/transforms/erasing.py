"""Erasing: a rectangle of the picture is covered (Zhong et al. 2017, "Random Erasing")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.transform import Parameters, Transform, spatial
from lepton_ai.data.transforms.geometry import checked_share, span

variants = {"random_erasing": "RandomErasing"}


class RandomErasing(Transform):
    """Cover a rectangle of some pictures; masks stay, so the covered part must be guessed.

    Args:
        probability: Share of the samples that get a rectangle.
        scale: Smallest and largest share of the picture that it covers.
        ratio: Smallest and largest ratio of its height to its width.
        value: What it is filled with; ``None`` takes the mean colour of the picture.
    """

    def __init__(
        self, probability: float = 0.5, scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3), value: float | None = None,
    ) -> None:  # fmt: skip
        self.probability = checked_share("probability", probability)
        self.scale = [checked_share("scale", end) for end in span("scale", list(scale))]
        self.ratio = list(span("ratio", list(ratio)))
        self.value = value

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        area = rng.uniform(*self.scale, count)
        ratio = np.exp(rng.uniform(*np.log(np.maximum(self.ratio, 1e-3)), count))
        tall, wide = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
        hit = rng.random(count) < self.probability
        top, left = rng.random(count) * (1 - tall), rng.random(count) * (1 - wide)
        ends = np.stack([top, top + tall * hit, left, left + wide * hit], axis=1)
        return {"rectangle": torch.from_numpy(ends.astype(np.float32))}

    def apply(
        self, columns: dict[str, Tensor], parameters: Parameters, fields: dict[str, Field]
    ) -> dict[str, Tensor]:
        changed = dict(columns)
        for name, is_mask in spatial(columns, fields):
            if is_mask:
                continue
            pictures = columns[name]
            rows = _between(parameters["rectangle"][:, :2], pictures.shape[2])
            across = _between(parameters["rectangle"][:, 2:], pictures.shape[3])
            covered = rows[:, None, :, None] & across[:, None, None, :]
            if self.value is None:
                colour = pictures.float().mean(dim=(2, 3), keepdim=True).to(pictures.dtype)
            else:
                colour = torch.tensor(self.value).to(pictures.dtype)
            changed[name] = torch.where(covered, colour, pictures)
        return changed


def _between(ends: Tensor, size: int) -> Tensor:
    """Which of the ``size`` pixels lie between two ends given as shares, ``[N, size]``."""
    middles = (torch.arange(size) + 0.5) / size
    return (middles >= ends[:, :1]) & (middles < ends[:, 1:])
