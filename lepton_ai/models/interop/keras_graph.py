"""The graph of a Keras file as symbols of our layers, nested models unfolded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import torch

from lepton_ai.errors import ArtifactError, LeptonError, ShapeError
from lepton_ai.layers.attention import MultiHeadAttention
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.symbol import Input, Symbol
from lepton_ai.models.interop.keras_layers import (
    MODELS,
    as_layer,
    class_name,
    is_operation,
    named,
    operation,
)

MOST_LAYERS = 10_000
_IGNORED = ("training",)
Key = tuple[str, int, int]


@dataclass(frozen=True)
class Piece:
    """A layer and where its weights lie.

    Attributes:
        layer: Our layer.
        path: Its group in a ``.keras`` file.
        top: The name of the outermost layer that holds it, which ``.h5`` files go by.
    """

    layer: Layer
    path: str
    top: str


@dataclass(frozen=True)
class Mask:
    """Which steps count, as Keras writes it into a graph: ``source != value``.

    Our layers tell each other the lengths themselves.
    """

    source: Symbol
    value: Any


@dataclass
class Outline:
    """What a description unfolds to.

    Attributes:
        inputs: Symbols of the inputs.
        outputs: Symbols of the outputs.
        pieces: All layers once, in Keras's order.
        chain: Whether the whole is a Sequential.
    """

    inputs: list[Symbol]
    outputs: list[Symbol]
    pieces: list[Piece]
    chain: bool


@dataclass
class _Reader:
    keys: Any  # (path, entries) -> the names of their groups
    made: dict[int, Layer] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    names: set[str | None] = field(default_factory=set)
    masked: dict[int, Any] = field(default_factory=dict)

    def own(self, layer: Layer) -> Layer:
        """The layer under a name of its own: inner models may use a name again."""
        name, count = layer.name, 1
        while layer.name in self.names:
            count += 1
            layer.name = f"{name}_{count}"
        self.names.add(layer.name)
        return layer

    def model(
        self, entry: dict[str, Any], given: list[Symbol] | None, path: str, top: str | None
    ) -> tuple[list[Symbol], list[Symbol]]:
        """The symbols of a model's inputs and outputs, called on what is given."""
        kind, config = class_name(entry), entry["config"]
        found = config.get("layers")
        if not isinstance(found, list) or not found or len(found) > MOST_LAYERS:
            raise ArtifactError(
                f"Expected 1 to {MOST_LAYERS:,} layers in {named(entry)!r}; received "
                f"{len(found) if isinstance(found, list) else found!r}. A model that is a class of "
                "its own (subclassed) is code and cannot be read."
            )
        if kind == "Sequential":
            return self._sequential(entry, given, path, top)
        return self._functional(config, given, path, top)

    def _sequential(
        self, entry: dict[str, Any], given: list[Symbol] | None, path: str, top: str | None
    ) -> tuple[list[Symbol], list[Symbol]]:
        config = entry["config"]
        entries = config["layers"]
        if given is None:
            shape = _shape_in(entries[0]) or config.get("build_input_shape")
            shape = shape or (entry.get("build_config") or {}).get("input_shape")
            if not isinstance(shape, list) or not shape:
                raise ArtifactError(
                    "Expected a model that was built; this Sequential does not know the shape of "
                    "its inputs. In Keras call it on data, or begin with keras.Input(shape)."
                )
            given = [Input(tuple(shape[1:]), dtype=_type_in(entries[0]), name="x")]
        symbols = given
        for one, key in zip(entries, self.keys(path, entries), strict=True):
            if class_name(one) != "InputLayer":
                place = f"{path}/layers/{key}"
                symbols = self.call(one, [_single(symbols)], {}, place, top or named(one))
        return given, symbols

    def _functional(
        self, config: dict[str, Any], given: list[Symbol] | None, path: str, top: str | None
    ) -> tuple[list[Symbol], list[Symbol]]:
        entries = config["layers"]
        places = dict(zip(map(named, entries), self.keys(path, entries), strict=True))
        if len(places) < len(entries):
            raise ArtifactError("Expected every layer to have a name of its own.")
        tensors: dict[Key, Symbol] = {}
        asked = _references(config.get("input_layers"))
        for place, reference in enumerate(asked):
            source = next((e for e in entries if named(e) == reference[0]), None)
            if source is None:
                raise ArtifactError(f"Expected the input {reference[0]!r} among the layers.")
            tensors[reference] = given[place] if given is not None else _input(source)
        pending = [
            (entry, place, node)
            for entry in entries
            if class_name_or_operation(entry) != "InputLayer"
            for place, node in enumerate(entry.get("inbound_nodes") or ())
        ]
        while pending:
            waiting = []
            for entry, place, node in pending:
                args, named_ = _call_of(node, tensors)
                if args is None:
                    waiting.append((entry, place, node))
                    continue
                name = named(entry)
                where = f"{path}/layers/{places[name]}"
                for count, symbol in enumerate(self.call(entry, args, named_, where, top or name)):
                    tensors[name, place, count] = symbol
            if len(waiting) == len(pending):
                raise ArtifactError(
                    f"The layer {named(waiting[0][0])!r} is called on the output of a layer that "
                    "is not there, or on its own."
                )
            pending = waiting
        missing = [r for r in _references(config.get("output_layers")) if r not in tensors]
        if missing:
            raise ArtifactError(f"Expected the output {missing[0][0]!r} among the layers.")
        outputs = [tensors[one] for one in _references(config.get("output_layers"))]
        return [tensors[one] for one in asked], outputs

    def call(
        self, entry: dict[str, Any], args: list[Any], named_: dict[str, Any], path: str, top: str
    ) -> list[Any]:
        """The outputs of a layer, an operator or an inner model."""
        mask = _mask_of(entry, args)
        if mask is not None:
            return [mask]
        if is_operation(entry):
            numbers = [None if isinstance(one, Symbol) else one for one in args]
            given = [one for one in args if isinstance(one, Symbol)]
            layer = self.own(operation(entry, numbers))
            return _listed(_run(layer, [given if len(given) > 1 else given[0]], {}))
        if class_name(entry) in MODELS:
            inner = args[0] if isinstance(args[0], list) else args
            return self.model(entry, list(inner), path, top)[1]
        if id(entry) not in self.made:
            self.made[id(entry)] = self.own(as_layer(entry))
            self.pieces.append(Piece(self.made[id(entry)], path, top))
        self._note_mask(self.made[id(entry)], args, named_.pop("mask", None))
        return _listed(_run(self.made[id(entry)], args, named_))

    def _note_mask(self, layer: Layer, args: list[Any], mask: Any) -> None:
        """Refuse a mask that is not the one which our layers find by themselves."""
        value = 0 if getattr(layer, "mask_zero", False) else getattr(layer, "mask_value", None)
        if value is not None and isinstance(args[0], Symbol):
            self.masked[id(args[0].call)] = value
        if mask is None:
            return
        known = isinstance(mask, Mask) and self.masked.get(id(mask.source.call)) == mask.value
        if not known:
            raise ArtifactError(
                f"{layer.title} is called with a mask of its own, which has no twin here; those of "
                "Embedding(mask_zero=True) and Masking have."
            )


def _mask_of(entry: dict[str, Any], args: list[Any]) -> Mask | None:
    """The mask that an operator gives, or None for all else."""
    if not is_operation(entry) or not args:
        return None
    if entry.get("class_name") == "NotEqual" and len(args) == 2 and isinstance(args[0], Symbol):
        return Mask(args[0], args[1])
    if entry.get("class_name") == "Any" and isinstance(args[0], Mask):
        return args[0]
    return None


def class_name_or_operation(entry: dict[str, Any]) -> str:
    """An entry's class; operators are told apart by their module."""
    return "operation" if is_operation(entry) else class_name(entry)


def outline(description: dict[str, Any], keys: Any) -> Outline:
    """Unfold the description of a model; the weights are shapes without memory.

    Args:
        description: What the file says.
        keys: From a path and entries to the names of the entries' groups.

    Raises:
        ArtifactError: Something in it has no twin here, or does not fit together.
        UnsafeFormatError: It holds code.
    """
    kind = class_name(description)
    if kind not in MODELS:
        raise ArtifactError(
            f"Expected a Sequential or functional model; the file holds a {kind!r}. A model that "
            "is a class of its own (subclassed) is code and cannot be read."
        )
    reader = _Reader(keys)
    try:
        with torch.device("meta"):
            inputs, outputs = reader.model(description, None, "", None)
    except ShapeError as error:
        raise ArtifactError(f"The layers do not fit together: {error}") from error
    except LeptonError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"The description of the model cannot be read: {error!r}.") from error
    return Outline(inputs, outputs, reader.pieces, kind == "Sequential")


def _run(layer: Layer, args: list[Any], named_: dict[str, Any]) -> Any:
    """Call a layer on symbols, with the arguments that our layers have."""
    kept = {k: v for k, v in named_.items() if k not in _IGNORED and v not in (None, False)}
    if isinstance(layer, MultiHeadAttention):
        args = [*args, *(kept.pop(name) for name in ("value", "key") if name in kept)]
        allowed: tuple[str, ...] = ("use_causal_mask",)
    else:
        allowed = ("initial_state",)
        if len(args) > 1 and hasattr(layer, "state_count"):
            kept["initial_state"] = list(args[1:])
            args = args[:1]
    for name in kept:
        if name not in allowed:
            raise ArtifactError(f"{layer.title} is called with {name}=, which has no twin here.")
    if any(not isinstance(one, (Symbol, list)) for one in args):
        raise ArtifactError(f"{layer.title} is called on {args!r}; expected tensors.")
    return layer(*args, **kept)


def _listed(found: Any) -> list[Symbol]:
    return found if isinstance(found, list) else [found]


def _single(symbols: list[Symbol]) -> Symbol:
    if len(symbols) != 1:
        raise ArtifactError(f"Expected one output from each layer; received {len(symbols)}.")
    return symbols[0]


def _shape_in(entry: dict[str, Any]) -> Any:
    config = entry.get("config") or {}
    return config.get("batch_shape") or config.get("batch_input_shape")


def _type_in(entry: dict[str, Any]) -> str | None:
    """``"int64"`` where an input holds whole numbers."""
    given = (entry.get("config") or {}).get("dtype")
    return "int64" if isinstance(given, str) and given.startswith(("int", "uint")) else None


def _input(entry: dict[str, Any]) -> Symbol:
    shape = _shape_in(entry)
    if class_name(entry) != "InputLayer" or not isinstance(shape, list):
        raise ArtifactError(f"Expected the input {named(entry)!r} with its shape.")
    return Input(tuple(shape[1:]), dtype=_type_in(entry), name=named(entry))


def _references(value: Any) -> list[Key]:
    """``[name, node, tensor]``, one or several, however they are nested."""
    if isinstance(value, dict):
        return [one for inner in value.values() for one in _references(inner)]
    if not isinstance(value, list):
        raise ArtifactError(f"Expected the names of inputs and outputs; received {value!r}.")
    if _is_reference(value):
        return [(value[0], int(value[1]), int(value[2]))]
    return [one for inner in value for one in _references(inner)]


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and isinstance(value[1], int)
        and isinstance(value[2], int)
    )


def _call_of(node: Any, tensors: dict[Key, Symbol]) -> tuple[Any, dict[str, Any]]:
    """Arguments of a call with symbols in the place of tensors; None while one is not there."""
    if isinstance(node, dict):
        args, named_ = node.get("args") or [], node.get("kwargs") or {}
    else:  # as Keras 2 wrote it
        several = [node] if _is_reference(node) else node
        first = [one[:3] for one in several]
        args = first if len(first) == 1 else [first]
        named_ = several[0][3] if len(several[0]) > 3 and isinstance(several[0][3], dict) else {}
    try:
        found = [_resolved(one, tensors) for one in args]
        return found, {key: _resolved(one, tensors) for key, one in named_.items()}
    except LookupError:
        return None, {}


def _resolved(value: Any, tensors: dict[Key, Symbol]) -> Any:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        name, node, place = value["config"]["keras_history"]
        return tensors[name, int(node), int(place)]
    if _is_reference(value):
        return tensors[value[0], value[1], value[2]]
    if isinstance(value, (list, tuple)):
        return [_resolved(one, tensors) for one in value]
    return value


def group_names(entries: list[dict[str, Any]]) -> list[str]:
    """The groups of layers in a ``.keras`` file: their classes, numbered.

    Example:
        >>> group_names([{"class_name": name} for name in ("Dense", "BatchNormalization", "Dense")])
        ['dense', 'batch_normalization', 'dense_1']
    """
    counts: dict[str, int] = {}
    found = []
    for entry in entries:
        if is_operation(entry):
            found.append("")
            continue
        name = re.sub(r"\W+", "", str(entry.get("class_name")))
        name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
        name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        counts[name] = counts.get(name, -1) + 1
        found.append(f"{name}_{counts[name]}" if counts[name] else name)
    return found
