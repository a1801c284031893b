"""Gated recurrent layers: LSTM and GRU."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lepton_ai.layers.reading import at_end
from lepton_ai.layers.recurrence import GRUStep, LSTMStep, States
from lepton_ai.layers.recurrent import Recurrent

variants = ("LSTM", "GRU")


class LSTM(LSTMStep, Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); states: output and carry.

    ``unit_forget_bias`` starts the forget gate's bias at 1 (Jozefowicz et al. 2015).

    Example:
        >>> LSTM(32)(torch.zeros(2, 10, 8)).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        recurrent_initializer: str | dict = "orthogonal",
        bias_initializer: str | dict = "zeros",
        unit_forget_bias: bool = True,
        *,
        kernel_regularizer: str | dict | None = None,
        recurrent_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
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
        self.keep_recurrence(
            units, dropout, recurrent_dropout, seed, activation=activation,
            recurrent_activation=recurrent_activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            unit_forget_bias=unit_forget_bias,
        )  # fmt: skip
        self.keep_reading(return_sequences, return_state, go_backwards, stateful)

    def fused(self) -> bool:
        """Torch knows the usual activations."""
        return super().fused() and self.recurrent_activation == "sigmoid"

    def kernel_call(self, x: Tensor, states: States) -> tuple[Tensor, ...]:
        """Torch's kernel."""
        hidden = [state.unsqueeze(0) for state in states]
        with _quiet_on_gpu(x):
            return torch.lstm(
                x, hidden, self.flat_weights(), self.use_bias, 1, 0.0, self.training, False, True
            )

    def run_fused(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """All steps in one call."""
        if lengths is None:
            outputs, output, carry = self.kernel_call(x, states)
            return outputs, (output[0], carry[0])
        if self.return_state or self.stateful:
            return self._run_packed(x, lengths, states)
        outputs, _, carry = self.kernel_call(x, states)
        return outputs, (at_end(outputs, lengths, states[0]), carry[0])

    def _run_packed(self, x: Tensor, lengths: Tensor, states: States) -> tuple[Tensor, States]:
        """The kernel gives the carry of the last step only, so each sequence ends where it ends."""
        order = torch.argsort(lengths, descending=True, stable=True)
        back = torch.argsort(order)
        counts = lengths.index_select(0, order).clamp(min=1).cpu()
        packed = pack_padded_sequence(x.index_select(0, order), counts, batch_first=True)
        hidden = [state.index_select(0, order).unsqueeze(0) for state in states]
        with _quiet_on_gpu(x):
            data, output, carry = torch.lstm(
                packed.data, packed.batch_sizes, hidden, self.flat_weights(), self.use_bias, 1,
                0.0, self.training, False,
            )  # fmt: skip
        outputs, _ = pad_packed_sequence(
            packed._replace(data=data), batch_first=True, total_length=x.shape[1]
        )
        empty = (lengths == 0).unsqueeze(1)
        finals = (output[0].index_select(0, back), carry[0].index_select(0, back))
        pairs = zip(states, finals, strict=True)
        ends = tuple(torch.where(empty, before, after) for before, after in pairs)
        return outputs.index_select(0, back), ends


class GRU(GRUStep, Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    ``reset_after=True`` resets the state after its product with the kernel, as fused kernels do;
    ``False`` before it, as in the paper, step by step.

    Example:
        >>> GRU(32, return_sequences=True)(torch.zeros(2, 10, 8)).shape
        torch.Size([2, 10, 32])
    """

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        recurrent_activation: str | None = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        reset_after: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.keep_recurrence(
            units, dropout, recurrent_dropout, seed, activation=activation,
            recurrent_activation=recurrent_activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            reset_after=reset_after,
        )  # fmt: skip
        self.keep_reading(return_sequences, return_state, go_backwards, stateful)

    def fused(self) -> bool:
        """Torch knows the usual activations, and resetting afterwards."""
        return super().fused() and self.recurrent_activation == "sigmoid" and self.reset_after

    def flat_weights(self) -> list[Tensor]:
        """The weights as torch's kernel takes them."""
        biases = list(self.bias.unbind(0)) if self.use_bias else []
        return [self.kernel, self.recurrent_kernel, *biases]

    def kernel_call(self, x: Tensor, states: States) -> tuple[Tensor, ...]:
        """Torch's kernel."""
        weights = self.flat_weights()
        state = states[0].unsqueeze(0)
        with _quiet_on_gpu(x):
            return torch.gru(x, state, weights, self.use_bias, 1, 0.0, self.training, False, True)


@contextmanager
def _without_advice() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        yield


def _quiet_on_gpu(x: Tensor) -> AbstractContextManager[None]:
    """On a GPU torch advises one block of memory for all weights; ours have names instead."""
    return _without_advice() if x.is_cuda else nullcontext()
