"""A recurrent layer around any cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.cells import LSTMCell, StackedRNNCells, as_cell, output_size, sizes_of
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.reading import Reading, at_end
from lepton_ai.layers.recurrence import States

variants = ("RNN",)


class RNN(Reading):
    """Runs a cell over the steps of sequences ``[batch, length, features]``.

    ``cell`` is one of ours, a list of them (stacked), or a layer of one's own with a ``state_size``
    whose ``forward(x, states)`` gives ``(output, states)`` for one step. For a single LSTM or GRU,
    the layers of these names are faster: they run all steps in one call.

    Example:
        >>> RNN([LSTMCell(8), LSTMCell(4)], return_sequences=True)(torch.zeros(2, 5, 3)).shape
        torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        several = isinstance(cell, list | tuple)
        self.cell = StackedRNNCells(cell) if several else as_cell(cell, "RNN")
        self.keep_reading(return_sequences, return_state, go_backwards, stateful)
        self.unroll = bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.draws = self.cell.draws

    def state_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """What the cell says."""
        if len(shape) != 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received the shape {shape}. "
                f"Put an Embedding before it."
            )
        return tuple((n,) for n in sizes_of(self.cell))

    def output_of(self, shape: Shape) -> Shape:
        """What the cell says, which need not be its first state."""
        self.state_shapes(shape)
        return (output_size(self.cell),)

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The cell, for one step."""
        self.cell.build(shape[1:], generator)

    def decisive(self, shape: Shape) -> Any:
        """The features."""
        return shape[-1:]

    def read(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """Step by step."""
        cell: Any = self.cell
        first, held = states, hasattr(cell, "hold")
        if held:
            cell.hold(x[:, 0], states)
        outputs, collected = [], []
        try:
            for step in x.unbind(1):
                output, after = cell(step, list(states))
                states = (after,) if isinstance(after, Tensor) else tuple(after)
                outputs.append(output)
                collected.append(states)
        finally:
            if held:
                cell.release()
        if lengths is not None:
            sequences = [torch.stack(one, 1) for one in zip(*collected, strict=True)]
            pairs = zip(sequences, first, strict=True)
            states = tuple(at_end(sequence, lengths, before) for sequence, before in pairs)
        return torch.stack(outputs, 1), states

    def last(self, outputs: Tensor, lengths: Tensor | None, states: States) -> Tensor:
        """The last output of each sequence; of an empty one, zeros."""
        if lengths is None:
            return outputs[:, -1]
        return at_end(outputs, lengths, torch.zeros_like(outputs[:, 0]))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """All outputs of a cell for short sequences."""
        return cls(LSTMCell(4), return_sequences=True), (6, 3)
