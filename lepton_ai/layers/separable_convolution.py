"""Convolutions that treat each channel by itself, alone or with a mixing step after it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lepton_ai.layers.convolution import convolve, kernel_inward, kernel_outward
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import Shape, channels_last, choice, sizes
from lepton_ai.layers.nonlinearity import as_activation
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.window import as_data_format, check_places, window_shape, windows_within

variants = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")


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


class _ByChannel(Activated):
    """What these convolutions share."""

    rank = 2
    kernel: Tensor
    depthwise_kernel: Tensor
    pointwise_kernel: Tensor
    bias: Tensor
    depthwise_initializer: str | dict
    depthwise_regularizer: dict[str, float] | None
    bias_initializer: str | dict
    bias_regularizer: dict[str, float] | None

    def _store(
        self, kernel_size: Any, strides: Any, padding: str, depth_multiplier: int,
        data_format: str | None, dilation_rate: Any, activation: Any, use_bias: bool,
    ) -> None:  # fmt: skip
        self.kernel_size = sizes(kernel_size, self.rank, "kernel_size")
        self.strides = sizes(strides, self.rank, "strides")
        self.padding = choice(padding, ("valid", "same"), "padding")
        self.depth_multiplier = sizes(depth_multiplier, 1, "depth_multiplier")[0]
        self.data_format = as_data_format(data_format)
        self.dilation_rate = sizes(dilation_rate, self.rank, "dilation_rate")
        self.activation = as_activation(activation)
        self.use_bias = bool(use_bias)

    def outputs(self, inputs: int) -> int:
        """The channels of the output."""
        return inputs * self.depth_multiplier

    def infer(self, shape: Shape) -> Shape:
        """The places of the window, and the channels of the output."""
        check_places(self, shape, self.rank)
        places = window_shape(self, shape, self.kernel_size, self.dilation_rate)
        return (*places, self.outputs(shape[-1] or 0))

    def depthwise(self, shape: Shape, name: str) -> Weight:
        """The kernel that treats each channel by itself."""
        inputs = shape[-1] or 0
        return Weight(
            name, (*self.kernel_size, inputs, self.depth_multiplier), self.depthwise_initializer,
            depthwise_inward, _DepthwiseOutward(inputs), self.depthwise_regularizer,
        )  # fmt: skip

    def bias_weight(self, shape: Shape) -> list[Weight]:
        """The bias, where there is one."""
        size = (self.outputs(shape[-1] or 0),)
        bias = Weight("bias", size, self.bias_initializer, penalty=self.bias_regularizer)
        return [bias] * self.use_bias

    def by_channel(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Each channel convolved with its own kernels."""
        groups = x.shape[-1] if self.rank == 1 else x.shape[1]
        return convolve(x, kernel, bias, self.strides, self.padding, self.dilation_rate, groups)

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """How many places the window takes inside each sequence."""
        if lengths is None or self.rank != 1:
            return None
        return windows_within(self, lengths, self.kernel_size[0], self.dilation_rate[0])

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Small maps, two kernels a channel."""
        args: dict[str, Any] = {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}
        if issubclass(cls, _Separable):
            args["filters"] = 4
        return cls(**args), ((6, 3) if cls.rank == 1 else (6, 5, 3))


class _Depthwise(_ByChannel):
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
        self._store(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate,
            activation, use_bias,
        )  # fmt: skip
        self.depthwise_initializer = as_initializer(depthwise_initializer, "depthwise_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.depthwise_regularizer = as_penalty(depthwise_regularizer, "depthwise_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel and the bias."""
        return [self.depthwise(shape, "kernel"), *self.bias_weight(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        return self.by_channel(x, self.kernel, self.bias if self.use_bias else None)


class _Separable(_ByChannel):
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
        self._store(
            kernel_size, strides, padding, depth_multiplier, data_format, dilation_rate,
            activation, use_bias,
        )  # fmt: skip
        self.depthwise_initializer = as_initializer(depthwise_initializer, "depthwise_initializer")
        self.pointwise_initializer = as_initializer(pointwise_initializer, "pointwise_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.depthwise_regularizer = as_penalty(depthwise_regularizer, "depthwise_regularizer")
        self.pointwise_regularizer = as_penalty(pointwise_regularizer, "pointwise_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")

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
