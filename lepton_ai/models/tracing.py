"""Tracing: from symbols to the graph between them, and a graph over other symbols."""

from __future__ import annotations

import re
from typing import Any

from lepton_ai.errors import ConfigError
from lepton_ai.layers.symbol import Symbol, symbolic, symbols_in
from lepton_ai.models.graph import Graph, filled, result_of


def trace(
    inputs: dict[str, Symbol], outputs: dict[str, Symbol], *, linear_ends: bool = True
) -> Graph:
    """The graph between symbols.

    Raises:
        ConfigError: An output does not come from the inputs, or two layers have one name.
    """
    calls: dict[int, int] = {}
    nodes: list[dict[str, Any]] = []
    names = _Names()
    for symbol in inputs.values():
        calls[id(symbol.call)] = len(nodes)
        nodes.append({"layer": names.of(symbol.layer), "args": [], "named": {"dict": {}}})
    for symbol in _ordered(list(outputs.values()), set(calls)):
        if not symbol.inputs:
            raise ConfigError(
                f"Expected outputs that come from the inputs {', '.join(inputs)}; they also need "
                f"the Input of shape {symbol.shape}"
                f"{f' named {symbol.name!r}' if symbol.name else ''}. Add it to inputs=[...]."
            )
        encoded = [_encoded(list(symbol.inputs), calls), _encoded(symbol.named, calls)]
        calls[id(symbol.call)] = len(nodes)
        nodes.append({"layer": names.of(symbol.layer), "args": encoded[0], "named": encoded[1]})
    description = {
        "layers": [], "nodes": nodes,
        "inputs": {name: calls[id(s.call)] for name, s in inputs.items()},
        "outputs": {name: [calls[id(s.call)], s.position] for name, s in outputs.items()},
    }  # fmt: skip
    return Graph(description, names.layers, linear_ends=linear_ends)


def _ordered(wanted: list[Symbol], made: set[int]) -> list[Symbol]:
    """The symbols in the order in which their calls are to be made, one for each call."""
    order: list[Symbol] = []
    seen = set(made)
    waiting: list[tuple[Symbol, bool]] = [(symbol, False) for symbol in reversed(wanted)]
    while waiting:
        symbol, ready = waiting.pop()
        if ready:
            order.append(symbol)
        elif id(symbol.call) not in seen:
            seen.add(id(symbol.call))
            waiting.append((symbol, True))
            before = [*symbols_in(list(symbol.inputs)), *symbols_in(symbol.named)]
            waiting += [(one, False) for one in reversed(before)]
    return order


class _Names:
    """Names of layers, as Keras gives them: their own, else ``dense``, ``dense_1`` ..."""

    def __init__(self) -> None:
        self.layers: dict[str, Any] = {}
        self.given: dict[int, str] = {}

    def of(self, layer: Any) -> str:
        if id(layer) not in self.given:
            own = getattr(layer, "name", None)
            name = own or free_name(layer, self.layers)
            if name in self.layers:
                raise ConfigError(
                    f"Expected layers of different names; {name!r} is there twice. Give each its "
                    f"own: {type(layer).__name__}(..., name='{name}_2')."
                )
            self.given[id(layer)] = name
            self.layers[name] = layer
        return self.given[id(layer)]


def free_name(layer: Any, taken: Any) -> str:
    """A name for a layer that is not taken: ``"max_pooling2d"``, ``"max_pooling2d_1"`` ...

    Example:
        >>> from lepton_ai.layers.pooling import MaxPooling2D
        >>> free_name(MaxPooling2D(), {"max_pooling2d"})
        'max_pooling2d_1'
    """
    kind = "input" if type(layer).__name__ == "InputLayer" else type(layer).__name__
    plain = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z])", r"\1_\2", kind)).lower()
    name, count = plain, 0
    while name in taken:
        count += 1
        name = f"{plain}_{count}"
    return name


def replay(graph: Graph, symbols: dict[str, Symbol]) -> dict[str, Any]:
    """The layers of a graph called on other symbols: the outputs by name; weights are shared."""
    held: list[Any] = [None] * len(graph.nodes)
    for name, place in graph.inputs.items():
        held[place] = symbols[name]
    for place, node in enumerate(graph.nodes):
        if node.args:
            held[place] = graph.by_name[node.layer](
                *filled(node.args, held), **filled(node.named, held)
            )
    return {name: result_of(held, ref) for name, ref in graph.outputs.items()}


def _encoded(value: Any, calls: dict[int, int]) -> Any:
    if isinstance(value, Symbol):
        return {"ref": [calls[id(value.call)], value.position]}
    if isinstance(value, dict):
        return {"dict": {key: _encoded(inner, calls) for key, inner in value.items()}}
    if isinstance(value, list | tuple) and symbolic(value):
        return [_encoded(inner, calls) for inner in value]
    if value is not None and not isinstance(value, bool | int | float | str | list | tuple):
        raise ConfigError(
            "Expected a layer to be called on symbols and plain values; received "
            f"{type(value).__name__}. Make the tensor a weight of a layer of your own."
        )
    return {"value": value}


def keras_order(graph: Graph) -> list[tuple[str, Any]]:
    """The layers by name in Keras's order: those farthest from the outputs first."""
    met: dict[str, int] = {}
    waiting = [ref.node for ref in reversed(graph.outputs.values())]
    seen: set[int] = set()
    while waiting:
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            met.setdefault(graph.nodes[place].layer, len(met))
            waiting += [ref.node for ref in reversed(graph.nodes[place].refs)]
    depths: dict[int, int] = {}
    far: dict[str, int] = {}
    for place in reversed(range(len(graph.nodes))):
        node = graph.nodes[place]
        depth = max(depths.get(place, 0), far.get(node.layer, 0))
        depths[place] = far[node.layer] = depth
        for ref in node.refs:
            depths[ref.node] = max(depths.get(ref.node, 0), depth + 1)
    order = sorted(far, key=lambda name: (-far[name], met.get(name, -1)))
    return [(name, graph.by_name[name]) for name in order]
