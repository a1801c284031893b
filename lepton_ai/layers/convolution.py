"""Convolutions over sequences, images and volumes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, channels_last, sizes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.nonlinearity import activated
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.window import Windowed, as_image_row, from_image_row, pad_same

variants = ("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")

_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


def kernel_inward(kernel: Tensor) -> Tensor:
    """From Keras's [places..., inputs, outputs] to torch's [outputs, inputs, places...]."""
    places = range(kernel.ndim - 2)
    return channels_last(kernel.permute(-1, -2, *places).contiguous())


def kernel_outward(kernel: Tensor) -> Tensor:
    """The way back from :func:`kernel_inward`."""
    return kernel.permute(*range(2, kernel.ndim), 1, 0).contiguous()


def convolve(
    x: Tensor, kernel: Tensor, bias: Tensor | None, strides: tuple[int, ...], padding: str,
    dilation: tuple[int, ...] = (1, 1, 1), groups: int = 1,
) -> Tensor:  # fmt: skip
    """Slide a kernel in torch's layout over sequences [N, L, D] or over maps."""
    size, dilation = tuple(kernel.shape[2:]), dilation[: kernel.ndim - 2]
    steps = len(size) == 1
    if steps:
        x, kernel = as_image_row(x), kernel.unsqueeze(2)
        size, strides, dilation = (1, *size), (1, *strides), (1, *dilation)
    margins: tuple[int, ...] = (0,) * len(size)
    if padding == "causal":
        x = F.pad(x, [(size[1] - 1) * dilation[1], 0])
    elif padding == "same":
        x, margins = pad_same(x, size, strides, dilation)
    y = _CONVOLVE[len(size)](x, kernel, bias, strides, margins, dilation, groups)
    return from_image_row(y) if steps else y


class Convolution(Windowed):
    """What plain convolutions share: arguments, padding, shapes and weights."""

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": ("kernel",),
        "bias_constraint": ("bias",),
    }
    kernel: Tensor

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.filters = sizes(filters, 1, "filters")[0]
        paddings = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        self.keep_window(kernel_size, strides, padding, dilation_rate, data_format, paddings)
        self.groups = sizes(groups, 1, "groups")[0]
        self.keep(
            activation=activation, use_bias=use_bias, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
        )  # fmt: skip
        if self.filters % self.groups:
            raise ConfigError(
                f"{type(self).__name__} expected filters to be a multiple of groups; received "
                f"filters={filters} and groups={groups}."
            )

    def outputs(self, inputs: int) -> int:
        """One channel for each filter."""
        return self.filters

    def infer(self, shape: Shape) -> Shape:
        """The places of the window, and ``filters`` channels."""
        inferred = super().infer(shape)
        if (shape[-1] or 0) % self.groups:
            raise ShapeError(
                f"{self.title} expected channels that groups={self.groups} divides, received "
                f"{shape}."
            )
        return inferred

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel [places..., inputs, outputs] and the bias."""
        inputs = (shape[-1] or 0) // self.groups
        kernel = Weight(
            "kernel", (*self.kernel_size, inputs, self.filters), self.kernel_initializer,
            kernel_inward, kernel_outward, self.kernel_regularizer,
        )  # fmt: skip
        return [kernel, *self.bias_weight(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        bias = self.bias if self.use_bias else None
        return convolve(
            x, self.kernel, bias, self.strides, self.padding, self.dilation_rate,
            self.groups,
        )  # fmt: skip


class Conv1D(Convolution):
    """A convolution over sequences ``[batch, length, features]``.

    ``padding="causal"`` looks only backwards. With ``lengths``, what lies beyond a sequence counts
    as zero, so that a sequence gives the same values whatever it is batched with.

    Example:
        >>> import torch
        >>> Conv1D(8, 3, padding="causal")(torch.zeros(2, 50, 4)).shape
        torch.Size([2, 50, 8])
    """

    rank = 1
    takes_lengths = True

    def linear(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        if lengths is not None and self.padding != "valid":
            x = x * within(lengths, x.shape[1]).unsqueeze(-1)
        return super().linear(x)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The activation of :meth:`linear`."""
        return activated(self.activation, self.linear(x, lengths), fresh=True)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A short sequence."""
        return cls(4, 3, padding="causal", activation="relu"), (9, 5)


class Conv2D(Convolution):
    """A convolution over images, shape (height, width, channels).

    Example:
        >>> layer = Conv2D(32, (3, 3), activation="relu", input_shape=(32, 32, 3))
        >>> layer.build(layer.input_shape)
        (30, 30, 32)
    """

    rank = 2

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A small picture, halved."""
        return cls(4, 3, 2, "same", activation="relu"), (8, 7, 3)


class Conv3D(Convolution):
    """A convolution over volumes or clips, shape (depth, height, width, channels)."""

    rank = 3

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A small clip."""
        return cls(4, (2, 3, 3), activation="relu"), (5, 6, 7, 2)


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
