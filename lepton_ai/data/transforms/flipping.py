"""Flips: half of the samples mirrored, from side to side or upside down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.transform import Parameters, Transform, spatial
from lepton_ai.data.transforms.geometry import Geometric, checked_share

variants = {
    "random_horizontal_flip": "RandomHorizontalFlip",
    "random_vertical_flip": "RandomVerticalFlip",
}


class RandomHorizontalFlip(Geometric):
    """Mirror some samples from side to side, their masks with them.

    Args:
        probability: Share of the samples that are mirrored.
    """

    axis: ClassVar[int] = -1

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = checked_share("probability", probability)

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        return {"flip": torch.from_numpy(rng.random(count) < self.probability)}

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        flip = parameters["flip"]
        place = 0 if self.axis == -1 else 1
        matrix = torch.eye(3).repeat(len(flip), 1, 1)
        matrix[:, place, place] = torch.where(flip, -1.0, 1.0)
        return matrix

    @classmethod
    def apply_together(
        cls, steps: Sequence[tuple[Transform, Parameters]], columns: dict[str, Tensor],
        fields: dict[str, Field],
    ) -> dict[str, Tensor]:  # fmt: skip
        flips = [(s, drawn["flip"]) for s, drawn in steps if isinstance(s, RandomHorizontalFlip)]
        if len(flips) < len(steps):
            return Geometric.apply_together(steps, columns, fields)
        flipped = dict(columns)
        for name, _ in spatial(columns, fields):
            for step, flip in flips:
                flipped[name] = _mirror(flipped[name], flip, step.axis)
        return flipped


class RandomVerticalFlip(RandomHorizontalFlip):
    """Turn some samples upside down, their masks with them.

    Args:
        probability: Share of the samples that are turned.
    """

    axis: ClassVar[int] = -2


def _mirror(values: Tensor, flip: Tensor, axis: int) -> Tensor:
    """The samples where ``flip`` holds, mirrored: exact, nothing is resampled."""
    size = values.shape[axis]
    places = torch.arange(size)
    order = torch.where(flip[:, None], size - 1 - places, places)
    shape = [len(values)] + [1] * (values.ndim - 1)
    shape[axis] = size
    return values.gather(values.ndim + axis, order.view(shape).expand(values.shape))
