"""Images changed at random while training, each image of a batch in its own way.

Draws come from :mod:`lepton_ai.layers.randomness`, as those of dropout. Outside of training all
layers here pass images on (``RandomCrop`` cuts out the middle). ``draw`` makes the parameters, one
for each image, and ``change`` applies them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.image_preparation import _ToSize, cut_to_fit, decimal
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice
from lepton_ai.layers.randomness import Seeded, uniform
from lepton_ai.layers.warping import (
    FILL_MODES,
    INTERPOLATIONS,
    shifting,
    turning,
    warped,
    zooming,
)
from lepton_ai.layers.window import as_data_format, check_places

variants = (
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomCrop",
    "RandomContrast", "RandomBrightness",
)  # fmt: skip

Factor = float | tuple[float, float] | list[float]


def as_range(value: Any, name: str, low: float, high: float) -> tuple[float, float]:
    """Two bounds; a single number stands for both sides of 0.

    Raises:
        ConfigError: No numbers, or outside of ``low`` to ``high``.

    Example:
        >>> as_range(0.2, "factor", -1, 1), as_range((0, 0.3), "factor", -1, 1)
        ((-0.2, 0.2), (0.0, 0.3))
    """
    single = isinstance(value, int | float) and not isinstance(value, bool)
    items = (-abs(value), abs(value)) if single else value
    if (
        not isinstance(items, list | tuple)
        or len(items) != 2
        or any(isinstance(n, bool) or not isinstance(n, int | float) for n in items)
        or not low <= min(items) <= max(items) <= high
    ):
        raise ConfigError(
            f"{name} expected a number, or two, from {low} to {high}; received {value!r}. "
            f"Type for example {name}=0.2."
        )
    return float(min(items)), float(max(items))


class RandomImage(Layer):
    """What these layers share: images ``[batch, channels, height, width]``, draws, modes."""

    draws = True

    def __init__(self, seed: int | None, **common: Any) -> None:
        super().__init__(**common)
        self.seed = seed
        self._seeded = Seeded(seed)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        check_places(self, shape, 2)
        return shape

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """Parameters for each image."""
        raise NotImplementedError

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The images, changed by the parameters."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The changed images while training, as decimal numbers."""
        x = decimal(self, self.ready(x))
        return self.change(x, **self.draw(x)) if self.training else x

    def each(self, x: Tensor, low: float, high: float) -> Tensor:
        """A number for each image."""
        return uniform((x.shape[0],), low, high, x, self._seeded)


class RandomFlip(RandomImage):
    """Half of the images as in a mirror: ``mode`` is ``"horizontal"``, ``"vertical"`` or both.

    With both, the two are drawn apart.

    Example:
        >>> RandomFlip("horizontal", seed=1).train()(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        modes = ("horizontal", "vertical", "horizontal_and_vertical")
        self.mode = choice(mode, modes, "mode")
        self.data_format = as_data_format(data_format)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """Whether each image is turned, along each axis."""
        across, down = self.each(x, 0, 1) < 0.5, self.each(x, 0, 1) < 0.5
        never = torch.zeros_like(across)
        return {
            "across": never if self.mode == "vertical" else across,
            "down": never if self.mode == "horizontal" else down,
        }

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The images, some of them turned."""
        x = torch.where(drawn["across"].view(-1, 1, 1, 1), x.flip(3), x)
        return torch.where(drawn["down"].view(-1, 1, 1, 1), x.flip(2), x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(), (4, 5, 3)


class _Warping(RandomImage):
    """What changes that move pixels share."""

    def keep_filling(
        self, fill_mode: str, interpolation: str, fill_value: float, data_format: str | None
    ) -> None:
        """Store how pixels are read."""
        self.fill_mode = choice(fill_mode, FILL_MODES, "fill_mode")
        self.interpolation = choice(interpolation, INTERPOLATIONS, "interpolation")
        self.fill_value = float(fill_value)
        self.data_format = as_data_format(data_format)

    def maps(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The affine map of each image, [batch, 2, 3]."""
        raise NotImplementedError

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The images, read along their maps."""
        maps = self.maps(x, **drawn)
        return warped(x, maps, self.interpolation, self.fill_mode, self.fill_value)


class RandomRotation(_Warping):
    """Images turned by up to ``factor`` of a full turn, counter-clockwise where positive.

    ``factor=0.1`` draws from -36 to 36 degrees; two numbers give the bounds.
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        self.factor = as_range(factor, "factor", -1, 1)
        self.keep_filling(fill_mode, interpolation, fill_value, data_format)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """An angle in radians for each image."""
        return {"angle": self.each(x, *self.factor) * 2 * math.pi}

    def maps(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """Turned around the centre."""
        return turning(drawn["angle"], x.shape[2], x.shape[3])

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(0.2), (4, 5, 3)


class RandomZoom(_Warping):
    """Images made smaller (positive factors) or larger (negative ones) around their centre.

    ``height_factor=0.2`` shows from 0.8 to 1.2 times the height; without ``width_factor`` the width
    changes as the height does.
    """

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        self.height_factor = as_range(height_factor, "height_factor", -0.99, 1)
        self.width_factor = None
        if width_factor is not None:
            self.width_factor = as_range(width_factor, "width_factor", -0.99, 1)
        self.keep_filling(fill_mode, interpolation, fill_value, data_format)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """What share of width and height each image shows."""
        down = 1 + self.each(x, *self.height_factor)
        same = self.width_factor is None
        return {"down": down, "across": down if same else 1 + self.each(x, *self.width_factor)}

    def maps(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """Zoomed around the centre."""
        return zooming(drawn["across"], drawn["down"], x.shape[2], x.shape[3])

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(0.3, 0.2), (4, 5, 3)


class RandomTranslation(_Warping):
    """Images moved by up to a share of their height (down) and of their width (to the right)."""

    def __init__(
        self,
        height_factor: Factor,
        width_factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        self.height_factor = as_range(height_factor, "height_factor", -1, 1)
        self.width_factor = as_range(width_factor, "width_factor", -1, 1)
        self.keep_filling(fill_mode, interpolation, fill_value, data_format)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """By how many pixels each image is moved."""
        return {
            "down": self.each(x, *self.height_factor) * x.shape[2],
            "across": self.each(x, *self.width_factor) * x.shape[3],
        }

    def maps(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """Moved."""
        return shifting(drawn["across"], drawn["down"])

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(0.3, 0.2), (4, 5, 3)


class RandomCrop(RandomImage, _ToSize):
    """A part of each image from a place of its own; from the middle outside of training.

    Images that are too small are enlarged, with their proportions kept.

    Example:
        >>> RandomCrop(24, 24).build((32, 32, 3))
        (24, 24, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        self.keep_size(height, width, data_format)

    def infer(self, shape: Shape) -> Shape:
        """The size asked for, with the same channels."""
        return _ToSize.infer(self, shape)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """The first row and column of each image's part."""
        spare = (x.shape[2] - self.height + 1, x.shape[3] - self.width + 1)
        top, left = (self.each(x, 0, 1).double() * n for n in spare)
        return {
            "top": top.long().clamp(max=spare[0] - 1),
            "left": left.long().clamp(max=spare[1] - 1),
        }

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The parts."""
        rows = drawn["top"].view(-1, 1) + torch.arange(self.height, device=x.device)
        columns = drawn["left"].view(-1, 1) + torch.arange(self.width, device=x.device)
        found = x.gather(2, rows[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3]))
        places = columns[:, None, None, :].expand(-1, x.shape[1], self.height, -1)
        return found.gather(3, places)

    def forward(self, x: Tensor) -> Tensor:
        """The parts, as decimal numbers."""
        x = decimal(self, self.ready(x))
        spare = (x.shape[2] - self.height, x.shape[3] - self.width)
        if min(spare) < 0:
            return cut_to_fit(x, (self.height, self.width))
        if self.training:
            return self.change(x, **self.draw(x))
        top, left = spare[0] // 2, spare[1] // 2
        return x[:, :, top : top + self.height, left : left + self.width]

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Parts of small pictures."""
        return cls(3, 2), (4, 5, 3)


class RandomContrast(RandomImage):
    """``(x - mean) * factor + mean`` with the mean of each channel of each image.

    ``factor=0.2`` draws from 0.8 to 1.2; two numbers ``(lower, upper)`` from ``1 - lower`` to
    ``1 + upper``. The result is cut to ``value_range``; type ``(0, 1)`` for scaled images.
    """

    def __init__(
        self,
        factor: Factor,
        value_range: tuple[float, float] | list[float] = (0, 255),
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        both = (factor, factor) if isinstance(factor, int | float) else factor
        for bound in both if isinstance(both, list | tuple) else (both,):
            as_range((0, bound), "factor", 0, 1)
        self.factor = tuple(float(bound) for bound in both)
        self.value_range = as_range(value_range, "value_range", -math.inf, math.inf)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """A factor for each image."""
        return {"factor": self.each(x, 1 - self.factor[0], 1 + self.factor[-1])}

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The images with other contrasts."""
        mean = x.mean((2, 3), keepdim=True)
        y = (x - mean) * drawn["factor"].view(-1, 1, 1, 1) + mean
        return y.clamp(*self.value_range)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(0.3, (-3, 3)), (4, 5, 3)


class RandomBrightness(RandomImage):
    """Images made lighter or darker by up to ``factor`` of the ``value_range``, and cut to it.

    Type ``value_range=(0, 1)`` for scaled images.
    """

    def __init__(
        self,
        factor: Factor,
        value_range: tuple[float, float] | list[float] = (0, 255),
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(seed, **common)
        self.factor = as_range(factor, "factor", -1, 1)
        self.value_range = as_range(value_range, "value_range", -math.inf, math.inf)

    def draw(self, x: Tensor) -> dict[str, Tensor]:
        """What is added to each image."""
        span = self.value_range[1] - self.value_range[0]
        return {"added": self.each(x, *self.factor) * span}

    def change(self, x: Tensor, **drawn: Tensor) -> Tensor:
        """The images, lighter or darker."""
        return (x + drawn["added"].view(-1, 1, 1, 1)).clamp(*self.value_range)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small pictures."""
        return cls(0.3, (-3, 3)), (4, 5, 3)
