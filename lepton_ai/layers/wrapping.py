"""Layers that run another layer: in both directions, or at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.gated import LSTM
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, from_written, is_shapes, to_written
from lepton_ai.layers.lengths import within
from lepton_ai.layers.reading import Reading, reversed_within, telling, wide

variants = ("Bidirectional", "TimeDistributed")


class Bidirectional(Layer):
    """A recurrent layer that reads forwards, and its twin that reads backwards.

    ``merge_mode`` joins both outputs: ``"concat"``, ``"sum"``, ``"mul"``, ``"ave"``, or None for a
    list of the two. With ``lengths``, outputs beyond a sequence are zero.

    Example:
        >>> Bidirectional(LSTM(8, return_sequences=True))(torch.zeros(2, 5, 3)).shape
        torch.Size([2, 5, 16])
    """

    takes_lengths = True

    def __init__(
        self,
        layer: Reading,
        merge_mode: str | None = "concat",
        weights: None = None,
        backward_layer: Reading | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not isinstance(layer, Reading) or layer.go_backwards:
            raise ConfigError(
                f"Bidirectional expected a recurrent layer that reads forwards, received {layer}. "
                f"Type for example Bidirectional(LSTM(64))."
            )
        if backward_layer is None:
            backward_layer = type(layer).from_config({**layer.config(), "go_backwards": True})
        if not isinstance(backward_layer, Reading) or not backward_layer.go_backwards:
            raise ConfigError(
                f"backward_layer expected a recurrent layer that reads backwards, received "
                f"{backward_layer}. Type for example backward_layer=GRU(64, go_backwards=True)."
            )
        for name in ("return_sequences", "return_state"):
            if getattr(layer, name) != getattr(backward_layer, name):
                raise ConfigError(f"Bidirectional expected both layers to have the same {name}.")
        modes = ("concat", "sum", "mul", "ave")
        self.merge_mode = None if merge_mode is None else choice(merge_mode, modes, "merge_mode")
        self.weights = weights
        self.forward_layer = layer
        self.backward_layer = backward_layer
        self.draws = layer.draws or backward_layer.draws
        self.uses_batch_statistics = layer.uses_batch_statistics

    @property
    def layer(self) -> Reading:
        """The layer that reads forwards."""
        return self.forward_layer

    def infer(self, shape: Shape) -> Any:
        """The joined output, then the states of both."""
        ahead, back = self.forward_layer.infer(shape), self.backward_layer.infer(shape)
        states: tuple = ()
        if self.layer.return_state:
            states = (*ahead[1:], *back[1:])
            ahead, back = ahead[0], back[0]
        if self.merge_mode is None:
            return (ahead, back, *states)
        features = ahead[-1] + back[-1] if self.merge_mode == "concat" else ahead[-1]
        output = (*ahead[:-1], features)
        return (output, *states) if states else output

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """Both layers."""
        self.forward_layer.build(shape, generator)
        self.backward_layer.build(shape, generator)

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The same lengths with ``return_sequences``, else none."""
        return self.layer.lengths_after(lengths)

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        initial_state: Sequence[Tensor] | None = None,
    ) -> Any:
        """The joined output; with ``return_state`` a list of it and the states of both."""
        x = self.ready(x)
        layer, twin = self.forward_layer, self.backward_layer
        x = layer.to_steps(layer.ready(x))
        lengths = telling(lengths, x.shape[1])
        first = second = None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = initial_state[:half], initial_state[half:]
        ahead, states = layer.scan(x, lengths, first)
        back, last_states = twin.scan(x, lengths, second)
        if layer.return_sequences:
            back = reversed_within(back, lengths)
            if lengths is not None:
                inside = wide(within(lengths, x.shape[1]), ahead)
                ahead, back = ahead.masked_fill(~inside, 0.0), back.masked_fill(~inside, 0.0)
            ahead, back = layer.from_steps(ahead), layer.from_steps(back)
        else:
            ahead, back = layer.last(ahead, lengths, states), twin.last(back, lengths, last_states)
            ahead, back = layer.from_step(ahead), layer.from_step(back)
        y = self._joined(ahead, back)
        if not layer.return_state:
            return y
        ends = [layer.from_step(state) for state in (*states, *last_states)]
        return [*(y if isinstance(y, list) else [y]), *ends]

    def reset_states(self) -> None:
        """Start the next batch from zeros, where the layers are stateful."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def _joined(self, ahead: Tensor, back: Tensor) -> Tensor | list[Tensor]:
        if self.merge_mode is None:
            return [ahead, back]
        if self.merge_mode == "concat":
            return torch.cat([ahead, back], 1 if ahead.ndim >= 4 else -1)
        if self.merge_mode == "mul":
            return ahead * back
        total = ahead + back
        return total / 2 if self.merge_mode == "ave" else total

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """All outputs for short sequences."""
        return cls(LSTM(4, return_sequences=True)), (6, 3)


class TimeDistributed(Layer):
    """Runs a layer on each step (the first axis after the batch) by itself.

    Example:
        >>> from lepton_ai.layers.convolution import Conv2D
        >>> TimeDistributed(Conv2D(8, 3)).build((10, 32, 32, 3))
        (10, 30, 30, 8)
    """

    def __init__(self, layer: Layer, **common: Any) -> None:
        super().__init__(**common)
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"TimeDistributed expected a layer, received {layer!r}. "
                f"Type for example TimeDistributed(Dense(10))."
            )
        self.layer = layer

    def infer(self, shape: Shape) -> Shape:
        """The steps, each with the layer's output shape."""
        if len(shape) < 2:
            raise ShapeError(
                f"{self.title} expected steps with features, (length, features) or more axes; "
                f"received {shape}."
            )
        output = self.layer.infer(shape[1:])
        if is_shapes(output):
            raise ShapeError(f"{self.title} expected a layer with one output, received {output}.")
        return (shape[0], *output)

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The layer, for one step."""
        self.layer.build(shape[1:], generator)

    def decisive(self, shape: Shape) -> Any:
        """What decides the weights of the layer."""
        return self.layer.decisive(shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """The outputs of all steps."""
        self.ready(x)
        written = to_written(x)
        y = self.layer(from_written(written.flatten(0, 1)))
        return from_written(to_written(y).unflatten(0, written.shape[:2]))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A dense layer at each step."""
        from lepton_ai.layers.dense import Dense

        return cls(Dense(4)), (6, 3)
