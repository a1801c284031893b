"""Transposed convolutions: from few places to many, the way back of a convolution."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.convolution import Convolution, kernel_inward, kernel_outward
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.window import as_image_row, check_places, from_image_row

variants = (
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
    "Convolution1DTranspose", "Convolution2DTranspose", "Convolution3DTranspose",
)  # fmt: skip

_SPREAD = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _Transposed(Convolution):
    """What transposed convolutions share; ``padding="same"`` multiplies each size by its stride."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        output_padding: None = None,
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, 1, activation,
            use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            **common,
        )  # fmt: skip
        if output_padding is not None or self.padding == "causal":
            raise ConfigError(
                f"{type(self).__name__} expected padding 'valid' or 'same' and output_padding "
                f"None; received {padding!r} and {output_padding!r}. Put ZeroPadding after it."
            )
        self.output_padding = output_padding

    def infer(self, shape: Shape) -> Shape:
        """More places, and ``filters`` channels."""
        check_places(self, shape, self.rank)
        return (*self.places(shape[:-1]), self.filters)

    def reaches(self) -> tuple[int, ...]:
        """How many places the kernel covers along each axis."""
        pairs = zip(self.kernel_size, self.dilation_rate, strict=True)
        return tuple((size - 1) * spread + 1 for size, spread in pairs)

    def places(self, shape: Shape) -> Shape:
        """The sizes of the output's axes."""
        found: list[int | None] = []
        for n, reach, stride in zip(shape, self.reaches(), self.strides, strict=True):
            more = max(reach - stride, 0) if self.padding == "valid" else 0
            found.append(None if n is None else n * stride + more)
        return tuple(found)

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel [places..., outputs, inputs] and the bias."""
        kernel = Weight(
            "kernel", (*self.kernel_size, self.filters, shape[-1] or 0), self.kernel_initializer,
            kernel_inward, kernel_outward, self.kernel_regularizer,
        )  # fmt: skip
        return [kernel, *self.bias_weight(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        bias = self.bias if self.use_bias else None
        reaches, strides, dilation = self.reaches(), self.strides, self.dilation_rate
        pairs = list(zip(reaches, strides, strict=True))
        more = tuple(max(stride - reach, 0) for reach, stride in pairs)
        less = tuple(max(reach - stride, 0) // 2 for reach, stride in pairs)
        less = less if self.padding == "same" else (0,) * self.rank
        if self.rank == 1:
            wanted = (1, *self.places((x.shape[1],)))
            y = F.conv_transpose2d(
                as_image_row(x), self.kernel.unsqueeze(2), bias, (1, *strides), (0, *less),
                (0, *more), 1, (1, *dilation),
            )  # fmt: skip
        else:
            wanted = self.places(tuple(x.shape[2:]))
            y = _SPREAD[self.rank](x, self.kernel, bias, strides, less, more, 1, dilation)
        # Where the kernel reaches over by an odd number, the odd place at the end is left out.
        y = y[(slice(None), slice(None), *(slice(n) for n in wanted))]
        return from_image_row(y) if self.rank == 1 else y


class Conv1DTranspose(_Transposed):
    """A transposed convolution over sequences.

    Example:
        >>> Conv1DTranspose(8, 3, 2, "same").build((10, 4))
        (20, 8)
    """

    rank = 1

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """As many steps as the shape's rule gives."""
        if lengths is None:
            return None
        more = max(self.reaches()[0] - self.strides[0], 0) if self.padding == "valid" else 0
        return lengths * self.strides[0] + more

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A short sequence, doubled."""
        return cls(4, 3, 2, "same"), (5, 3)


class Conv2DTranspose(_Transposed):
    """A transposed convolution over images.

    Example:
        >>> Conv2DTranspose(8, 2, 2).build((14, 14, 16))
        (28, 28, 8)
    """

    rank = 2

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps, doubled."""
        return cls(4, 3, 2, "same", activation="relu"), (4, 5, 3)


class Conv3DTranspose(_Transposed):
    """A transposed convolution over volumes; here Keras has ``data_format`` before the padding."""

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, **common,
        )  # fmt: skip

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A small volume, doubled."""
        return cls(4, 2, 2), (2, 3, 4, 3)


Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
