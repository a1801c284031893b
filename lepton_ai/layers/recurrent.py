"""Recurrent layers, on torch's fused kernels wherever the arguments permit; gated ones apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.reading import Reading, at_end
from lepton_ai.layers.recurrence import Recurrence, SimpleStep, States

variants = ("SimpleRNN",)


class Recurrent(Reading, Recurrence):
    """What recurrent layers over vectors share."""

    def state_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """As many times the units as there are states."""
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
        return ((self.units,),) * self.state_count

    def read(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """In one call of torch's kernel where it knows how, else step by step."""
        if self.training and self.dropout > 0:
            kept = self.kept_inputs(x[:, 0])
            x = x if kept is None else x * kept.unsqueeze(1)
        run = self.run_fused if self.fused() else self.run_steps
        return run(x, lengths, states)

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
        first, masked = states, self.kept_states(states[0])
        collected = []
        for projected in self.projected(x).unbind(1):
            seen = states[0] if masked is None else states[0] * masked
            states = self.step(projected, seen, states)
            collected.append(states)
        sequences = [torch.stack(one, 1) for one in zip(*collected, strict=True)]
        if lengths is not None:
            pairs = zip(sequences, first, strict=True)
            states = tuple(at_end(sequence, lengths, before) for sequence, before in pairs)
        return sequences[0], states

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """All outputs for short sequences."""
        make: Any = cls
        return make(4, return_sequences=True), (6, 3)


class SimpleRNN(SimpleStep, Recurrent):
    """A recurrent layer without gates: ``activation(x @ kernel + output @ recurrent + bias)``.

    Sequences ``[batch, length, features]`` to ``[batch, units]`` (Elman 1990).

    Example:
        >>> SimpleRNN(8)(torch.zeros(2, 10, 4)).shape
        torch.Size([2, 8])
    """

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
        stateful: bool = False,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.keep_recurrence(
            units, dropout, recurrent_dropout, seed, activation=activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
        )  # fmt: skip
        self.keep_reading(return_sequences, return_state, go_backwards, stateful)

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
