"""Windows that slide over places: how many fit, what is padded, which shapes they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.weight import Weight

_EXAMPLES = {
    1: ("sequences (length, features)", "(100, 16)"),
    2: ("images (height, width, channels)", "(28, 28, 1)"),
    3: ("volumes (depth, height, width, channels)", "(16, 28, 28, 1)"),
}


def same_padding(length: int, size: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros before and after an axis so that ``padding="same"`` gives ceil(length / stride).

    The odd one comes after, as in TensorFlow and Keras.

    Example:
        >>> same_padding(32, 3, 2)
        (0, 1)
    """
    reach = (size - 1) * dilation + 1
    if stride == 1:  # whatever the length, which may not be known while a network is exported
        total = reach - 1
    else:
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def window_length(
    length: int | None, size: int, stride: int, padding: str, dilation: int = 1
) -> int | None:
    """How many places a sliding window takes along an axis; None stays None."""
    if length is None:
        return None
    if padding != "valid":
        return -(-length // stride)
    return (length - (size - 1) * dilation - 1) // stride + 1


def as_image_row(sequence: Tensor) -> Tensor:
    """A sequence ``[N, L, D]`` seen as images of height 1, ``[N, D, 1, L]``; nothing is copied."""
    return sequence.unsqueeze(1).permute(0, 3, 1, 2)


def from_image_row(images: Tensor) -> Tensor:
    """The way back from :func:`as_image_row`."""
    return images.permute(0, 2, 3, 1).squeeze(1)


def check_places(layer: Layer, shape: Shape, rank: int) -> None:
    """Refuse a shape that has not ``rank`` spatial axes and a known number of channels.

    Raises:
        ShapeError: With what to type instead.
    """
    kind, example = _EXAMPLES[rank]
    if len(shape) == rank + 1 and shape[-1] is not None:
        return
    if len(shape) == rank and rank > 1:
        wanted = (*shape, 1)
        hint = f"Type input_shape={wanted}, or put Reshape({wanted}) before it."
    else:
        hint = f"Type a shape such as input_shape={example}."
    raise ShapeError(f"{layer.title} expected {kind}, received the shape {shape}. {hint}")


def window_shape(layer: Any, shape: Shape, size: tuple, dilation: tuple) -> Shape:
    """The places that a sliding window takes on each spatial axis of a shape.

    Raises:
        ShapeError: The window is larger than the input.
    """
    places = []
    for length, reach, stride, spread in zip(shape, size, layer.strides, dilation, strict=False):
        count = window_length(length, reach, stride, layer.padding, spread)
        if count is not None and count < 1:
            raise ShapeError(
                f"{layer.title} expected an input of at least {(reach - 1) * spread + 1} along "
                f"each axis, received {shape}. Type padding='same', or a smaller window."
            )
        places.append(count)
    return tuple(places)


def as_data_format(value: str | None) -> str:
    """Shapes are written channels last; the other order is refused with the reason.

    Raises:
        ConfigError: ``"channels_first"``, or no such order.
    """
    word = choice(value or "channels_last", ("channels_last", "channels_first"), "data_format")
    if word == "channels_first":
        raise ConfigError(
            "data_format expected 'channels_last', received 'channels_first'. Leave it out: shapes "
            "are written channels last, and the tensors inside are channels first already."
        )
    return word


def pad_same(
    x: Tensor, size: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """Pad as Keras's ``"same"``; zeros equal on both sides are left to the operation itself."""
    both = [
        same_padding(n, k, s, d)
        for n, k, s, d in zip(x.shape[2:], size, strides, dilation, strict=True)
    ]
    if all(before == after for before, after in both):
        return x, tuple(before for before, _ in both)
    flat = [zeros for pair in reversed(both) for zeros in pair]
    return F.pad(x, flat), (0,) * len(both)


def windows_within(layer: Any, lengths: Tensor, size: int, dilation: int = 1) -> Tensor:
    """:func:`window_length` for a tensor of lengths, at least 0."""
    stride = layer.strides[0]
    if layer.padding != "valid":
        return (lengths + stride - 1) // stride
    return ((lengths - (size - 1) * dilation - 1) // stride + 1).clamp(min=0)


class Windowed(Activated):
    """What all convolutions share: the window's arguments, the bias and the lengths."""

    rank = 2
    bias: Tensor

    def keep_window(
        self, kernel_size: Any, strides: Any, padding: str, dilation_rate: Any,
        data_format: str | None, paddings: Sequence[str] = ("valid", "same"),
    ) -> None:  # fmt: skip
        """Store the arguments of the window, one number for each axis."""
        self.kernel_size = sizes(kernel_size, self.rank, "kernel_size")
        self.strides = sizes(strides, self.rank, "strides")
        self.padding = choice(padding, paddings, "padding")
        self.data_format = as_data_format(data_format)
        self.dilation_rate = sizes(dilation_rate, self.rank, "dilation_rate")

    def outputs(self, inputs: int) -> int:
        """The channels of the output."""
        raise NotImplementedError

    def infer(self, shape: Shape) -> Shape:
        """The places of the window, and the channels of the output."""
        check_places(self, shape, self.rank)
        places = window_shape(self, shape, self.kernel_size, self.dilation_rate)
        return (*places, self.outputs(shape[-1] or 0))

    def bias_weight(self, shape: Shape) -> list[Weight]:
        """The bias, where there is one."""
        size = (self.outputs(shape[-1] or 0),)
        bias = Weight("bias", size, self.bias_initializer, penalty=self.bias_regularizer)
        return [bias] * self.use_bias

    use_bias: bool

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """How many places the window takes inside each sequence."""
        if lengths is None or self.rank != 1:
            return None
        return windows_within(self, lengths, self.kernel_size[0], self.dilation_rate[0])
