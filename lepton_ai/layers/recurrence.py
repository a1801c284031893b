"""One step of a recurrence: its arguments, its weights and its maths; cells and layers share it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.layers.dense import transposed
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, sizes
from lepton_ai.layers.nonlinearity import activated
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.regularization import as_rate
from lepton_ai.layers.weight import Weight

States = tuple[Tensor, ...]


class Recurrence(Layer):
    """The weights of a recurrence over vectors, and its step.

    ``dropout`` drops features of the input and ``recurrent_dropout`` of the state, the same ones at
    each step (Gal & Ghahramani 2016).
    """

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": ("kernel",),
        "recurrent_constraint": ("recurrent_kernel",),
        "bias_constraint": ("bias",),
    }
    gates = 1
    state_count = 1
    units: int
    use_bias: bool
    dropout: float
    recurrent_dropout: float
    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor

    def keep_recurrence(
        self, units: int, dropout: float, recurrent_dropout: float, seed: int | None, **named: Any
    ) -> None:
        """Store the arguments of the step."""
        self.units = sizes(units, 1, "units")[0]
        self.dropout = as_rate(dropout, "dropout")
        self.recurrent_dropout = as_rate(recurrent_dropout, "recurrent_dropout")
        self.keep(**named)
        self.seed = seed
        self.draws = self.dropout > 0 or self.recurrent_dropout > 0
        self._seeded = Seeded(seed)

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

    def input_bias(self) -> Tensor | None:
        """The bias added to the projected input."""
        return self.bias if self.use_bias else None

    def projected(self, x: Tensor) -> Tensor:
        """What the input gives to the gates."""
        return F.linear(x, self.kernel, self.input_bias())

    def kept_inputs(self, x: Tensor) -> Tensor | None:
        """Which features of ``x`` [batch, features] are kept at all steps; None keeps all."""
        if not self.training or self.dropout == 0:
            return None
        return keep_mask(x.shape, self.dropout, x, self._seeded)

    def kept_states(self, state: Tensor) -> Tensor | None:
        """Which features of a state [batch, units] are kept at all steps; None keeps all."""
        if not self.training or self.recurrent_dropout == 0:
            return None
        return keep_mask(state.shape, self.recurrent_dropout, state, self._seeded)

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """The states after one step; ``seen`` is the output before it, with features dropped."""
        raise NotImplementedError


class SimpleStep(Recurrence):
    """``output = activation(x @ kernel + output @ recurrent_kernel + bias)`` (Elman 1990)."""

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """One step."""
        return (activated(self.activation, projected + F.linear(seen, self.recurrent_kernel)),)


class LSTMStep(Recurrence):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); states: output and carry.

    ``carry = forget * carry + enter * activation(candidate)`` and ``output = leave *
    activation(carry)``, the gates ``recurrent_activation(x @ kernel + output @ recurrent + bias)``.
    ``unit_forget_bias`` starts the forget gate's bias at 1 (Jozefowicz et al. 2015).
    """

    gates = 4
    state_count = 2
    unit_forget_bias: bool

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The weights, with the forget gate open."""
        super().create(shape, generator)
        if self.use_bias and self.unit_forget_bias:
            with torch.no_grad():
                self.bias[self.units : 2 * self.units] = 1.0

    def step(self, projected: Tensor, seen: Tensor, states: States) -> States:
        """One step."""
        gates = projected + F.linear(seen, self.recurrent_kernel)
        enter, forget, candidate, leave = gates.chunk(4, -1)
        gate, squash = self.recurrent_activation, self.activation
        carry = activated(gate, forget) * states[1] + activated(gate, enter) * activated(
            squash, candidate
        )
        return activated(gate, leave) * activated(squash, carry), carry


class GRUStep(Recurrence):
    """Gated recurrent unit (Cho et al. 2014).

    ``output = update * output + (1 - update) * activation(candidate)``. ``reset_after=True`` resets
    the state after its product with the kernel, as fused kernels do; ``False`` before it, as in the
    paper, step by step.
    """

    gates = 3
    reset_after: bool

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
