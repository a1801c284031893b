"""Sequential: layers one after the other, written as in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.errors import ConfigError, NotReadyError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import to_written
from lepton_ai.layers.lengths import call
from lepton_ai.layers.symbol import Input, Symbol, draw_again, note_start, symbolic
from lepton_ai.losses.loss import activate
from lepton_ai.models.binding import Whole, make_head
from lepton_ai.models.entry import Entry
from lepton_ai.models.graph import Graph, foldable, pools_first
from lepton_ai.models.model import Model
from lepton_ai.models.tracing import free_name, trace
from lepton_ai.models.transferring import Inherited
from lepton_ai.tasks.supervised import Supervised
from lepton_ai.tasks.task import Task

variants = {"sequential": "Sequential"}


class Stack(nn.Module):
    """Layers one after the other; the last one's activation is left to the head.

    Maps come out as they are written, channels last.

    Args:
        layers: Built layers.
        linear_end: Whether the last layer gives its output before its activation.
    """

    def __init__(self, layers: Sequence[nn.Module], *, linear_end: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.linear_end = linear_end and foldable(layers[-1]) is not None
        self.plan = _plan(layers)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            if (place == last and self.linear_end) or self.plan[place] == "linear":
                x = cast("Any", layer).linear(x)
            elif self.plan[place] == "activate":
                x = F.relu(layer(x), inplace=not x.is_leaf)
            else:
                x, lengths = call(layer, x, lengths)
        return to_written(x)


def _plan(layers: Sequence[nn.Module]) -> list[str]:
    """Pool before ReLU: the values are the same and ReLU meets a quarter of them."""
    plan = ["whole"] * len(layers)
    for place in range(len(layers) - 1):
        if pools_first(layers[place], layers[place + 1]):
            plan[place], plan[place + 1] = "linear", "activate"
    return plan


class Sequential(Model):
    """Layers one after the other, with Keras's ``compile``, ``fit`` and ``evaluate``.

    Args:
        layers: Layers; more can be added with :meth:`add`.
        name: What to call it.

    Example:
        >>> import numpy as np
        >>> from lepton_ai import layers
        >>> model = Sequential([layers.Dense(1, input_shape=(3,))])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> run = model.fit(x, x.sum(axis=1), epochs=2, verbose=0)
        >>> model.predict(x[:2]).shape
        (2, 1)
    """

    def __init__(self, layers: Sequence[Any] = (), *, name: str = "sequential") -> None:
        super().__init__(None, None)
        self.name = name
        self.stack: list[Layer] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end."""
        if self.bound:
            raise NotReadyError(
                "Expected layers to be added before the model is fitted. Build a new Sequential "
                "from model.layers and add to that."
            )
        if isinstance(layer, Symbol):
            layer = layer.layer  # lai.layers.Input((28, 28, 1)) at the beginning
        if not isinstance(layer, nn.Module):
            hint = registry.near_miss(str(layer), registry.names("layers"))
            raise ConfigError(
                f"Expected a layer; received {layer!r}.{hint} "
                "Type: model.add(lai.layers.Dense(units=64, activation='relu'))"
            )
        self.stack.append(layer)  # type: ignore[arg-type]

    def pop(self) -> None:
        """Take the last layer away."""
        if self.bound:
            raise NotReadyError(
                "Expected a layer to be taken away before the model is fitted. Type: "
                "model.with_head(layer) for another last layer."
            )
        self.stack.pop()

    # -- what it is ------------------------------------------------------------------------

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of one input where it is known, channels last."""
        return self.stack[0].input_shape if self.stack else None

    def entries(self) -> dict[str, Entry]:
        if not self.stack:
            return {"x": Entry()}
        first = self.stack[1:2] if type(self.stack[0]).__name__ == "InputLayer" else self.stack[:1]
        return {"x": Entry.of(self.input_shape, first, dtype=_declared(self.stack[0]))}

    def ends(self) -> list[str]:
        return [self._last_activation()]

    def _last_activation(self) -> str:
        return (foldable(self.stack[-1]) if self.stack else None) or "linear"

    def module(self) -> nn.Module:
        return Stack(self.stack, linear_end=True) if self.stack else nn.Identity()

    def named_layers(self) -> dict[str, nn.Module]:
        named: dict[str, nn.Module] = {}
        if not self.bound:
            self._try_to_build()
        for layer in self.stack:
            name = getattr(layer, "name", None)
            free = name if name and name not in named else free_name(layer, named)
            named[free] = layer
        return named

    def draw_again(self) -> None:
        for layer in self.stack:
            draw_again(layer)

    def direct(self, *args: Any, **named: Any) -> Any:
        """The output for a symbol, or for a tensor as the layers read it."""
        x = args[0]
        if symbolic(x):
            for layer in self.stack:
                x = layer(x)
            return x
        return activate(Stack(self.stack, linear_end=True).train(self.training)(x),
                        self._last_activation())  # fmt: skip

    @property
    def input(self) -> Symbol:
        """The symbol of the input: other networks may begin there."""
        return self._symbols()[0]

    @property
    def output(self) -> Symbol:
        """The symbol of the output."""
        return self._symbols()[-1]

    def output_of(self, layer: str) -> Symbol:
        """The symbol of what a layer gives, by the layer's name: where a new network may go on."""
        self.get_layer(layer)
        return self._symbols()[list(self.named_layers()).index(layer) + 1]

    def _symbols(self) -> list[Symbol]:
        """The symbol of the input, then that of each layer; made once, so that they fit."""
        if len(vars(self).get("_chain", ())) == len(self.stack) + 1:
            return vars(self)["_chain"]
        shape = self.input_shape
        if shape is None and self.stack and self.stack[0].built:
            shape = self.stack[0].input_shape_
        if shape is None:
            raise NotReadyError(
                "Expected a model whose input is known. Type: input_shape=(...) on the first "
                "layer, or fit it first."
            )
        symbols = [Input(shape, dtype=_declared(self.stack[0]))]
        for layer in self.stack:
            symbols.append(layer(symbols[-1]))
        vars(self)["_chain"] = symbols
        return symbols

    # -- binding ---------------------------------------------------------------------------

    def usual_backbone(self, data: Dataset | None = None) -> str:
        return "sequential"

    def _try_to_build(self) -> None:
        """Make the weights if the shape of the input is known, without touching torch's draws."""
        shape = self.input_shape
        if shape is not None and not all(getattr(one, "built", True) for one in self.stack):
            with torch.random.fork_rng():
                self._build_layers(shape, remember=True)

    def _build_layers(self, shape: Any, *, remember: bool = False) -> None:
        for place, layer in enumerate(self.stack):
            if not isinstance(layer, Layer):
                continue
            new = not layer.built
            try:
                shape = layer.build(shape)
            except ShapeError as error:
                raise ShapeError(f"Layer {place + 1}, {type(layer).__name__}: {error}") from error
            if new and remember:
                note_start(layer)

    def build(self, input_shape: Any = None) -> None:
        """Build the layers from the shape of the inputs.

        Args:
            input_shape: Shape of one input, channels last; ``None`` takes that of the data.
        """
        if not self.stack:
            raise ConfigError("Expected at least one layer. Type: model.add(lai.layers.Dense(10)).")
        if input_shape is not None:
            if self.stack[0].input_shape is None:
                self.stack[0].input_shape = tuple(input_shape)
            self._try_to_build()
            return
        if len(self.task.inputs) != 1:
            raise ShapeError(
                f"Sequential reads one input; the data has {', '.join(self.task.inputs)}. Select "
                "one with data.select([...])."
            )
        (name, field), entry = next(iter(self.task.inputs.items())), self.entries()["x"]
        where = "input_shape of the first layer"
        shape = entry.check(name, field, self.specs[name], where)
        self._build_layers(shape)
        whole = Whole(Stack(self.stack, linear_end=True), [name])
        whole.prefers_bfloat16 = any(
            type(layer).__name__.startswith(("Conv", "LSTM", "GRU")) for layer in self.stack
        )
        self.network, self._entries = whole, {name: entry}
        if isinstance(self.task, Supervised):
            self.task.end(self.ends())
        self.head = make_head(self.task, self.network, self.specs)
        if isinstance(self.task, Supervised):
            self.check_answers()
        self.settle()

    # -- going on from it ------------------------------------------------------------------

    def features_graph(self, drop: int = 1) -> Graph:
        """The network without its last layers, as a module that gives features."""
        symbols = self._symbols()
        kept = symbols[len(symbols) - 1 - drop]
        return trace({"x": symbols[0]}, {"features": kept}, linear_ends=False)

    def extended_by(self, head: Sequence[Any], drop: int = 1) -> Sequential:
        """A network with other layers in the place of the last ones; the others are shared."""
        kept = self.stack[: len(self.stack) - drop]
        if kept and self.stack[0].input_shape is None and self.stack[0].built:
            kept[0].input_shape = self.stack[0].input_shape_
        made = Sequential([*kept, *head])
        made.inherited = Inherited(self._task if self.bound else None, dict(self.specs))
        return made

    # -- saving ----------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        layers = [
            {"layer": registry.name_of("layers", type(layer)), **layer.config()}
            for layer in self.stack
        ]
        return {"kind": "sequential", "name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any], task: Task) -> Sequential:
        layers = []
        for entry in config["layers"]:
            arguments = dict(entry)
            kind = registry.lookup("layers", arguments.pop("layer"))
            layers.append(kind.from_config(arguments))
        model = cls(layers, name=config["name"])
        model.task = task
        return model


def _declared(layer: Any) -> str | None:
    """The type of numbers that an Input at the beginning asks for."""
    return getattr(layer, "dtype", None) if type(layer).__name__ == "InputLayer" else None
