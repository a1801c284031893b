"""Shifts, zooms, and turns with both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.transform import Parameters
from lepton_ai.data.transforms.geometry import Geometric, affine, checked_interpolation, span

variants = {
    "random_translation": "RandomTranslation",
    "random_translate": "RandomTranslation",
    "random_zoom": "RandomZoom",
    "random_affine": "RandomAffine",
}

Range = float | Sequence[float]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _uniform(rng: np.random.Generator, ends: tuple[float, float], count: int) -> Tensor:
    return torch.from_numpy(rng.uniform(*ends, count).astype(np.float32))


class RandomTranslation(Geometric):
    """Shift each sample up or down and to a side.

    Args:
        height_factor: How far down or up at most, as a share of the height; or lowest and highest.
        width_factor: How far to a side at most, as a share of the width; or lowest and highest.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill: What comes in at the edges.
    """

    def __init__(
        self, height_factor: Range = 0.1, width_factor: Range = 0.1,
        interpolation: str = "bilinear", fill: float = 0,
    ) -> None:  # fmt: skip
        span("height_factor", height_factor), span("width_factor", width_factor)
        self.height_factor, self.width_factor = _plain(height_factor), _plain(width_factor)
        self.interpolation = checked_interpolation(interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        down = span("height_factor", self.height_factor)
        across = span("width_factor", self.width_factor)
        return {"down": _uniform(rng, down, count), "across": _uniform(rng, across, count)}

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        return affine(height, width, shift_y=parameters["down"], shift_x=parameters["across"])


class RandomZoom(Geometric):
    """Enlarge or shrink each sample about its middle.

    Args:
        factor: How much at most (0.2: 0.8 to 1.2 times as large); or the lowest and highest.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill: What comes in at the edges when it shrinks.
    """

    def __init__(
        self, factor: Range = 0.2, interpolation: str = "bilinear", fill: float = 0
    ) -> None:
        _scales("factor", factor)
        self.factor = _plain(factor)
        self.interpolation = checked_interpolation(interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        return {"scale": _uniform(rng, _scales("factor", self.factor), count)}

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        return affine(height, width, scale_y=parameters["scale"], scale_x=parameters["scale"])


class RandomAffine(Geometric):
    """Turn, shift, scale and shear each sample at once.

    Args:
        degrees: How far it turns at most, both ways; or lowest and highest, counter-clockwise.
        translate: How far it shifts at most, as a share of the height and of the width.
        scale: How much larger or smaller at most; or the lowest and highest scale.
        shear: How far it leans at most, in degrees; or lowest and highest.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill: What comes in at the edges.
    """

    def __init__(
        self, degrees: Range = 15, translate: Range = 0.1, scale: Range = 0.1, shear: Range = 0,
        interpolation: str = "bilinear", fill: float = 0,
    ) -> None:  # fmt: skip
        span("degrees", degrees), span("translate", translate), span("shear", shear)
        _scales("scale", scale)
        self.degrees, self.translate = _plain(degrees), _plain(translate)
        self.scale, self.shear = _plain(scale), _plain(shear)
        self.interpolation = checked_interpolation(interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        shift = span("translate", self.translate)
        return {
            "angle": _uniform(rng, span("degrees", self.degrees), count),
            "down": _uniform(rng, shift, count),
            "across": _uniform(rng, shift, count),
            "scale": _uniform(rng, _scales("scale", self.scale), count),
            "shear": _uniform(rng, span("shear", self.shear), count),
        }

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        return affine(
            height, width, angle=parameters["angle"], shear=parameters["shear"],
            scale_y=parameters["scale"], scale_x=parameters["scale"],
            shift_y=parameters["down"], shift_x=parameters["across"],
        )  # fmt: skip


def _scales(name: str, value: Any) -> tuple[float, float]:
    """The ends of a range of scales, none of them at or below 0."""
    low, high = span(name, value, middle=1.0)
    return max(low, 0.05), max(high, 0.05)
