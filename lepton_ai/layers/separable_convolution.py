"""Convolutions that treat each channel by itself, alone or with a mixing step after it."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from lepton_ai.layers.convolution import convolve, kernel_inward, kernel_outward
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, channels_last, sizes
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.window import Windowed

variants = (
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "SeparableConvolution1D", "SeparableConvolution2D",
)  # fmt: skip


def depthwise_inward(kernel: Tensor) -> Tensor:
    """From Keras's [places..., inputs, multiplier] to torch's [inputs * multiplier, 1, places]."""
    places = range(kernel.ndim - 2)
    grouped = kernel.permute(-2, -1, *places).flatten(0, 1).unsqueeze(1)
    return channels_last(grouped.contiguous())


class _DepthwiseOutward:
    """The way back from :func:`depthwise_inward`."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs

    def __call__(self, kernel: Tensor) -> Tensor:
        apart = kernel.squeeze(1).unflatten(0, (self.inputs, -1))
        return apart.permute(*range(2, apart.ndim), 0, 1).contiguous()


class _ByChannel(Windowed):
    """What these convolutions share."""

    kernel: Tensor
    depthwise_kernel: Tensor
    pointwise_kernel: Tensor
    depth_multiplier: int

    def outputs(self, inputs: int) -> int:
        """So many channels for each."""
        return inputs * self.depth_multiplier

    def depthwise(self, shape: Shape, name: str) -> Weight:
        """The kernel that treats each channel by itself."""
        inputs = shape[-1] or 0
        return Weight(
            name, (*self.kernel_size, inputs, self.depth_multiplier), self.depthwise_initializer,
            depthwise_inward, _DepthwiseOutward(inputs), self.depthwise_regularizer,
        )  # fmt: skip

    def by_channel(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Each channel convolved with its own kernels."""
        groups = x.shape[-1] if self.rank == 1 else x.shape[1]
        return convolve(x, kernel, bias, self.strides, self.padding, self.dilation_rate, groups)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps, two kernels a channel."""
        args: dict[str, Any] = {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}
        if issubclass(cls, _Separable):
            args["filters"] = 4
        return cls(**args), ((6, 3) if cls.rank == 1 else (6, 5, 3))


class _Depthwise(_ByChannel):
    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "depthwise_constraint": ("kernel",),
        "bias_constraint": ("bias",),
    }

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        depthwise_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.keep_window(kernel_size, strides, padding, dilation_rate, data_format)
        self.depth_multiplier = sizes(depth_multiplier, 1, "depth_multiplier")[0]
        self.keep(
            activation=activation, use_bias=use_bias, depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer, depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
        )  # fmt: skip

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel and the bias."""
        return [self.depthwise(shape, "kernel"), *self.bias_weight(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        return self.by_channel(x, self.kernel, self.bias if self.use_bias else None)


class _Separable(_ByChannel):
    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "depthwise_constraint": ("depthwise_kernel",),
        "pointwise_constraint": ("pointwise_kernel",),
        "bias_constraint": ("bias",),
    }

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        depth_multiplier: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | dict = "glorot_uniform",
        pointwise_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        depthwise_regularizer: str | dict | None = None,
        pointwise_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.filters = sizes(filters, 1, "filters")[0]
        self.keep_window(kernel_size, strides, padding, dilation_rate, data_format)
        self.depth_multiplier = sizes(depth_multiplier, 1, "depth_multiplier")[0]
        self.keep(
            activation=activation, use_bias=use_bias, depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer, bias_regularizer=bias_regularizer,
        )  # fmt: skip

    def outputs(self, inputs: int) -> int:
        """The channels of the output."""
        return self.filters

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel of each channel, the kernel that mixes them, and the bias."""
        between = (shape[-1] or 0) * self.depth_multiplier
        mixing = Weight(
            "pointwise_kernel", (*(1,) * self.rank, between, self.filters),
            self.pointwise_initializer, kernel_inward, kernel_outward, self.pointwise_regularizer,
        )  # fmt: skip
        return [self.depthwise(shape, "depthwise_kernel"), mixing, *self.bias_weight(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        apart = self.by_channel(x, self.depthwise_kernel, None)
        bias = self.bias if self.use_bias else None
        return convolve(apart, self.pointwise_kernel, bias, (1,) * self.rank, "valid")


class DepthwiseConv1D(_Depthwise):
    """A convolution over sequences that treats each feature by itself."""

    rank = 1


class DepthwiseConv2D(_Depthwise):
    """A convolution over images that treats each channel by itself (Chollet 2017).

    Example:
        >>> DepthwiseConv2D(3, padding="same", depth_multiplier=2).build((8, 8, 4))
        (8, 8, 8)
    """


class SeparableConv1D(_Separable):
    """A depthwise convolution over sequences, then a mix of the features."""

    rank = 1


class SeparableConv2D(_Separable):
    """A depthwise convolution over images, then a mix of the channels (Chollet 2017)."""


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
