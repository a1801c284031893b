"""Cells: one step of a recurrence, to be run by ``RNN`` or by a loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.recurrence import GRUStep, LSTMStep, Recurrence, SimpleStep, States

variants = ("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells")


class Cell(Recurrence):
    """A recurrence called on one step ``[batch, features]`` and the states before it.

    ``output, states = cell(x, states)``; without states they are zeros. While a cell is
    :meth:`held`, each step drops the same features.
    """

    _kept: tuple[Tensor | None, Tensor | None] | None = None

    @property
    def state_size(self) -> int | list[int]:
        """The units of each state; one number where there is one state."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self) -> int:
        """The features of the output."""
        return self.units

    def infer(self, shape: Shape) -> Any:
        """The output, then the states."""
        if len(shape) != 1 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected one step (features,), received the shape {shape}. For "
                f"whole sequences type RNN({type(self).__name__}({self.units}))."
            )
        return ((self.units,),) * (1 + self.state_count)

    def zero_states(self, x: Tensor) -> States:
        """What a sequence starts from."""
        return (x.new_zeros(x.shape[0], self.units),) * self.state_count

    def hold(self, x: Tensor, states: Sequence[Tensor]) -> None:
        """Draw what is dropped, for all steps until :meth:`release`."""
        self._kept = (self.kept_inputs(x), self.kept_states(states[0]))

    def release(self) -> None:
        """Draw anew at the next step."""
        self._kept = None

    def forward(
        self, x: Tensor, states: Tensor | Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The output of one step, and the states after it."""
        x = self.ready(x)
        given = (states,) if isinstance(states, Tensor) else states
        before = self.zero_states(x) if given is None else tuple(given)
        if len(before) != self.state_count:
            raise ShapeError(
                f"{self.title} expected {self.state_count} states of shape [batch, {self.units}], "
                f"received {len(before)}."
            )
        kept = self._kept or (self.kept_inputs(x), self.kept_states(before[0]))
        x = x if kept[0] is None else x * kept[0]
        seen = before[0] if kept[1] is None else before[0] * kept[1]
        after = self.step(self.projected(x), seen, before)
        return after[0], list(after)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three features to four units."""
        make: Any = cls
        return make(4), (3,)


class SimpleRNNCell(SimpleStep, Cell):
    """One step of :class:`~lepton_ai.layers.recurrent.SimpleRNN` (Elman 1990).

    Example:
        >>> output, states = SimpleRNNCell(4)(torch.zeros(2, 3))
        >>> output.shape, len(states)
        (torch.Size([2, 4]), 1)
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


class LSTMCell(LSTMStep, Cell):
    """One step of :class:`~lepton_ai.layers.gated.LSTM` (Hochreiter & Schmidhuber 1997)."""

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


class GRUCell(GRUStep, Cell):
    """One step of :class:`~lepton_ai.layers.gated.GRU` (Cho et al. 2014)."""

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
        reset_after: bool = True,
        seed: int | None = None,
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


def sizes_of(cell: Any) -> list[int]:
    """The units of each state of a cell, in one flat list."""
    size = cell.state_size
    return [size] if isinstance(size, int) else [n for part in size for n in _flat(part)]


def output_size(cell: Any) -> int:
    """The features of a cell's output: its ``output_size``, else those of its first state."""
    found = getattr(cell, "output_size", None)
    return sizes_of(cell)[0] if found is None else int(found)


def _flat(size: Any) -> list[int]:
    return [size] if isinstance(size, int) else [n for part in size for n in _flat(part)]


def as_cell(cell: Any, who: str) -> Layer:
    """A layer that is a cell.

    Raises:
        ConfigError: Anything else.
    """
    if not isinstance(cell, Layer) or not hasattr(cell, "state_size"):
        raise ConfigError(
            f"{who} expected a cell: a layer with a state_size that gives (output, states) for "
            f"(x, states); received {cell!r}. Type for example LSTMCell(64)."
        )
    return cell


class StackedRNNCells(Layer):
    """Cells on top of each other as one cell; its states are those of all, in order.

    Example:
        >>> output, states = StackedRNNCells([LSTMCell(4), GRUCell(5)])(torch.zeros(2, 3))
        >>> output.shape, len(states)
        (torch.Size([2, 5]), 3)
    """

    def __init__(self, cells: Sequence[Layer], **common: Any) -> None:
        super().__init__(**common)
        if not isinstance(cells, list | tuple | nn.ModuleList) or not len(cells):
            raise ConfigError(
                f"StackedRNNCells expected a list of cells, received {cells!r}. Type "
                f"StackedRNNCells([LSTMCell(64), LSTMCell(64)])."
            )
        self.cells = nn.ModuleList(as_cell(cell, "StackedRNNCells") for cell in cells)
        self.draws = any(getattr(cell, "draws", False) for cell in self.cells)

    @property
    def state_size(self) -> list[Any]:
        """The units of the states of each cell."""
        return [cell.state_size for cell in self.parts()]

    @property
    def output_size(self) -> int:
        """The features of the last cell's output."""
        return output_size(self.parts()[-1])

    def parts(self) -> list[Any]:
        """The cells, from the first on."""
        return list(self.cells)

    def infer(self, shape: Shape) -> Any:
        """The output of the last cell, then all states."""
        for cell in self.parts():
            shape = cell.infer(shape)[0]
        return (shape, *((n,) for n in sizes_of(self)))

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """All cells."""
        for cell in self.parts():
            shape = cell.build(shape, generator)[0]

    def decisive(self, shape: Shape) -> Any:
        """The features."""
        return shape[-1:]

    def _inner(self) -> list[Layer]:
        return self.parts()

    def zero_states(self, x: Tensor) -> States:
        """What a sequence starts from."""
        return tuple(x.new_zeros(x.shape[0], n) for n in sizes_of(self))

    def hold(self, x: Tensor, states: Sequence[Tensor]) -> None:
        """Draw what the cells drop, for all steps until :meth:`release`."""
        for cell, own in zip(self.parts(), self._shared_out(states), strict=True):
            if hasattr(cell, "hold"):
                cell.hold(x, own)
            x = x.new_zeros(x.shape[0], output_size(cell))

    def release(self) -> None:
        """Draw anew at the next step."""
        for cell in self.parts():
            if hasattr(cell, "release"):
                cell.release()

    def _shared_out(self, states: Sequence[Tensor]) -> list[list[Tensor]]:
        """The states of each cell."""
        left, found = list(states), []
        for cell in self.parts():
            count = len(sizes_of(cell))
            found.append(left[:count])
            left = left[count:]
        return found

    def forward(
        self, x: Tensor, states: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """The output of one step, and the states after it."""
        x = self.ready(x)
        given = self.zero_states(x) if states is None else states
        if len(given) != len(sizes_of(self)):
            raise ShapeError(
                f"{self.title} expected {len(sizes_of(self))} states in one list, received "
                f"{len(given)}."
            )
        after: list[Tensor] = []
        for cell, own in zip(self.parts(), self._shared_out(given), strict=True):
            x, ended = cell(x, own)
            after += [ended] if isinstance(ended, Tensor) else list(ended)
        return x, after

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Two cells."""
        return cls([LSTMCell(4), GRUCell(5)]), (3,)
