"""Crops: a part of the picture, scaled back to the picture's own size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.transform import Parameters
from lepton_ai.data.transforms.geometry import Geometric, checked_interpolation
from lepton_ai.errors import ConfigError

variants = {"random_crop": "RandomCrop"}


class RandomCrop(Geometric):
    """Cut a part out of each sample, at a place of its own.

    The result has the size of the picture, because a network sees pictures of one size: without
    ``size`` the picture is padded and cut back, which shifts it by whole pixels; with ``size`` the
    part is scaled up.

    Args:
        size: Height and width of the part in pixels (or one number); ``None`` takes the picture's.
        padding: Pixels added on each side before cutting; ``None`` takes an eighth of the shorter
            side without ``size``, else 0.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill: What the padding holds.
    """

    def __init__(
        self, size: int | Sequence[int] | None = None, padding: int | None = None,
        interpolation: str = "bilinear", fill: float = 0,
    ) -> None:  # fmt: skip
        sides = [size, size] if isinstance(size, int) else list(size) if size is not None else None
        if sides is not None and (len(sides) != 2 or min(sides) < 1):
            raise ConfigError(f"Expected size as height and width in pixels; received {size!r}.")
        if padding is not None and padding < 0:
            raise ConfigError(f"Expected padding in pixels, from 0; received {padding!r}.")
        self.size = sides
        self.padding = padding
        self.interpolation = checked_interpolation(interpolation)
        self.fill = fill

    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        places = torch.from_numpy(rng.random((count, 2)).astype(np.float32))
        return {"top": places[:, 0], "left": places[:, 1]}

    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        tall, wide = self.size or (height, width)
        padding = self.padding
        if padding is None:
            padding = min(height, width) // 8 if self.size is None else 0
        room_y, room_x = height + 2 * padding - tall, width + 2 * padding - wide
        if room_y < 0 or room_x < 0:
            raise ConfigError(
                f"Expected a part no larger than the picture of {height} x {width} with padding "
                f"{padding}; received size={self.size}."
            )
        top = (parameters["top"] * (room_y + 1)).floor().clamp_max(room_y) - padding
        left = (parameters["left"] * (room_x + 1)).floor().clamp_max(room_x) - padding
        matrix = torch.zeros(len(top), 3, 3)
        matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2] = wide / width, tall / height, 1
        matrix[:, 0, 2] = (2 * left + wide) / width - 1
        matrix[:, 1, 2] = (2 * top + tall) / height - 1
        return matrix
