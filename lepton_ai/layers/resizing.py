"""Layers that add, remove or repeat places."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.window import as_data_format, as_image_row, check_places, from_image_row

variants = (
    "UpSampling1D", "UpSampling2D", "UpSampling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "Cropping1D", "Cropping2D", "Cropping3D",
)  # fmt: skip

_SAMPLES = {1: (7, 3), 2: (6, 7, 3), 3: (5, 6, 7, 2)}
Margins = tuple[tuple[int, int], ...]


def as_margins(value: Any, rank: int, name: str) -> Margins:
    """Places before and after each axis: one number, one for each axis, or a pair for each.

    For sequences a pair is before and after, as in Keras.

    Raises:
        ConfigError: Anything else.

    Example:
        >>> as_margins((1, 2), 2, "padding"), as_margins((1, 2), 1, "padding")
        (((1, 1), (2, 2)), ((1, 2),))
    """
    items = value
    if isinstance(value, int):
        items = (value,) * rank
    elif rank == 1 and isinstance(value, list | tuple) and len(value) == 2:
        items = (value,)
    if not isinstance(items, list | tuple) or len(items) != rank:
        raise ConfigError(
            f"{name} expected a whole number, {rank} of them, or {rank} pairs; received {value!r}. "
            f"Type for example {name}=1."
        )
    pairs = [sizes(item, 2, name, least=0) for item in items]
    return tuple((before, after) for before, after in pairs)


class _Resizing(Layer):
    rank = 2

    def infer(self, shape: Shape) -> Shape:
        """Other places, the same channels."""
        check_places(self, shape, self.rank)
        places = [None if n is None else self.resized(n, i) for i, n in enumerate(shape[:-1])]
        if any(n is not None and n < 1 for n in places):
            raise ShapeError(f"{self.title} expected more places than it crops, received {shape}.")
        return (*places, shape[-1])

    def resized(self, size: Any, axis: int) -> Any:
        """The new size of an axis; lengths of sequences likewise."""
        raise NotImplementedError

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The lengths changed as the sizes are."""
        if lengths is None or self.rank != 1:
            return None
        return self.resized(lengths, 0).clamp(min=0)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps."""
        make: Any = cls
        return make(2), _SAMPLES[cls.rank]


class _UpSampling(_Resizing):
    def __init__(
        self,
        size: int | tuple[int, ...] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.size = sizes(size, self.rank, "size")
        self.data_format = as_data_format(data_format)
        modes = ("nearest", "bilinear") if self.rank == 2 else ("nearest",)
        self.interpolation = choice(interpolation, modes, "interpolation")

    def resized(self, size: Any, axis: int) -> Any:
        """A multiple."""
        return size * self.size[axis]

    def forward(self, x: Tensor) -> Tensor:
        """More places, each repeated or in between its neighbours."""
        x = self.ready(x)
        if self.rank == 1:
            return x.repeat_interleave(self.size[0], 1)
        factors = [float(n) for n in self.size]
        return F.interpolate(x, scale_factor=factors, mode=self.interpolation)


class UpSampling1D(_UpSampling):
    """Each step ``size`` times."""

    rank = 1


class UpSampling2D(_UpSampling):
    """Images ``size`` times as large, places repeated or (``"bilinear"``) blended.

    Example:
        >>> UpSampling2D(2, interpolation="bilinear").build((7, 7, 16))
        (14, 14, 16)
    """


class UpSampling3D(_UpSampling):
    """Volumes ``size`` times as large."""

    rank = 3


class _ZeroPadding(_Resizing):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.padding = as_margins(padding, self.rank, "padding")
        self.data_format = as_data_format(data_format)

    def resized(self, size: Any, axis: int) -> Any:
        """The places before and after added."""
        return size + sum(self.padding[axis])

    def forward(self, x: Tensor) -> Tensor:
        """The input with zeros around it."""
        flat = [n for pair in reversed(self.padding) for n in pair]
        if self.rank == 1:
            return from_image_row(F.pad(as_image_row(self.ready(x)), flat))
        return F.pad(self.ready(x), flat)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence: ``padding=1`` or ``(before, after)``."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image.

    Example:
        >>> ZeroPadding2D(((1, 0), (2, 2))).build((8, 8, 3))
        (9, 12, 3)
    """


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume."""

    rank = 3


class _Cropping(_Resizing):
    def __init__(self, cropping: Any = 0, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.cropping = as_margins(cropping, self.rank, "cropping")
        self.data_format = as_data_format(data_format)

    def resized(self, size: Any, axis: int) -> Any:
        """The places before and after taken away."""
        return size - sum(self.cropping[axis])

    def forward(self, x: Tensor) -> Tensor:
        """The input without its margins; a view."""
        x = self.ready(x)
        first = 1 if self.rank == 1 else 2
        parts = [slice(None)] * first
        for axis, (before, after) in enumerate(self.cropping):
            parts.append(slice(before, x.shape[first + axis] - after))
        return x[tuple(parts)]


class Cropping1D(_Cropping):
    """Steps taken away from both ends of a sequence."""

    rank = 1

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **common: Any) -> None:
        super().__init__(cropping, data_format, **common)


class Cropping2D(_Cropping):
    """Margins taken away from an image.

    Example:
        >>> Cropping2D(((1, 1), (2, 0))).build((8, 8, 3))
        (6, 6, 3)
    """


class Cropping3D(_Cropping):
    """Margins taken away from a volume; Keras takes one place from each side unless told."""

    rank = 3

    def __init__(self, cropping: Any = 1, data_format: str | None = None, **common: Any) -> None:
        super().__init__(cropping, data_format, **common)
