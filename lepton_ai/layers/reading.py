"""What layers share that read a sequence step by step: order, masks, states, what is given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape
from lepton_ai.layers.lengths import within
from lepton_ai.layers.recurrence import States


def reversed_within(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence back to front; padded steps stay where they are."""
    if lengths is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    inside = within(lengths, x.shape[1])
    places = torch.where(inside, lengths.unsqueeze(1) - 1 - steps, steps)
    return x.gather(1, wide(places, x).expand_as(x))


def at_end(sequence: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
    """The value at the last step of each sequence; of an empty one, the value before it."""
    last = wide((lengths.long() - 1).clamp(min=0).unsqueeze(1), sequence)
    found = sequence.gather(1, last.expand(-1, 1, *sequence.shape[2:])).squeeze(1)
    return torch.where(wide(lengths > 0, found), found, before)


def telling(lengths: Tensor | None, count: int) -> Tensor | None:
    """The lengths where they say something: None when every sequence is as long as the batch."""
    if lengths is None or lengths.device.type != "cpu" or torch.compiler.is_compiling():
        return lengths
    return None if bool((lengths >= count).all()) else lengths


def wide(tensor: Tensor, like: Tensor) -> Tensor:
    """Axes of size 1 at the end, up to as many as another tensor has."""
    return tensor.reshape(*tensor.shape, *(1,) * (like.ndim - tensor.ndim))


class Reading(Layer):
    """A layer that reads sequences step by step.

    Sequences ``[batch, length, features]`` give the last output ``[batch, units]``, or all outputs
    with ``return_sequences``; ``return_state`` gives the final states too. With ``lengths`` each
    sequence ends where it ends: its state stays, its last output repeats (or is zero with
    ``zero_output_for_mask``), and ``go_backwards`` starts there.

    ``stateful=True`` starts each batch where the one before it ended, example by example, until
    :meth:`reset_states`; the states are no part of what is learned or saved.
    """

    takes_lengths = True
    return_sequences: bool
    return_state: bool
    go_backwards: bool
    stateful: bool
    zero_output_for_mask = False
    _carried: States | None = None

    def keep_reading(
        self, return_sequences: bool, return_state: bool, go_backwards: bool, stateful: bool
    ) -> None:
        """Store the arguments of the reading."""
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.uses_batch_statistics = self.stateful  # a batch must not be split: its order counts

    # Shapes

    def state_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """The shapes of the states, that of the output first."""
        raise NotImplementedError

    def output_of(self, shape: Shape) -> Shape:
        """The shape of one output."""
        return self.state_shapes(shape)[0]

    def infer(self, shape: Shape) -> Any:
        """All outputs or the last one, and the states where they are asked for."""
        one = self.output_of(shape)
        output = (shape[0], *one) if self.return_sequences else one
        return (output, *self.state_shapes(shape)) if self.return_state else output

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The same lengths with ``return_sequences``, else none."""
        return lengths if self.return_sequences else None

    # Running

    def first_states(self, x: Tensor) -> States:
        """Zeros, for a batch of sequences."""
        shapes = self.state_shapes(tuple(x.shape[1:]))
        made: dict[Shape, Tensor] = {s: x.new_zeros(x.shape[0], *_known(s)) for s in shapes}
        return tuple(made[shape] for shape in shapes)

    def scan(
        self, x: Tensor, lengths: Tensor | None, initial_state: Tensor | Sequence[Tensor] | None
    ) -> tuple[Tensor, States]:
        """All outputs in the order of reading, from step 0 on, and the final states."""
        if initial_state is not None:
            given = (initial_state,) if isinstance(initial_state, Tensor) else initial_state
            states: States = tuple(self.to_state(state) for state in given)
            count = len(self.state_shapes(self.input_shape_))
            if len(states) != count:
                raise ShapeError(
                    f"{self.title} expected {count} initial states of shape "
                    f"{[('batch', *s) for s in self.state_shapes(self.input_shape_)]}, received "
                    f"{len(states)}."
                )
        elif self.stateful and self._carried is not None:
            states = tuple(state.to(x) for state in self._carried)
            if states[0].shape[0] != x.shape[0]:
                raise ShapeError(
                    f"{self.title} is stateful and expected a batch of {states[0].shape[0]}, as "
                    f"before; received {x.shape[0]}. Type layer.reset_states() before another "
                    f"batch size, or leave stateful out."
                )
        else:
            states = self.first_states(x)
        if self.go_backwards:
            x = reversed_within(x, lengths)
        outputs, states = self.read(x, lengths, states)
        if self.stateful:
            self._carried = tuple(state.detach() for state in states)
        return outputs, states

    def read(self, x: Tensor, lengths: Tensor | None, states: States) -> tuple[Tensor, States]:
        """All outputs of sequences that are in the order of reading, and the final states."""
        raise NotImplementedError

    def reset_states(self, states: Tensor | Sequence[Tensor] | None = None) -> None:
        """Start the next batch from zeros, or from given states ``[batch, units]``."""
        if states is None:
            self._carried = None
        else:
            given = (states,) if isinstance(states, Tensor) else states
            self._carried = tuple(self.to_state(torch.as_tensor(state)) for state in given)

    reset_state = reset_states

    def to_steps(self, x: Tensor) -> Tensor:
        """The tensor with its steps second: ``[batch, steps, ...]``."""
        return x

    def from_steps(self, outputs: Tensor) -> Tensor:
        """The way back from :meth:`to_steps`, for all outputs."""
        return outputs

    def to_state(self, state: Tensor) -> Tensor:
        """A state as it is given, as :meth:`read` takes it."""
        return state

    def from_step(self, output: Tensor) -> Tensor:
        """One output, or one state, as it is given back."""
        return output

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        initial_state: Tensor | Sequence[Tensor] | None = None,
    ) -> Tensor | list[Tensor]:
        """The last output or all of them; with ``return_state`` a list of it and the states."""
        x = self.to_steps(self.ready(x))
        lengths = telling(lengths, x.shape[1])
        outputs, states = self.scan(x, lengths, initial_state)
        y = self.last(outputs, lengths, states)
        if self.return_sequences:
            y = self.from_steps(self.arranged(outputs, y, lengths))
        else:
            y = self.from_step(y)
        return [y, *map(self.from_step, states)] if self.return_state else y

    def last(self, outputs: Tensor, lengths: Tensor | None, states: States) -> Tensor:
        """The last output of each sequence."""
        return states[0]

    def arranged(self, outputs: Tensor, last: Tensor, lengths: Tensor | None) -> Tensor:
        """Outputs as Keras lines them up: the last repeats; backwards, zeros come first."""
        if lengths is None:
            return outputs
        count = outputs.shape[1]
        if not self.go_backwards:
            inside = wide(within(lengths, count), outputs)
            beyond = last.new_zeros(()) if self.zero_output_for_mask else last.unsqueeze(1)
            return torch.where(inside, outputs, beyond)
        places = torch.arange(count, device=lengths.device) - (count - lengths).unsqueeze(1)
        moved = outputs.gather(1, wide(places.clamp(min=0), outputs).expand_as(outputs))
        return moved.masked_fill(wide(places < 0, outputs), 0.0)


def _known(shape: Shape) -> tuple[int, ...]:
    return tuple(n or 0 for n in shape)
