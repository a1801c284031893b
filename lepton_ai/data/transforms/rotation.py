"""Rotation about the middle of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.transform import Parameters
from lepton_ai.data.transforms.geometry import Geometric, affine, checked_interpolation, span

variants = {"random_rotation": "RandomRotation"}


class RandomRotation(Geometric):
    """Turn each sample by an angle of its own, its masks with it.

    Args:
        degrees: How far at most, both ways; or the lowest and the highest angle, counter-clockwise.
        interpolation: ``"bilinear"`` (the mean of four pixels) or ``"nearest"``.
        fill: What comes in at the corners; 0 is black.

    Example:
        >>> RandomRotation(degrees=30)
        RandomRotation(degrees=30, interpolation='bilinear', fill=0)
    """

    def __init__(
        self,
        degrees: float | Sequence[float] = 15,
        interpolation: str = "bilinear",
        fill: float = 0,
    ) -> None:
        span("degrees", degrees)
        self.degrees = list(degrees) if isinstance(degrees, (list, tuple)) else degrees
        self.interpolation = checked_interpolation(interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        low, high = span("degrees", self.degrees)
        return {"angle": torch.from_numpy(rng.uniform(low, high, count).astype(np.float32))}

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        return affine(height, width, angle=parameters["angle"])
