"""Noise of the bell curve on pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.transform import Parameters, Transform, spatial
from lepton_ai.data.transforms.color import restored
from lepton_ai.errors import ConfigError

variants = {"gaussian_noise": "GaussianNoise"}

_BANK = 1 << 20


class GaussianNoise(Transform):
    """Add noise to each picture, its own at each pixel; masks stay as they are.

    Args:
        deviation: Standard deviation of the noise as a share of the range of the pixels (of 255
            for bytes, of 1 for floats).
    """

    def __init__(self, deviation: float = 0.05) -> None:
        if not isinstance(deviation, (int, float)) or deviation < 0:
            raise ConfigError(f"Expected deviation as a number from 0; received {deviation!r}.")
        self.deviation = deviation

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        # a whole epoch of noise would be as large as the data: draw where to read a fixed bank
        start = rng.integers(0, _BANK, count)
        sign = rng.choice(np.array([-1, 1], np.float32), count)
        return {"start": torch.from_numpy(start), "sign": torch.from_numpy(sign)}

    def apply(
        self, columns: dict[str, Tensor], parameters: Parameters, fields: dict[str, Field]
    ) -> dict[str, Tensor]:
        changed = dict(columns)
        for name, is_mask in spatial(columns, fields):
            if is_mask:
                continue
            pictures = columns[name]
            size = int(np.prod(pictures.shape[1:]))
            windows = _bank(-(-(_BANK + size) // _BANK)).unfold(0, size, 1)
            noise = windows[parameters["start"]] * parameters["sign"][:, None]
            strength = self.deviation * (255.0 if pictures.dtype == torch.uint8 else 1.0)
            noisy = pictures.float() + noise.view(pictures.shape) * strength
            changed[name] = restored(noisy, pictures)
        return changed


@cache
def _bank(times: int) -> Tensor:
    """A million numbers of the bell curve, always the same, so many times over."""
    numbers = np.random.default_rng(0).standard_normal(_BANK, dtype=np.float32)
    return torch.from_numpy(np.tile(numbers, times))
