"""Pooling: the largest or the average value of each window, or of everything."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.window import (
    as_data_format,
    as_image_row,
    check_places,
    from_image_row,
    same_padding,
    window_shape,
    windows_within,
)

variants = (
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D",
)  # fmt: skip

_LARGEST = {2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE = {2: F.avg_pool2d, 3: F.avg_pool3d}
_SAMPLES = {1: (9, 4), 2: (7, 6, 3), 3: (5, 4, 6, 2)}


def without_first(maps: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Maps without the first so many places of each axis."""
    if any(counts):
        maps = maps[(slice(None), slice(None), *(slice(count, None) for count in counts))]
    return maps


class Pooling(Layer):
    """What all pooling windows share.

    With ``padding="same"`` the padding counts neither for the largest nor for the average.
    """

    rank = 2

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        strides: int | tuple[int, ...] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.pool_size = sizes(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else sizes(strides, self.rank, "strides")
        self.padding = choice(padding, ("valid", "same"), "padding")
        self.data_format = as_data_format(data_format)

    def infer(self, shape: Shape) -> Shape:
        """The places of the window, with the same channels."""
        check_places(self, shape, self.rank)
        return (*window_shape(self, shape, self.pool_size, (1,) * self.rank), shape[-1])

    def margins(self, places: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Padding on both sides of each axis, and how many windows to leave out at its start.

        Padding after an axis needs no number of its own: with strides of two or more, rounding the
        count of windows up gives exactly those of ``"same"``, since the last of them starts inside
        the input. With strides of one, an even window is padded by one more and the first left out.
        """
        if self.padding == "valid":
            return (0,) * self.rank, (0,) * self.rank
        both = [
            same_padding(n, k, s)
            for n, k, s in zip(places, self.pool_size, self.strides, strict=True)
        ]
        left_out = tuple(
            int(s == 1 and after > before)
            for (before, after), s in zip(both, self.strides, strict=True)
        )
        padding = tuple(before + out for (before, _), out in zip(both, left_out, strict=True))
        return padding, left_out

    def pool(self, x: Tensor, size: tuple, strides: tuple, padding: tuple) -> Tensor:
        """The pooling itself, on maps."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Maps with fewer places."""
        x = self.ready(x)
        padding, left_out = self.margins(tuple(x.shape[2:]))
        return without_first(self.pool(x, self.pool_size, self.strides, padding), left_out)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sizes that the window does not divide."""
        return cls(2, padding="same"), _SAMPLES[cls.rank]


class _Largest(Pooling):
    def pool(self, x: Tensor, size: tuple, strides: tuple, padding: tuple) -> Tensor:
        """The largest value of each window."""
        return _LARGEST[x.ndim - 2](x, size, strides, padding, ceil_mode=self.padding == "same")


class _Average(Pooling):
    def pool(self, x: Tensor, size: tuple, strides: tuple, padding: tuple) -> Tensor:
        """The average of each window, padding left out."""
        same = self.padding == "same"
        return _AVERAGE[x.ndim - 2](
            x, size, strides, padding, ceil_mode=same, count_include_pad=False
        )


class _OverSteps(Pooling):
    """Windows over the steps of sequences; with ``lengths``, padded steps count for nothing."""

    rank = 1
    takes_lengths = True

    def over_steps(self, x: Tensor) -> Tensor:
        """Pool sequences ``[N, L, D]``."""
        padding, left_out = self.margins((x.shape[1],))
        row = self.pool(as_image_row(x), (1, *self.pool_size), (1, *self.strides), (0, *padding))
        return from_image_row(without_first(row, (0, *left_out)))

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """How many windows lie inside each sequence."""
        return None if lengths is None else windows_within(self, lengths, self.pool_size[0])


class MaxPooling1D(_OverSteps, _Largest):
    """The largest value of each window of steps."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Sequences with fewer steps."""
        x = self.ready(x)
        if lengths is None or self.padding == "valid":
            return self.over_steps(x)
        inside = within(lengths, x.shape[1]).unsqueeze(-1)
        y = self.over_steps(x.masked_fill(~inside, float("-inf")))
        return y.masked_fill(y == float("-inf"), 0.0)


class MaxPooling2D(_Largest):
    """The largest value of each window of an image, channel by channel.

    Example:
        >>> MaxPooling2D((2, 2)).build((30, 30, 32))
        (15, 15, 32)
    """


class MaxPooling3D(_Largest):
    """The largest value of each window of a volume."""

    rank = 3


class AveragePooling1D(_OverSteps, _Average):
    """The average of each window of steps."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Sequences with fewer steps."""
        x = self.ready(x)
        if lengths is None or self.padding == "valid":
            return self.over_steps(x)
        inside = within(lengths, x.shape[1]).unsqueeze(-1).to(x.dtype)
        share = self.over_steps(inside)
        return self.over_steps(x.masked_fill(inside == 0, 0.0)) / share.clamp(min=1e-9)


class AveragePooling2D(_Average):
    """The average of each window of an image, channel by channel."""


class AveragePooling3D(_Average):
    """The average of each window of a volume."""

    rank = 3


class GlobalPooling(Layer):
    """What poolings over all places share; ``keepdims`` keeps the axes, with size 1."""

    rank = 2

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.data_format = as_data_format(data_format)
        self.keepdims = bool(keepdims)

    def infer(self, shape: Shape) -> Shape:
        """The channels alone, or with axes of size 1 before them."""
        check_places(self, shape, self.rank)
        return (1,) * self.rank * self.keepdims + (shape[-1],)

    def places(self) -> tuple[int, ...]:
        """The axes of the tensor that disappear."""
        return (1,) if self.rank == 1 else tuple(range(2, 2 + self.rank))

    def lengths_after(self, lengths: Tensor | None) -> None:
        """No steps are left."""
        return

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps."""
        return cls(), _SAMPLES[cls.rank]


class _GlobalMax(GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        """The largest value of each channel."""
        return self.ready(x).amax(self.places(), keepdim=self.keepdims)


class _GlobalAverage(GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        """The average of each channel."""
        return self.ready(x).mean(self.places(), keepdim=self.keepdims)


class GlobalMaxPooling1D(GlobalPooling):
    """The largest value of each feature over the steps; with ``lengths``, padded steps left out."""

    rank = 1
    takes_lengths = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """One vector a sequence; of an empty one, zeros."""
        x = self.ready(x)
        if lengths is None:
            return x.amax(1, keepdim=self.keepdims)
        inside = within(lengths, x.shape[1]).unsqueeze(-1)
        y = x.masked_fill(~inside, float("-inf")).amax(1, keepdim=self.keepdims)
        return y.masked_fill(y == float("-inf"), 0.0)


class GlobalMaxPooling2D(_GlobalMax):
    """The largest value of each channel of an image."""


class GlobalMaxPooling3D(_GlobalMax):
    """The largest value of each channel of a volume."""

    rank = 3


class GlobalAveragePooling1D(GlobalPooling):
    """The average of each feature over the steps; with ``lengths``, padded steps left out."""

    rank = 1
    takes_lengths = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """One vector a sequence; of an empty one, zeros."""
        x = self.ready(x)
        if lengths is None:
            return x.mean(1, keepdim=self.keepdims)
        inside = within(lengths, x.shape[1]).unsqueeze(-1)
        total = x.masked_fill(~inside, 0.0).sum(1, keepdim=True)
        y = total / lengths.clamp(min=1).view(-1, 1, 1)
        return y if self.keepdims else y.squeeze(1)


class GlobalAveragePooling2D(_GlobalAverage):
    """The average of each channel of an image."""


class GlobalAveragePooling3D(_GlobalAverage):
    """The average of each channel of a volume."""

    rank = 3


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalMaxPool3D = GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
