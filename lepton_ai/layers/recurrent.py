"""Recurrent layers, on torch's fused kernels wherever the arguments permit; gated ones apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.dense import transposed
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, sizes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.nonlinearity import activated, as_activation
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.regularization import as_rate
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = ("SimpleRNN",)

States = tuple[Tensor, ...]


def reversed_within(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence back to front; padded steps stay where they are."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    inside = within(lengths, x.shape[1])
    places = torch.where(inside, lengths.unsqueeze(1) - 1 - steps, steps)
    return x.gather(1, places.unsqueeze(-1).expand_as(x))


def at_end(sequence: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """The value at the last step of each sequence; of an empty one, the value before it."""
    last = (lengths.long() - 1).clamp(min=0).view(-1, 1, 1)
    found = sequence.gather(1, last.expand(-1, 1, sequence.shape[2])).squeeze(1)
    return torch.where((lengths > 0).unsqueeze(1), found, before)


class Recurrent(Layer):
    """What recurrent layers share.

    Sequences ``[batch, length, features]`` give the last output ``[batch, units]``, or all outputs
    with ``return_sequences``; ``return_state`` gives the final states too. With ``lengths`` each
    sequence ends where it ends: its state stays, its last output repeats, and ``go_backwards``
    starts there.

    ``dropout`` drops features of the input and ``recurrent_dropout`` of the state, the same ones at
    each step (Gal & Ghahramani 2016).
    """

    takes_lengths = True
    gates = 1
    state_count = 1
    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        recurrent_initializer: str | dict = "orthogonal",
        bias_initializer: str | dict = "zeros",
        *,
        kernel_regularizer: str | dict | None = None,
        recurrent_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units = sizes(units, 1, "units")[0]
        self.activation = as_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = as_initializer(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = as_initializer(recurrent_initializer, "recurrent_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.kernel_regularizer = as_penalty(kernel_regularizer, "kernel_regularizer")
        self.recurrent_regularizer = as_penalty(recurrent_regularizer, "recurrent_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")
        self.dropout = as_rate(dropout, "dropout")
        self.recurrent_dropout = as_rate(recurrent_dropout, "recurrent_dropout")
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.seed = seed
        self.draws = self.dropout > 0 or self.recurrent_dropout > 0
        self._seeded = Seeded(seed)

    # Shapes and weights

    def infer(self, shape: Shape) -> Any:
        """All outputs or the last one, and the states where they are asked for."""
        if len(shape) != 2 or shape[-1] is None:
            hint = (
                f"Put Reshape({(*shape, 1)}) or an Embedding before it."
                if len(shape) == 1
                else "Type a shape such as input_shape=(100, 16)."
            )
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received the shape {shape}. "
                f"{hint}"
            )
        output = (shape[0], self.units) if self.return_sequences else (self.units,)
        return (output, *[(self.units,)] * self.state_count) if self.return_state else output

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The same lengths with ``return_sequences``, else none."""
        return lengths if self.return_sequences else None

    def inward(self, kernel: Tensor) -> Tensor:
        """From Keras's [inputs, gates * units] to torch's layout."""
        return transposed(kernel)

    def outward(self, kernel: Tensor) -> Tensor:
        """The way back from :meth:`inward`."""
        return transposed(kernel)

    def bias_weight(self) -> Weight:
        """The bias, one for each gate and unit."""
        size = (self.gates * self.units,)
        return Weight("bias", size, self.bias_initializer, penalty=self.bias_regularizer)

    def declare(self, shape: Shape) -> list[Weight]:
        """Kernel, recurrent kernel and bias, their gates side by side."""
        wide = self.gates * self.units
        kernel = Weight(
            "kernel", (shape[-1] or 0, wide), self.kernel_initializer, self.inward, self.outward,
            self.kernel_regularizer,
        )  # fmt: skip
        recurrent = Weight(
            "recurrent_kernel", (self.units, wide), self.recurrent_initializer, self.inward,
            self.outward, self.recurrent_regularizer,
        )  # fmt: skip
        return [kernel, recurrent] + [self.bias_weight()] * self.use_bias

    # Running

    def scan(
        self, x: Tensor, lengths: Tensor | None, initial_state: Tensor | Sequence[Tensor] | None
    ) -> tuple[Tensor, States]:
        """All outputs in the order of reading, from step 0 on, and the final states."""
        if self.training and self.dropout > 0:
            x = x * keep_mask((x.shape[0], 1, x.shape[2]), self.dropout, x, self._seeded)
        if self.go_backwards:
            x = reversed_within(x, lengths)
        if initial_state is None:
            zero = x.new_zeros(x.shape[0], self.units)
            states: States = (zero,) * self.state_count
        else:
            given = (initial_state,) if isinstance(initial_state, Tensor) else initial_state
            states = tuple(given)
            if len(states) != self.state_count:
                raise ShapeError(
                    f"{self.title} expected {self.state_count} initial states of shape "
                    f"[batch, {self.units}], received {len(states)}."
                )
        if self.fused():
            return self.run_fused(x, lengths, states)
        return self.run_steps(x, lengths, states)

    def fused(self) -> bool:
        """Whether torch's kernel computes what the arguments ask for."""
        return self.activation == "tanh" and not (self.training and self.recurrent_dropout > 0)

    def run_fused(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """All steps in one call; padding on the right cannot change what comes before it."""
        outputs = self.kernel_call(x, states)[0]
        if lengths is None:
            return outputs, (outputs[:, -1],)
        return outputs, (at_end(outputs, lengths, states[0]),)

    def kernel_call(self, x: Tensor, states: States) -> tuple[Tensor, ...]:
        """Torch's kernel: the outputs and the states after the last step."""
        raise NotImplementedError

    def flat_weights(self) -> list[Tensor]:
        """The weights as torch's kernels take them."""
        if not self.use_bias:
            return [self.kernel, self.recurrent_kernel]
        return [self.kernel, self.recurrent_kernel, self.bias, torch.zeros_like(self.bias)]

    def run_steps(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Step by step, for arguments that no fused kernel knows."""
        first, masked = states, None
        if self.training and self.recurrent_dropout > 0:
            masked = keep_mask(states[0].shape, self.recurrent_dropout, x, self._seeded)
        collected = []
        for projected in F.linear(x, self.kernel, self.input_bias()).unbind(1):
            seen = states[0] if masked is None else states[0] * masked
            states = self.step(projected, seen, states)
            collected.append(states)
        sequences = [torch.stack(one, 1) for one in zip(*collected, strict=True)]
        if lengths is not None:
            pairs = zip(sequences, first, strict=True)
            states = tuple(at_end(sequence, lengths, before) for sequence, before in pairs)
        return sequences[0], states

    def input_bias(self) -> Tensor | None:
        """The bias added to the projected input."""
        return self.bias if self.use_bias else None

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """The states after one step; ``seen`` is the output before it, with features dropped."""
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        initial_state: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor | list[Tensor]:
        """The last output or all of them; with ``return_state`` a list of it and the states."""
        outputs, states = self.scan(self.ready(x), lengths, initial_state)
        y = self.arranged(outputs, states[0], lengths) if self.return_sequences else states[0]
        return [y, *states] if self.return_state else y

    def arranged(self, outputs: Tensor, last: Tensor, lengths: Tensor | None) -> Tensor:
        """Outputs as Keras lines them up: the last repeats; backwards, zeros come first."""
        if lengths is None:
            return outputs
        count = outputs.shape[1]
        if not self.go_backwards:
            inside = within(lengths, count).unsqueeze(-1)
            return torch.where(inside, outputs, last.unsqueeze(1))
        places = torch.arange(count, device=lengths.device) - (count - lengths).unsqueeze(1)
        moved = outputs.gather(1, places.clamp(min=0).unsqueeze(-1).expand_as(outputs))
        return moved.masked_fill((places < 0).unsqueeze(-1), 0.0)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """All outputs for short sequences."""
        return cls(4, return_sequences=True), (6, 3)


class SimpleRNN(Recurrent):
    """``output = activation(x @ kernel + output @ recurrent_kernel + bias)`` (Elman 1990)."""

    def fused(self) -> bool:
        """Torch knows tanh and relu."""
        dropped = self.training and self.recurrent_dropout > 0
        return self.activation in ("tanh", "relu") and not dropped

    def kernel_call(self, x: Tensor, states: States) -> tuple[Tensor, ...]:
        """Torch's kernel."""
        run = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        weights = self.flat_weights()
        state = states[0].unsqueeze(0)
        return run(x, state, weights, self.use_bias, 1, 0.0, self.training, False, True)

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """One step."""
        return (activated(self.activation, projected + F.linear(seen, self.recurrent_kernel)),)
