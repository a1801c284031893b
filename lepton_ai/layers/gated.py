"""Gated recurrent layers: LSTM and GRU."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lepton_ai.layers.dense import transposed
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.nonlinearity import activated, as_activation
from lepton_ai.layers.recurrent import Recurrent, States, at_end
from lepton_ai.layers.weight import Weight

variants = ("LSTM", "GRU")


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); states: output and carry.

    ``unit_forget_bias`` starts the forget gate's bias at 1 (Jozefowicz et al. 2015).

    Example:
        >>> LSTM(32)(torch.zeros(2, 10, 8)).shape
        torch.Size([2, 32])
    """

    gates = 4
    state_count = 2

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
        **common: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed,
            return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, **common,
        )  # fmt: skip
        self.recurrent_activation = as_activation(recurrent_activation, "recurrent_activation")
        self.unit_forget_bias = bool(unit_forget_bias)

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The weights, with the forget gate open."""
        super().create(shape, generator)
        if self.use_bias and self.unit_forget_bias:
            with torch.no_grad():
                self.bias[self.units : 2 * self.units] = 1.0

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
        if self.return_state:
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

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """One step."""
        gates = projected + F.linear(seen, self.recurrent_kernel)
        enter, forget, candidate, leave = gates.chunk(4, -1)
        gate, squash = self.recurrent_activation, self.activation
        carry = activated(gate, forget) * states[1] + activated(gate, enter) * activated(
            squash, candidate
        )
        return activated(gate, leave) * activated(squash, carry), carry


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014).

    ``reset_after=True`` resets the state after its product with the kernel, as fused kernels do;
    ``False`` before it, as in the paper, step by step.

    Example:
        >>> GRU(32, return_sequences=True)(torch.zeros(2, 10, 8)).shape
        torch.Size([2, 10, 32])
    """

    gates = 3

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
        reset_after: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(
            units, activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed,
            return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, **common,
        )  # fmt: skip
        self.recurrent_activation = as_activation(recurrent_activation, "recurrent_activation")
        self.reset_after = bool(reset_after)

    def _swapped(self, tensor: Tensor) -> Tensor:
        """Keras's gates are update, reset, candidate; torch's begin with reset."""
        update, reset, candidate = tensor.chunk(3, -1)
        return torch.cat([reset, update, candidate], -1)

    def inward(self, kernel: Tensor) -> Tensor:
        """From Keras's [inputs, gates * units] to torch's layout and order of gates."""
        return transposed(self._swapped(kernel))

    def outward(self, kernel: Tensor) -> Tensor:
        """The way back from :meth:`inward`."""
        return self._swapped(transposed(kernel))

    def bias_weight(self) -> Weight:
        """The bias; with ``reset_after`` one for the input and one for the state."""
        wide = 3 * self.units
        size = (2, wide) if self.reset_after else (wide,)
        return Weight(
            "bias", size, self.bias_initializer, self._swapped, self._swapped,
            self.bias_regularizer,
        )  # fmt: skip

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

    def input_bias(self) -> Tensor | None:
        """The bias added to the projected input."""
        if not self.use_bias:
            return None
        return self.bias[0] if self.reset_after else self.bias

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """One step."""
        wide = 2 * self.units
        in_gates, in_candidate = projected.split([wide, self.units], -1)
        if self.reset_after:
            bias = self.bias[1] if self.use_bias else None
            inner = F.linear(seen, self.recurrent_kernel, bias)
            inner_gates, inner_candidate = inner.split([wide, self.units], -1)
        else:
            inner_gates = F.linear(seen, self.recurrent_kernel[:wide])
        reset, update = activated(self.recurrent_activation, in_gates + inner_gates).chunk(2, -1)
        if self.reset_after:
            inner_candidate = reset * inner_candidate
        else:
            inner_candidate = F.linear(reset * seen, self.recurrent_kernel[wide:])
        candidate = activated(self.activation, in_candidate + inner_candidate)
        return (update * states[0] + (1 - update) * candidate,)


@contextmanager
def _without_advice() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        yield


def _quiet_on_gpu(x: Tensor) -> AbstractContextManager[None]:
    """On a GPU torch advises one block of memory for all weights; ours have names instead."""
    return _without_advice() if x.is_cuda else nullcontext()
