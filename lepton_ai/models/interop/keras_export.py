"""Models as Keras's own, with the same weights."""

from __future__ import annotations

import os
import sys
from typing import Any

from lepton_ai.errors import ConfigError
from lepton_ai.extras import require
from lepton_ai.layers.layer import Layer
from lepton_ai.models.graph import Ref
from lepton_ai.models.interop.keras_layers import ALLOWED
from lepton_ai.models.interop.program import Call, program_of, refuse

_LEFT_OUT = ("input_shape", "dtype", "weights")


def to_keras(model: Any) -> Any:
    """A model of layers as a Keras model with the same weights: a ``Sequential`` or functional one.

    Keras runs on the backend that ``KERAS_BACKEND`` names, PyTorch where it names none.

    Args:
        model: A Sequential or a model of a graph of layers, built.

    Raises:
        MissingExtraError: Keras is not installed.
        ConfigError: It has layers that Keras does not; the message names them all.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    keras: Any = require("keras", extra="interop", why="to_keras(...)")
    program = program_of(model, "to_keras(...)")
    twins: dict[int, Any] = {}
    unfit: list[tuple[Layer, str]] = []
    for call in program.calls:
        if call.args and id(call.layer) not in twins:
            try:
                twins[id(call.layer)] = _twin(keras, call.layer)
            except ConfigError as error:
                twins[id(call.layer)] = None
                unfit.append((call.layer, str(error)))
    refuse(unfit, "to_keras(...)")
    inputs = {
        name: keras.Input(tuple(_shape(program.calls[place].layer)), name=name, dtype=_type(call))
        for (name, place), call in zip(
            program.inputs.items(), (_reader(program.calls, p) for p in program.inputs.values()),
            strict=True,
        )
    }  # fmt: skip
    if program.chain:
        made = keras.Sequential(
            [*inputs.values(), *(twins[id(c.layer)] for c in program.calls[1:])]
        )
    else:
        places = {place: inputs[name] for name, place in program.inputs.items()}
        held: list[Any] = []
        for place, call in enumerate(program.calls):
            if call.args:
                args = [_filled(one, held) for one in call.args]
                named = {key: _filled(one, held) for key, one in call.named.items()}
                held.append(twins[id(call.layer)](*args, **named))
            else:
                held.append(places[place])
        outputs = [_filled(ref, held) for ref in program.outputs.values()]
        made = keras.Model(
            list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values())),
            outputs if len(outputs) > 1 else outputs[0],
        )
    for call in program.calls:
        if call.args:
            twins[id(call.layer)].set_weights(call.layer.keras_weights())
    return made


def _twin(keras: Any, layer: Layer) -> Any:
    """Keras's layer with the same arguments.

    Raises:
        ConfigError: There is none.
    """
    kind = type(layer).__name__
    if kind not in ALLOWED:
        raise ConfigError("Keras has no such layer")
    given = {k: v for k, v in layer.config().items() if k not in _LEFT_OUT}
    if layer.dtype is not None:
        given["dtype"] = layer.dtype
    told: dict[str, Any] = {}
    for key, value in given.items():
        if value is None and key != "merge_mode":
            continue
        if key in ("layer", "backward_layer"):
            told[key] = _twin(keras, getattr(layer, key))
        elif key.endswith("_initializer"):
            told[key] = _initializer(keras, value)
        elif key.endswith("_regularizer"):
            told[key] = keras.regularizers.L1L2(**value)
        elif key.endswith("_constraint"):
            told[key] = _constraint(keras, value)
        elif (key, value) != ("trainable", True):
            told[key] = tuple(value) if isinstance(value, list) else value
    try:
        return getattr(keras.layers, kind)(**told)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Keras refuses its arguments: {str(error).splitlines()[0]}") from error


def _initializer(keras: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    arguments = {key: one for key, one in value.items() if key != "name"}
    return keras.initializers.get({"class_name": value["name"], "config": arguments})


def _constraint(keras: Any, value: Any) -> Any:
    name = "".join(word.title() for word in value["name"].split("_"))
    rest = {key: one for key, one in value.items() if key != "name"}
    return keras.constraints.get({"class_name": name, "config": rest})


def _shape(layer: Any) -> tuple[Any, ...]:
    return layer.shape


def _reader(calls: list[Call], place: int) -> Any:
    """The layer that reads an input first."""
    return next((call.layer for call in calls if _reads(call.args, place)), None)


def _reads(value: Any, place: int) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_reads(one, place) for one in value)
    return isinstance(value, Ref) and value.node == place


def _type(reader: Any) -> str:
    return "int32" if "Embedding" in type(reader).__name__ else "float32"


def _filled(value: Any, held: list[Any]) -> Any:
    if isinstance(value, Ref):
        return held[value.node] if value.position is None else held[value.node][value.position]
    if isinstance(value, (list, tuple)):
        return [_filled(one, held) for one in value]
    return value
