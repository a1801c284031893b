"""Colour: brightness, contrast and saturation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.transform import Parameters, Transform, spatial
from lepton_ai.data.transforms.geometry import span

variants = {
    "color_jitter": "ColorJitter",
    "random_brightness": "RandomBrightness",
    "random_contrast": "RandomContrast",
}

Range = float | Sequence[float]


class ColorJitter(Transform):
    """Make each picture brighter or darker, harder or softer, more or less colourful.

    Masks stay as they are. Bytes are kept within 0 to 255; floats are not cut.

    Args:
        brightness: How much at most (0.2: 0.8 to 1.2 times as bright); or the lowest and highest.
        contrast: How much at most, about the mean of the picture.
        saturation: How much at most; 0 leaves colours alone. Nothing on grey pictures.
    """

    def __init__(
        self, brightness: Range = 0.2, contrast: Range = 0.2, saturation: Range = 0
    ) -> None:
        for name, value in (
            ("brightness", brightness), ("contrast", contrast), ("saturation", saturation),
        ):  # fmt: skip
            span(name, value, middle=1.0)
            setattr(self, name, list(value) if isinstance(value, (list, tuple)) else value)

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        drawn = {}
        for name, value in vars(self).items():
            low, high = span(name, value, middle=1.0)
            factors = rng.uniform(max(low, 0.0), max(high, 0.0), count).astype(np.float32)
            drawn[name] = torch.from_numpy(factors)
        return drawn

    def apply(
        self, columns: dict[str, Tensor], parameters: Parameters, fields: dict[str, Field]
    ) -> dict[str, Tensor]:
        one = {name: values.view(-1, 1, 1, 1) for name, values in parameters.items()}
        changed = dict(columns)
        for name, is_mask in spatial(columns, fields):
            if is_mask:
                continue
            pictures = columns[name].float()
            if "brightness" in one:
                pictures = pictures * one["brightness"]
            if "contrast" in one:
                mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
                pictures = mean + (pictures - mean) * one["contrast"]
            if pictures.shape[1] == 3 and getattr(self, "saturation", 0):
                weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
                grey = (pictures * weights).sum(1, keepdim=True)
                pictures = grey + (pictures - grey) * one["saturation"]
            changed[name] = restored(pictures, columns[name])
        return changed


class RandomBrightness(ColorJitter):
    """Make each picture brighter or darker.

    Args:
        factor: How much at most (0.2: 0.8 to 1.2 times as bright); or the lowest and highest.
    """

    def __init__(self, factor: Range = 0.2) -> None:
        span("factor", factor, middle=1.0)
        self.factor = list(factor) if isinstance(factor, (list, tuple)) else factor

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        return {"brightness": super().draw(rng, count)["factor"]}


class RandomContrast(RandomBrightness):
    """Make each picture harder or softer, about its mean.

    Args:
        factor: How much at most (0.2: 0.8 to 1.2 times the contrast); or the lowest and highest.
    """

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        return {"contrast": super().draw(rng, count)["brightness"]}


def restored(pictures: Tensor, like: Tensor) -> Tensor:
    """Floats in the type of the pictures that they were made of; bytes are rounded and cut."""
    if like.dtype == torch.uint8:  # int16 in between: torch has no fast way from float32 to bytes
        return pictures.clamp(0, 255).add_(0.5).to(torch.int16).to(torch.uint8)
    return pictures.to(like.dtype)
