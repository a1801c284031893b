"""Graph: layers called on one another's outputs, as one plain module.

A graph is described by JSON alone: its layers with their arguments, the calls in the order in which
they are made, and which of their results are inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import to_written
from lepton_ai.losses.loss import activate
from lepton_ai.models.entry import Entry

variants = {"graph": "Graph"}


@dataclass(frozen=True)
class Ref:
    """The result of an earlier call, one of several where ``position`` says so."""

    node: int
    position: int | None = None


@dataclass
class Node:
    """One call of a layer.

    Attributes:
        layer: Name of the layer in its graph.
        args: What it is called on: results, lists of them, and plain values.
        named: Keyword arguments, likewise.
        done: Results that no later call needs.
    """

    layer: str
    args: tuple = ()
    named: dict[str, Any] = field(default_factory=dict)
    done: tuple[int, ...] = ()

    @property
    def refs(self) -> list[Ref]:
        """The results that it reads."""
        return list(_refs([self.args, self.named]))


class Graph(nn.Module):
    """Layers called on one another's outputs.

    Called on tensors by the names of its inputs (or on one, where it has one), it gives tensors by
    the names of its outputs (or one). Maps come out as they are written, channels last.

    Args:
        description: ``layers``, ``nodes``, ``inputs`` and ``outputs``, as :meth:`describe` gives.
        layers: The layers by name, where they exist already; else they are made.
        linear_ends: Whether the outputs are given before their last activation, for stable losses.
    """

    def __init__(
        self, description: dict[str, Any], layers: dict[str, Layer] | None = None, *,
        linear_ends: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.description = description
        made = layers if layers is not None else _made(description["layers"])
        self.layers = nn.ModuleList(made.values())
        self.by_name = dict(made)
        self.nodes = [
            Node(entry["layer"], tuple(_decoded(entry["args"])), _decoded(entry["named"]))
            for entry in description["nodes"]
        ]
        self.inputs: dict[str, int] = dict(description["inputs"])
        self.outputs = {name: Ref(*place) for name, place in description["outputs"].items()}
        self.linear_ends = linear_ends
        if layers is None:
            self._build()
        self._plan()

    @property
    def order(self) -> list[tuple[str, Layer]]:
        """The layers by name, in the order in which they are first called."""
        names = dict.fromkeys(node.layer for node in self.nodes)
        return [(name, self.by_name[name]) for name in names]

    def describe(self) -> dict[str, Any]:
        """The graph as JSON."""
        layers = [
            {"name": name, "layer": registry.name_of("layers", type(layer)),
             "config": layer.config()}
            for name, layer in self.order
        ]  # fmt: skip
        return {**self.description, "layers": layers}

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON."""
        return {"description": self.describe(), "linear_ends": self.linear_ends}

    # -- what goes in and out --------------------------------------------------------------

    @property
    def entries(self) -> dict[str, Entry]:
        """What each input has to look like."""
        found = {}
        for name, place in self.inputs.items():
            layer: Any = self.by_name[self.nodes[place].layer]
            readers = [
                self.by_name[node.layer]
                for node in self.nodes if any(ref.node == place for ref in node.refs)
            ]  # fmt: skip
            found[name] = Entry.of(layer.shape, readers, dtype=layer.dtype)
        return found

    @property
    def activations(self) -> dict[str, str]:
        """The last activation of each output, where it is left to whoever reads the output."""
        return {name: self._ends.get(ref, "linear") for name, ref in self.outputs.items()}

    def end_of(self, name: str) -> Any:
        """The layer that gives an output."""
        return self.by_name[self.nodes[self.outputs[name].node].layer]

    # -- running ---------------------------------------------------------------------------

    def forward(self, values: Any, lengths: Any = None) -> Any:
        given = values if isinstance(values, dict) else dict(zip(self.inputs, [values]))  # noqa: B905
        lasting = lengths if isinstance(lengths, dict) else {next(iter(self.inputs)): lengths}
        held: list[Any] = [None] * len(self.nodes)
        known: list[Any] = [None] * len(self.nodes)
        ends: dict[Ref, Tensor] = {}
        for name, place in self.inputs.items():
            layer: Any = self.by_name[self.nodes[place].layer]
            value = given[name]
            held[place] = value if layer.dtype is None else value.to(layer.weight_type())
            known[place] = lasting.get(name)
        for place, node in enumerate(self.nodes):
            if node.args:
                self._call(place, node, held, known, ends)
                for done in node.done:
                    held[done] = None
        out = {
            name: to_written(ends[ref] if ref in ends else result_of(held, ref))
            for name, ref in self.outputs.items()
        }
        return out if len(out) > 1 else next(iter(out.values()))

    def _call(
        self, place: int, node: Node, held: list[Any], known: list[Any], ends: dict[Ref, Tensor]
    ) -> None:
        layer: Any = self.by_name[node.layer]
        args, named = filled(node.args, held), filled(node.named, held)
        if self._modes[place] == "linear":
            held[place] = layer.linear(args[0])
            return
        if self._modes[place] == "activate":
            pooled = layer(args[0])
            held[place] = F.relu(pooled, inplace=not pooled.is_leaf)
            return
        lengths = next((known[r.node] for r in node.refs if known[r.node] is not None), None)
        if lengths is None and isinstance(args[0], Tensor):
            lengths = layer.find_lengths(args[0])
        if len(node.args) > 1:  # attention is told the lengths of what it looks at
            looked = next(iter(_refs(node.args[1])), None)
            told = known[looked.node] if looked is not None else None
        else:
            told = lengths
        if layer.takes_lengths and told is not None:
            named["lengths"] = told
        ref = Ref(place)
        if ref in self._ends and self.linear_ends:
            ends[ref] = layer.linear(*args, **named)
            held[place] = layer.activate(ends[ref]) if self._read_again[place] else None
        else:
            held[place] = layer(*args, **named)
        known[place] = layer.lengths_after(lengths) if lengths is not None else None

    # -- planning --------------------------------------------------------------------------

    def _build(self) -> None:
        """Make the weights of new layers, from the shapes of the inputs."""
        shapes: list[Any] = [None] * len(self.nodes)
        for place, node in enumerate(self.nodes):
            layer: Any = self.by_name[node.layer]
            if not node.args:
                shapes[place] = layer.shape
                continue
            several = list(node.args) if len(node.args) > 1 else node.args[0]
            found = [result_of(shapes, ref) for ref in _refs(several)]
            shapes[place] = layer.build(found if isinstance(several, list | tuple) else found[0])

    def _plan(self) -> None:
        uses: dict[int, list[int]] = {place: [] for place in range(len(self.nodes))}
        for place, node in enumerate(self.nodes):
            for ref in node.refs:
                uses[ref.node].append(place)
        kept = {ref.node for ref in self.outputs.values()}
        for place, node in enumerate(self.nodes):
            read = dict.fromkeys(ref.node for ref in node.refs)
            node.done = tuple(n for n in read if n not in kept and uses[n][-1] == place)
        self._read_again = [bool(uses[place]) for place in range(len(self.nodes))]
        self._ends: dict[Ref, str] = {}
        for ref in self.outputs.values():
            activation = foldable(self.by_name[self.nodes[ref.node].layer])
            if ref.position is None and self.nodes[ref.node].args and activation is not None:
                self._ends[ref] = activation
        self._modes = ["whole"] * len(self.nodes)
        for place, node in enumerate(self.nodes):
            if place not in kept and len(uses[place]) == 1 and uses[place][0] not in kept:
                after = self.nodes[uses[place][0]]
                if pools_first(self.by_name[node.layer], self.by_name[after.layer]):
                    self._modes[place], self._modes[uses[place][0]] = "linear", "activate"


def pools_first(first: Any, second: Any) -> bool:
    """Whether ReLU may come after the pooling: the values are the same, and it meets a quarter."""
    return (
        type(first).__name__ in ("Conv2D", "Conv3D")
        and type(second).__name__.startswith("MaxPool")
        and getattr(first, "activation", None) == "relu"
        and getattr(first, "activity_regularizer", None) is None
    )


def foldable(layer: Any) -> str | None:
    """The activation at the end of a layer that a loss can take over, ``None`` when there is none.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> foldable(Dense(3, "softmax")), foldable(Dense(3, "hard_silu"))
        ('softmax', None)
    """
    if not hasattr(layer, "linear") or getattr(layer, "activity_regularizer", None) is not None:
        return None
    name = str(getattr(layer, "activation", "linear") or "linear")
    try:
        activate(torch.zeros(1, 1), name)
    except ConfigError:
        return None
    return name


# -- references in nested values -----------------------------------------------------------------


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _refs(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _refs(inner)


def result_of(held: Sequence[Any], ref: Ref) -> Any:
    """The result that a reference stands for."""
    return held[ref.node] if ref.position is None else held[ref.node][ref.position]


def filled(value: Any, held: Sequence[Any]) -> Any:
    """Nested arguments with results in the place of references."""
    if isinstance(value, Ref):
        return result_of(held, value)
    if isinstance(value, dict):
        return {key: filled(inner, held) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, held) for inner in value]
    return value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(inner) for inner in value]
    if set(value) == {"ref"}:
        return Ref(*value["ref"])
    if set(value) == {"value"}:
        return value["value"]
    return {key: _decoded(inner) for key, inner in value["dict"].items()}


def _made(described: list[dict[str, Any]]) -> dict[str, Layer]:
    made = {}
    for entry in described:
        try:
            made[entry["name"]] = registry.lookup("layers", entry["layer"]).from_config(
                entry["config"]
            )
        except TypeError as error:
            raise ShapeError(f"The layer {entry['name']!r} cannot be made: {error}.") from error
    return made
