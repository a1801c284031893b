"""Recurrent layers whose step is a convolution: for sequences of maps, such as clips."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.convolution import kernel_inward, kernel_outward
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.nonlinearity import activated
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.reading import Reading, at_end
from lepton_ai.layers.recurrence import States
from lepton_ai.layers.regularization import as_rate
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.window import as_data_format, pad_same, window_shape

variants = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_EXAMPLES = {1: "(10, 100, 16)", 2: "(10, 28, 28, 1)", 3: "(10, 16, 28, 28, 1)"}
_SAMPLES = {1: (3, 5, 2), 2: (3, 5, 4, 2), 3: (2, 3, 4, 3, 2)}


class _ConvLSTM(Reading):
    """An LSTM whose products with its kernels are convolutions (Shi et al. 2015).

    Gates are ``recurrent_activation(x * kernel + output * recurrent_kernel + bias)`` with ``*`` the
    convolution; the one over the states keeps their size. States: output and carry, of shape
    (places..., filters).
    """

    rank = 2
    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": ("kernel",),
        "recurrent_constraint": ("recurrent_kernel",),
        "bias_constraint": ("bias",),
    }
    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor
    use_bias: bool

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | tuple[int, ...] = 1,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        recurrent_initializer: str | dict = "orthogonal",
        bias_initializer: str | dict = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: str | dict | None = None,
        recurrent_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.filters = sizes(filters, 1, "filters")[0]
        self.kernel_size = sizes(kernel_size, self.rank, "kernel_size")
        self.strides = sizes(strides, self.rank, "strides")
        self.padding = choice(padding, ("valid", "same"), "padding")
        self.data_format = as_data_format(data_format)
        self.dilation_rate = sizes(dilation_rate, self.rank, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ConfigError(
                f"{type(self).__name__} expected strides or dilation_rate to be 1; received "
                f"strides={strides} and dilation_rate={dilation_rate}."
            )
        self.keep(
            activation=activation, recurrent_activation=recurrent_activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
        )  # fmt: skip
        self.dropout = as_rate(dropout, "dropout")
        self.recurrent_dropout = as_rate(recurrent_dropout, "recurrent_dropout")
        self.seed = seed
        self.draws = self.dropout > 0 or self.recurrent_dropout > 0
        self._seeded = Seeded(seed)
        self.keep_reading(return_sequences, return_state, go_backwards, stateful)

    unit_forget_bias: bool

    def state_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """The places of the window, and ``filters`` channels, twice."""
        if len(shape) != self.rank + 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected (steps, places..., channels) with {self.rank} axes of "
                f"places, received the shape {shape}. Type a shape such as "
                f"input_shape={_EXAMPLES[self.rank]}."
            )
        places = window_shape(self, shape[1:], self.kernel_size, self.dilation_rate)
        return ((*places, self.filters),) * 2

    def declare(self, shape: Shape) -> list[Weight]:
        """Kernel, recurrent kernel and bias, the gates side by side."""
        wide = 4 * self.filters
        found = [
            Weight(
                "kernel", (*self.kernel_size, shape[-1] or 0, wide), self.kernel_initializer,
                kernel_inward, kernel_outward, self.kernel_regularizer,
            ),
            Weight(
                "recurrent_kernel", (*self.kernel_size, self.filters, wide),
                self.recurrent_initializer, kernel_inward, kernel_outward,
                self.recurrent_regularizer,
            ),
        ]  # fmt: skip
        bias = Weight("bias", (wide,), self.bias_initializer, penalty=self.bias_regularizer)
        return found + [bias] * self.use_bias

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The weights, with the forget gate open."""
        super().create(shape, generator)
        if self.use_bias and self.unit_forget_bias:
            with torch.no_grad():
                self.bias[self.filters : 2 * self.filters] = 1.0

    # Inside, each step is a map with its channels first, whatever the number of its axes.

    def to_steps(self, x: Tensor) -> Tensor:
        """[batch, channels, steps, places...] as [batch, steps, channels, places...]."""
        return x.movedim(2, 1)

    def from_steps(self, outputs: Tensor) -> Tensor:
        """The way back from :meth:`to_steps`."""
        return outputs.movedim(1, 2)

    def from_step(self, output: Tensor) -> Tensor:
        """A map; of one axis of places, written channels last."""
        return output.movedim(1, -1) if self.rank == 1 else output

    def to_state(self, state: Tensor) -> Tensor:
        """The way back from :meth:`from_step`."""
        return state.movedim(-1, 1) if self.rank == 1 else state

    def first_states(self, x: Tensor) -> States:
        """Zeros."""
        written = (x.shape[1], *x.shape[3:], x.shape[2])
        *places, filters = (n or 0 for n in self.state_shapes(written)[0])
        return (x.new_zeros(x.shape[0], filters, *places),) * 2

    def _convolve(
        self, x: Tensor, kernel: Tensor, bias: Tensor | None, strides: tuple[int, ...],
        dilation: tuple[int, ...], padding: str,
    ) -> Tensor:  # fmt: skip
        margins: tuple[int, ...] = (0,) * self.rank
        if padding == "same":
            x, margins = pad_same(x, self.kernel_size, strides, dilation)
        return _CONVOLVE[self.rank](x, kernel, bias, strides, margins, dilation)

    def read(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Step by step; the input of all steps is convolved at once."""
        once, first, dropped = (1,) * self.rank, states, None
        if self.training and self.dropout > 0:
            x = x * keep_mask(x[:, :1].shape, self.dropout, x, self._seeded)
        if self.training and self.recurrent_dropout > 0:
            dropped = keep_mask(states[0].shape, self.recurrent_dropout, x, self._seeded)
        bias = self.bias if self.use_bias else None
        inputs = self._convolve(
            x.flatten(0, 1), self.kernel, bias, self.strides, self.dilation_rate, self.padding
        )
        gate, squash, collected = self.recurrent_activation, self.activation, []
        for projected in inputs.unflatten(0, tuple(x.shape[:2])).unbind(1):
            seen = states[0] if dropped is None else states[0] * dropped
            inner = self._convolve(seen, self.recurrent_kernel, None, once, once, "same")
            enter, forget, candidate, leave = (projected + inner).chunk(4, 1)
            carry = activated(gate, forget) * states[1]
            carry = carry + activated(gate, enter) * activated(squash, candidate)
            states = (activated(gate, leave) * activated(squash, carry), carry)
            collected.append(states)
        sequences = [torch.stack(one, 1) for one in zip(*collected, strict=True)]
        if lengths is not None:
            pairs = zip(sequences, first, strict=True)
            states = tuple(at_end(sequence, lengths, before) for sequence, before in pairs)
        return sequences[0], states

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """All outputs for a few small maps."""
        return cls(2, 2, padding="same", return_sequences=True), _SAMPLES[cls.rank]


class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM over sequences of rows, shape (steps, length, channels)."""

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM over clips, shape (steps, height, width, channels) (Shi et al. 2015).

    Example:
        >>> ConvLSTM2D(8, 3, padding="same").build((10, 28, 28, 1))
        (28, 28, 8)
    """


class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM over volumes, shape (steps, depth, height, width, channels)."""

    rank = 3
