"""Images brought to a size: resized, or cut out of the middle."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.window import as_data_format, check_places

variants = ("Resizing", "CenterCrop")

_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact", "bicubic": "bicubic", "area": "area"}


def decimal(layer: Layer, x: Tensor) -> Tensor:
    """An image of whole numbers as decimal ones."""
    return x if x.is_floating_point() else x.to(layer.weight_type())


def resized(
    x: Tensor, size: tuple[int, int], interpolation: str = "bilinear", antialias: bool = False
) -> Tensor:
    """Images ``[batch, channels, height, width]`` in another size."""
    mode = _MODES[interpolation]
    if mode in ("bilinear", "bicubic"):
        return F.interpolate(x, size, mode=mode, align_corners=False, antialias=antialias)
    return F.interpolate(x, size, mode=mode)


def widest_cut(height: int, width: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest cut from the middle with the proportions of ``size``: top, left, height, width.

    Example:
        >>> widest_cut(10, 20, (5, 5))
        (0, 5, 10, 10)
    """
    high = max(min(height, width * size[0] // size[1]), 1)
    wide = max(min(width, height * size[1] // size[0]), 1)
    return (height - high) // 2, (width - wide) // 2, high, wide


def cut_to_fit(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images in another size with their proportions kept: what sticks out is cut away."""
    top, left, high, wide = widest_cut(x.shape[2], x.shape[3], size)
    return resized(x[:, :, top : top + high, left : left + wide], size)


class _ToSize(Layer):
    """What layers share that give images of a fixed height and width."""

    height: int
    width: int

    def keep_size(self, height: Any, width: Any, data_format: str | None) -> None:
        """Store the size."""
        self.height = sizes(height, 1, "height")[0]
        self.width = sizes(width, 1, "width")[0]
        self.data_format = as_data_format(data_format)

    def infer(self, shape: Shape) -> Shape:
        """The size, with the same channels."""
        check_places(self, shape, 2)
        return (self.height, self.width, shape[-1])


class Resizing(_ToSize):
    """Images ``[batch, channels, any height, any width]`` in one size.

    ``crop_to_aspect_ratio`` cuts away what would be squeezed, ``pad_to_aspect_ratio`` fills up with
    ``fill_value``; else the proportions change. ``antialias`` averages where images get smaller.

    Example:
        >>> import torch
        >>> Resizing(8, 8)(torch.zeros(1, 3, 20, 30)).shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.keep_size(height, width, data_format)
        self.interpolation = choice(interpolation, tuple(_MODES), "interpolation")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ConfigError(
                "Resizing expected crop_to_aspect_ratio or pad_to_aspect_ratio; received both."
            )
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)
        self.fill_mode = choice(fill_mode, ("constant",), "fill_mode")
        self.fill_value = float(fill_value)
        self.antialias = bool(antialias)

    def forward(self, x: Tensor) -> Tensor:
        """The images in the size asked for, as decimal numbers."""
        x = decimal(self, self.ready(x))
        size = (self.height, self.width)
        if self.crop_to_aspect_ratio:
            top, left, high, wide = widest_cut(x.shape[2], x.shape[3], size)
            x = x[:, :, top : top + high, left : left + wide]
        elif self.pad_to_aspect_ratio:
            high = max(x.shape[2], x.shape[3] * self.height // self.width)
            wide = max(x.shape[3], x.shape[2] * self.width // self.height)
            up, ahead = (high - x.shape[2]) // 2, (wide - x.shape[3]) // 2
            margins = (ahead, wide - x.shape[3] - ahead, up, high - x.shape[2] - up)
            x = F.pad(x, margins, value=self.fill_value)
        return resized(x, size, self.interpolation, self.antialias)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures made larger."""
        return cls(6, 7), (4, 5, 3)


class CenterCrop(_ToSize):
    """The middle of images; smaller ones are enlarged first, with their proportions kept.

    Example:
        >>> import torch
        >>> CenterCrop(2, 2)(torch.arange(16.0).view(1, 1, 4, 4)).flatten().tolist()
        [5.0, 6.0, 9.0, 10.0]
    """

    def __init__(
        self, height: int, width: int, data_format: str | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.keep_size(height, width, data_format)

    def forward(self, x: Tensor) -> Tensor:
        """The middle, as decimal numbers."""
        x = decimal(self, self.ready(x))
        spare = (x.shape[2] - self.height, x.shape[3] - self.width)
        if min(spare) < 0:
            return cut_to_fit(x, (self.height, self.width))
        top, left = spare[0] // 2, spare[1] // 2
        return x[:, :, top : top + self.height, left : left + self.width]

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """The middle of small pictures."""
        return cls(3, 2), (4, 5, 3)
