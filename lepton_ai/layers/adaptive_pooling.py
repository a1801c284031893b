"""Pooling to a given number of places, whatever the size of the input."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, sizes
from lepton_ai.layers.window import as_data_format, as_image_row, check_places, from_image_row

variants = (
    "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
)  # fmt: skip

_AVERAGE: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
_LARGEST: dict[int, Any] = {2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
_SAMPLES = {1: (9, 4), 2: (7, 6, 3), 3: (5, 4, 6, 2)}


class _Adaptive(Layer):
    """So many windows along each axis, as wide as it takes.

    Window ``i`` of ``n`` covers the places from ``floor(i * size / n)`` to ``ceil((i + 1) * size /
    n)``, so that windows may overlap.
    """

    rank = 2

    def __init__(
        self, output_size: int | tuple[int, ...], data_format: str | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.output_size = sizes(output_size, self.rank, "output_size")
        self.data_format = as_data_format(data_format)

    def infer(self, shape: Shape) -> Shape:
        """The places asked for, with the same channels."""
        check_places(self, shape, self.rank)
        return (*self.output_size, shape[-1])

    def pool(self, maps: Tensor, counts: tuple[int, ...]) -> Tensor:
        """The pooling itself, on maps."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the size asked for."""
        x = self.ready(x)
        if self.rank == 1:
            return from_image_row(self.pool(as_image_row(x), (1, *self.output_size)))
        return self.pool(x, self.output_size)

    def lengths_after(self, lengths: Tensor | None) -> None:
        """The places are no steps any more."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sizes that the number of windows does not divide."""
        return cls(3), _SAMPLES[cls.rank]


class _Average(_Adaptive):
    def pool(self, maps: Tensor, counts: tuple[int, ...]) -> Tensor:
        """The average of each window."""
        return _AVERAGE[maps.ndim - 2](maps, counts)


class _Largest(_Adaptive):
    def pool(self, maps: Tensor, counts: tuple[int, ...]) -> Tensor:
        """The largest value of each window."""
        return _LARGEST[maps.ndim - 2](maps, counts)


class AdaptiveAveragePooling1D(_Average):
    """The averages of ``output_size`` windows over the steps, which may overlap."""

    rank = 1


class AdaptiveAveragePooling2D(_Average):
    """The averages of ``output_size`` windows along both axes of an image.

    Example:
        >>> AdaptiveAveragePooling2D((7, 7)).build((30, 25, 16))
        (7, 7, 16)
    """


class AdaptiveAveragePooling3D(_Average):
    """The averages of ``output_size`` windows along all axes of a volume."""

    rank = 3


class AdaptiveMaxPooling1D(_Largest):
    """The largest values of ``output_size`` windows over the steps, which may overlap."""

    rank = 1


class AdaptiveMaxPooling2D(_Largest):
    """The largest values of ``output_size`` windows along both axes of an image."""


class AdaptiveMaxPooling3D(_Largest):
    """The largest values of ``output_size`` windows along all axes of a volume."""

    rank = 3
