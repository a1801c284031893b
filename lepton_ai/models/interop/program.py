"""What a model computes, as a list of calls of layers: what exporters walk along."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.reshaping import InputLayer
from lepton_ai.models.graph import Graph, Ref
from lepton_ai.models.model import Model


@dataclass
class Call:
    """One call of a layer.

    Attributes:
        layer: The layer.
        args: What it is called on: :class:`~lepton_ai.models.graph.Ref` to earlier calls, lists.
        named: Keyword arguments, likewise.
    """

    layer: Layer
    args: tuple = ()
    named: dict[str, Any] = field(default_factory=dict)


@dataclass
class Program:
    """The calls of a model, each after those that it needs.

    Attributes:
        calls: Calls in order; those of inputs have no arguments.
        inputs: Name to the number of a call.
        outputs: Name to the result of a call.
        chain: Whether each call reads the one before it only.
    """

    calls: list[Call]
    inputs: dict[str, int]
    outputs: dict[str, Ref]
    chain: bool


def program_of(model: Any, what: str) -> Program:
    """The calls of a model that is made of layers.

    Args:
        model: A Sequential, or a model of a graph of layers, built.
        what: The call that asks, for messages.

    Raises:
        ConfigError: Its network is not made of ``lai.layers``.
        NotReadyError: It is not built.
    """
    if not isinstance(model, Model):
        raise ConfigError(f"{what} expected a lepton model; received {type(model).__name__}.")
    graph = getattr(model, "graph", None)
    if isinstance(graph, Graph):
        layers: Any = graph.by_name
        calls = [Call(layers[node.layer], node.args, node.named) for node in graph.nodes]
        outputs = dict(graph.outputs)
        return Program(calls, dict(graph.inputs), outputs, _chained(calls, outputs))
    stack = getattr(model, "stack", None)
    if not stack:
        raise ConfigError(
            f"{what} expected a Sequential or a model of a graph of lai.layers; received "
            f"{type(model).__name__} with the network {model.backbone or type(model.given)!r}, "
            "which is a torch.nn.Module already: model.network."
        )
    return _stacked(stack, what)


def _stacked(stack: list[nn.Module], what: str) -> Program:
    for layer in stack:
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"{what} expected layers of lai.layers; received {type(layer).__name__}."
            )
        if not layer.built and not isinstance(layer, InputLayer):
            raise NotReadyError(
                f"{what} expected a model that is built; {layer.title} is not. Type: "
                "model.fit(data), or model.predict(x)."
            )
    inner: list[Any] = [layer for layer in stack if not isinstance(layer, InputLayer)]
    calls = [Call(InputLayer(inner[0].input_shape_, name="x"))]
    calls += [Call(layer, (Ref(place),)) for place, layer in enumerate(inner)]
    return Program(calls, {"x": 0}, {"y": Ref(len(calls) - 1)}, True)


def _chained(calls: list[Call], outputs: dict[str, Ref]) -> bool:
    return list(outputs.values()) == [Ref(len(calls) - 1)] and all(
        call.args == (Ref(place - 1),) and not call.named
        for place, call in enumerate(calls)
        if place
    )


def refuse(unfit: list[tuple[Layer, str]], what: str) -> None:
    """Say which layers cannot be brought over, and why.

    Raises:
        ConfigError: There are some.
    """
    if unfit:
        listed = "; ".join(f"{layer.title} ({why})" for layer, why in unfit)
        raise ConfigError(f"{what} cannot bring over {listed}.")
