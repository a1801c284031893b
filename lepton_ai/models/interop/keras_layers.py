"""Keras's layers by name, and what their arguments are here: a list of what is allowed.

Nothing is looked up or imported by a name from a file: a class that is not listed is refused.
"""

from __future__ import annotations

import warnings
from typing import Any

from lepton_ai import layers
from lepton_ai.errors import ArtifactError, LeptonError, LeptonWarning, UnsafeFormatError
from lepton_ai.layers.initializers import INITIALIZERS, as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.registry import near_miss

ALLOWED = (
    "Activation", "Add", "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "BatchNormalization", "Bidirectional", "Concatenate", "Conv1D", "Conv1DTranspose", "Conv2D",
    "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Cropping1D", "Cropping2D", "Cropping3D",
    "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Dropout", "ELU", "Embedding", "Flatten",
    "GRU", "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "GroupNormalization", "Identity", "LSTM", "LayerNormalization", "LeakyReLU", "Masking",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "MultiHeadAttention",
    "Multiply", "PReLU", "Permute", "ReLU", "RepeatVector", "Rescaling", "Reshape",
    "SeparableConv1D", "SeparableConv2D", "SimpleRNN", "Softmax", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "Subtract", "TimeDistributed", "UpSampling1D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
)  # fmt: skip
"""Keras's classes that have a twin of the same name in ``lai.layers``."""

MODELS = ("Sequential", "Functional", "Model")
_DROPPED = (
    "batch_input_shape", "batch_shape", "implementation", "input_axes", "input_length",
    "noise_shape", "renorm_clipping", "renorm_momentum", "seed", "time_major", "unroll",
    "zero_output_for_mask", "virtual_batch_size", "adjustment",
)  # fmt: skip
_TOLD_APART = ("name", "dtype", "trainable", "input_shape")
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
_MUST_BE_UNSET = ("noise_shape",)


def class_name(entry: dict[str, Any]) -> str:
    """The name of an entry's class, when it is one of Keras's own.

    Raises:
        UnsafeFormatError: It is code of the author's.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise ArtifactError(f"Expected the description of a layer; received {str(entry)[:60]}.")
    name, told = entry["class_name"], named(entry)
    if name == "Lambda":
        raise UnsafeFormatError(
            f"The layer {told!r} is a Lambda: a function stored in the file, which could run any "
            "code. Replace it by layers in Keras (keras.layers.Rescaling, Reshape, Activation ...) "
            "and save the model again."
        )
    module, registered = str(entry.get("module") or "keras"), str(entry.get("registered_name"))
    if ">" in name or ">" in registered or module.split(".")[0] not in ("keras", "tf_keras"):
        raise ArtifactError(
            f"The layer {told!r} is of the class {registered if '>' in registered else name!r} "
            f"from {module!r}, which is not Keras's own. Load the weights into a model of "
            "lai.layers: layer.load_keras_weights(keras_layer.get_weights())."
        )
    return name


def named(entry: dict[str, Any]) -> str:
    """What an entry is called, for messages."""
    config = entry.get("config")
    found = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(found or entry.get("class_name"))


def is_operation(entry: dict[str, Any]) -> bool:
    """Whether an entry is an operator on tensors (``x * 2``), not a layer.

    In ``.h5`` files nothing tells but that an operator has not the arguments of every layer.
    """
    module, config = entry.get("module"), entry.get("config")
    if entry.get("class_name") == "Lambda":
        return False
    if module is None and isinstance(config, dict):
        return not {"trainable", "dtype", "layers", "layer"} & set(config)
    return ".ops." in str(module or "")


def as_layer(entry: dict[str, Any]) -> Layer:
    """The layer that an entry describes, not built.

    Raises:
        UnsafeFormatError: A Lambda.
        ArtifactError: A class that is not on the list, or an argument that has no twin here.
    """
    kind = class_name(entry)
    if kind not in ALLOWED:
        raise ArtifactError(
            f"The layer {named(entry)!r} is of Keras's class {kind!r}, which has no twin in "
            f"lai.layers.{near_miss(kind, ALLOWED)}"
        )
    config = entry.get("config")
    if not isinstance(config, dict):
        raise ArtifactError(f"Expected the arguments of the layer {named(entry)!r}.")
    made = getattr(layers, kind)
    known = {*made._arguments(), "name", "trainable"}
    arguments: dict[str, Any] = {}
    for key, value in config.items():
        key = _RENAMED.get(kind, {}).get(key, key)
        if key in _TOLD_APART or value is None and key.endswith("_constraint"):
            continue
        if key.endswith("_constraint") and key not in known:
            _tell_of_constraint(entry, key)
        elif key in _MUST_BE_UNSET and value is not None:
            raise ArtifactError(f"The layer {named(entry)!r} has {key}={value!r}; it must be None.")
        elif key in known or (key not in _DROPPED and value not in (None, False)):
            arguments[key] = _argument(kind, key, value)
    arguments |= {"name": named(entry), "trainable": bool(config.get("trainable", True))}
    wide = _type_name(config.get("dtype"))
    if wide == "float64":
        arguments["dtype"] = wide
    arguments.pop("seed", None)
    try:
        return made(**arguments)
    except (LeptonError, TypeError) as error:
        raise ArtifactError(f"The layer {named(entry)!r} cannot be made here: {error}") from error


def _argument(kind: str, key: str, value: Any) -> Any:
    """An argument as our layer takes it."""
    if key.endswith("_initializer"):
        return _initializer(value)
    if key.endswith("_regularizer"):
        return _penalty(value)
    if key.endswith("_constraint"):
        return _constraint(value)
    if key.endswith("activation"):
        return _activation(value)
    if key in ("layer", "backward_layer"):
        return None if value is None else as_layer(value)
    if key == "axis" and kind == "BatchNormalization" and isinstance(value, list):
        return value[0] if len(value) == 1 else value
    if key == "attention_axes" and value in ([1], (1,), None):
        return None
    return tuple(value) if isinstance(value, list) and key != "shared_axes" else value


def _initializer(value: Any) -> Any:
    """How a weight would start anew; one that has no twin here leaves Glorot's."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) else "glorot_uniform"
    name = _snake(str(value.get("class_name", "")))
    if name not in INITIALIZERS:
        return "glorot_uniform"
    given = value.get("config") or {}
    kept = {k: v for k, v in given.items() if k in ("minval", "maxval", "mean", "stddev", "gain")}
    if name == "constant":
        kept = {"value": given.get("value", 0.0)}
    try:
        return as_initializer({"name": name, **kept} if kept else name, "initializer")
    except LeptonError:
        return name


def _penalty(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    given = value.get("config") or {}
    if value.get("class_name") not in ("L1", "L2", "L1L2"):
        raise ArtifactError(
            f"The regulariser {value.get('class_name')!r} has no twin here; l1, l2 and l1_l2 have."
        )
    return {key: float(given[key]) for key in ("l1", "l2") if given.get(key)} or None


def _activation(value: Any) -> Any:
    """The name of an activation; functions of the author's are not run."""
    if not isinstance(value, dict):
        return value
    inner = value.get("config")
    if value.get("class_name") == "function" and isinstance(inner, str):
        module = str(value.get("module") or "builtins").split(".")[0]
        registered = str(value.get("registered_name") or inner)
        if module == "keras" or (module == "builtins" and registered == inner):
            return inner
    raise UnsafeFormatError(
        f"Expected an activation by name; received {value.get('class_name')!r} "
        f"({str(inner)[:40]}), which is code of the author's or a layer. Use a name ('relu') in "
        "Keras, or put the layer after this one, and save again."
    )


def _constraint(value: Any) -> Any:
    """A rule that weights obey, by its name and its arguments."""
    if not isinstance(value, dict):
        return value
    return {"name": _snake(str(value.get("class_name", ""))), **(value.get("config") or {})}


def _tell_of_constraint(entry: dict[str, Any], key: str) -> None:
    warnings.warn(
        f"The layer {named(entry)!r} has a {key}, which has no twin here: its outputs are the "
        "same, further training goes without it.", LeptonWarning, stacklevel=2,
    )  # fmt: skip


def _type_name(value: Any) -> str:
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("name")
    return str(value)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def operation(entry: dict[str, Any], given: list[Any]) -> Layer:
    """The layer that does what an operator on tensors does.

    Args:
        entry: The entry of the operator.
        given: What it was called on: numbers, and None for tensors.

    Raises:
        ArtifactError: No layer does it.
    """
    kind = str(entry.get("class_name"))
    if kind in ("Add", "Subtract", "Multiply") and given == [None, None]:
        return getattr(layers, kind)(name=named(entry))
    ahead = len(given) == 2 and given[1] is None  # the number comes first
    number = given[0 if ahead else 1] if len(given) == 2 else None
    if isinstance(number, (int, float)) and not isinstance(number, bool):
        by = float(number)
        pairs = {"Add": (1.0, by), "Multiply": (by, 0.0)}
        pairs["Subtract"] = (-1.0, by) if ahead else (1.0, -by)
        if not ahead and by:
            pairs["TrueDivide"] = pairs["Divide"] = (1 / by, 0.0)
        if kind in pairs:
            return layers.Rescaling(*pairs[kind], name=named(entry))
    raise ArtifactError(
        f"The operator {kind!r} on tensors has no layer here; +, - and * of two tensors, and with "
        "one number, have. Replace it by a layer in Keras and save the model again."
    )
