"""Functional: a network of layers called on one another's outputs, written as in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.symbol import Symbol, draw_again, symbols_in
from lepton_ai.losses.loss import activate
from lepton_ai.models.binding import Whole
from lepton_ai.models.entry import Entry
from lepton_ai.models.graph import Graph
from lepton_ai.models.model import Model
from lepton_ai.models.tracing import free_name, keras_order, replay, trace
from lepton_ai.models.transferring import Inherited
from lepton_ai.tasks.task import Task

variants = {"functional": "Functional"}


class Functional(Model):
    """A network of layers called on one another's outputs, with any number of inputs and outputs.

    ``lai.Model(inputs=..., outputs=...)`` makes one. Inputs are called by the name of their
    ``Input`` (or their key in a dict), outputs by the name of the layer that gives them (or their
    key); a data set is read by these names.

    Args:
        inputs: The symbol of the input, or a list or dict of them.
        outputs: The symbol of the output, or a list or dict of them.
        name: What to call the network.

    Raises:
        ConfigError: An output does not come from the inputs, or a name is there twice.

    Example:
        >>> import numpy as np
        >>> from lepton_ai.layers import Concatenate, Dense, Input
        >>> left, right = Input((3,), name="left"), Input((2,), name="right")
        >>> both = Concatenate()([Dense(4, "relu")(left), right])
        >>> model = Functional([left, right], Dense(1, name="sum")(both))
        >>> model.compile(optimizer="adam", loss="mse")
        >>> x = {"left": np.ones((8, 3), "float32"), "right": np.zeros((8, 2), "float32")}
        >>> run = model.fit(x, np.ones(8), epochs=1, verbose=0)
        >>> model.predict(x).shape
        (8, 1)
    """

    graph: Graph

    def __init__(self, inputs: Any = None, outputs: Any = None, *, name: str = "model") -> None:
        super().__init__(None, None)
        given, wanted = _named(inputs, "inputs"), _named(outputs, "outputs")
        for key, symbol in given.items():
            if symbol.inputs:
                raise ConfigError(
                    f"Expected inputs made by lai.Input; {key!r} is the output of "
                    f"{type(symbol.layer).__name__}. Begin with lai.Input(shape)."
                )
        self.name = name
        self.symbols = (given, wanted)
        self._take(trace(given, wanted))

    def _take(self, graph: Graph) -> None:
        vars(self)["graph"] = graph  # a part of the network, not of the model beside it
        self.network = Whole(graph, list(graph.inputs))

    # -- what it is ------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The symbol of the input, or a list of them: other networks may begin there."""
        given = list(self.symbols[0].values())
        return given[0] if len(given) == 1 else given

    @property
    def output(self) -> Any:
        """The symbol of the output, or a list of them."""
        wanted = list(self.symbols[1].values())
        return wanted[0] if len(wanted) == 1 else wanted

    def output_of(self, layer: str) -> Any:
        """The symbol of what a layer gives, by the layer's name: where a new network may go on.

        Raises:
            ConfigError: There is no such layer, or it is called more than once.
        """
        found = self.get_layer(layer)
        calls = {id(s.call): s for s in _all_symbols(self.symbols[1]) if s.layer is found}
        if len(calls) != 1:
            raise ConfigError(
                f"Expected a layer that is called once; {layer!r} is called {len(calls)} times. "
                "Keep the symbol that its call gave."
            )
        return next(iter(calls.values()))

    def entries(self) -> dict[str, Entry]:
        return self.graph.entries

    def output_names(self) -> list[str]:
        return list(self.graph.outputs)

    def ends(self) -> list[str]:
        return list(self.graph.activations.values())

    def module(self) -> nn.Module:
        return self.graph

    def named_layers(self) -> dict[str, nn.Module]:
        return dict(keras_order(self.graph))

    def draw_again(self) -> None:
        for _, layer in self.graph.order:
            draw_again(layer)

    def unbind(self) -> None:
        super().unbind()
        self.network = Whole(self.graph, list(self.graph.inputs))

    def direct(self, *args: Any, **named: Any) -> Any:
        """The outputs for symbols, or for tensors as the layers read them."""
        given = args[0] if len(args) == 1 else list(args)
        names = list(self.graph.inputs)
        values = given if isinstance(given, dict) else dict(
            zip(names, given if isinstance(given, (list, tuple)) else [given], strict=False)
        )  # fmt: skip
        if set(values) != set(names):
            raise ShapeError(
                f"Expected {len(names)} inputs ({', '.join(names)}); received {len(values)}."
            )
        if next(symbols_in(values), None) is not None:
            found = replay(self.graph, values)
            return found if len(found) > 1 else next(iter(found.values()))
        out = self.graph(values)
        if not isinstance(out, dict):
            return activate(out, self.ends()[0])
        return {
            name: activate(value, end)
            for (name, value), end in zip(out.items(), self.ends(), strict=True)
        }

    # -- going on from it ------------------------------------------------------------------

    def features_graph(self, drop: int = 1) -> Graph:
        """The network without its last layers, as a module that gives features."""
        return trace(self.symbols[0], {"features": self._before(drop)}, linear_ends=False)

    def extended_by(self, head: Sequence[Any], drop: int = 1) -> Model:
        """A network with other layers in the place of the last ones; the others are shared."""
        symbol = self._before(drop)
        for layer in head:
            symbol = layer(symbol)
        made = Functional(dict(self.symbols[0]), symbol)
        made.inherited = Inherited(self._task if self.bound else None, dict(self.specs))
        return made

    def _before(self, drop: int) -> Symbol:
        if len(self.symbols[1]) > 1:
            raise ConfigError(
                f"Expected a network with one output to go on from; this one has "
                f"{', '.join(self.symbols[1])}. Type: lai.Model(inputs=base.input, "
                "outputs=new(base.output_of('a layer')))."
            )
        symbol = next(iter(self.symbols[1].values()))
        for _ in range(drop):
            before = list(symbols_in(list(symbol.inputs)))
            if len(before) != 1 or not before[0].inputs:
                raise ConfigError(
                    f"Expected at least {drop + 1} layers in a chain at the end; received fewer. "
                    "Type: lai.Model(inputs=base.input, outputs=new(base.output_of('a layer')))."
                )
            symbol = before[0]
        return symbol

    # -- saving ----------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        return {"kind": "functional", "name": self.name, "graph": self.graph.describe()}

    @classmethod
    def from_config(cls, config: dict[str, Any], task: Task) -> Functional:
        made = Graph(config["graph"], linear_ends=True)
        inputs = {n: _input_of(made, place) for n, place in made.inputs.items()}
        found = replay(made, inputs)
        model = cls(inputs, found, name=config["name"])
        model.task = task
        return model


def _input_of(graph: Graph, place: int) -> Symbol:
    layer: Any = graph.by_name[graph.nodes[place].layer]
    return Symbol(layer.shape, layer)


def _all_symbols(wanted: Any) -> list[Symbol]:
    """Every symbol on the way to some outputs."""
    found: dict[int, Symbol] = {}
    waiting = list(symbols_in(wanted))
    while waiting:
        symbol = waiting.pop()
        if id(symbol) not in found:
            found[id(symbol)] = symbol
            waiting += [*symbols_in(list(symbol.inputs)), *symbols_in(symbol.named)]
    return list(found.values())


def _named(given: Any, what: str) -> dict[str, Symbol]:
    """Symbols by name, from one, a list or a dict, nested as they may be."""
    flat: list[tuple[str | None, Symbol]] = list(_flat(given, what))
    if not flat:
        raise ConfigError(
            f"Expected {what}; received none. Type: lai.Model(inputs=..., outputs=...) with "
            "lai.Input(shape) and what layers made of it."
        )
    named: dict[str, Symbol] = {}
    for key, symbol in flat:
        name = key or symbol.name or free_name(symbol.layer, named)
        if key is None and symbol.name in named:
            name = f"{symbol.name}_{len(named)}"
        if name in named:
            raise ConfigError(
                f"Expected {what} of different names; {name!r} is there twice. Give each its own: "
                "Input(..., name='left'), Dense(..., name='price')."
            )
        named[name] = symbol
    return named


def _flat(given: Any, what: str, key: str | None = None) -> Any:
    if isinstance(given, Symbol):
        yield key, given
    elif isinstance(given, dict):
        for name, inner in given.items():
            yield from _flat(inner, what, str(name))
    elif isinstance(given, (list, tuple)):
        for inner in given:
            yield from _flat(inner, what)
    elif given is not None:
        raise ConfigError(
            f"Expected {what} as symbols, which lai.Input and layers called on it give; received "
            f"{type(given).__name__}. Type: Dense(10)(x)."
        )
