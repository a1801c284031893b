"""The arguments of a layer: kept under their names, given back as JSON, refused where unknown."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Self

import torch
from torch import nn

from lepton_ai.errors import ConfigError
from lepton_ai.layers.constraints import as_constraint
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layout import Shape, as_shape
from lepton_ai.layers.nonlinearity import as_activation
from lepton_ai.layers.regularizers import Penalty, as_penalty
from lepton_ai.registry import lookup, name_of, near_miss

_COMMON = ("input_shape", "name", "trainable", "dtype", "activity_regularizer")

# Arguments of Keras that change nothing here (hints), or that are accepted only when unused.
_HINTS = ("unroll", "use_cudnn", "flash_attention", "synchronized", "batch_size")
_UNUSED = (
    "kernel_constraint", "bias_constraint", "recurrent_constraint", "embeddings_constraint",
    "beta_constraint", "gamma_constraint", "alpha_constraint", "depthwise_constraint",
    "pointwise_constraint", "lora_rank", "lora_alpha", "quantization_config", "attention_axes",
    "use_gate", "stateful", "renorm", "sparse", "ragged", "optional", "autocast",
)  # fmt: skip


class Configured(nn.Module):
    """A module whose constructor's arguments are attributes, and can be written as JSON."""

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {}
    """Arguments such as ``kernel_constraint``, and the names of the weights that each rules."""

    def __init__(
        self,
        *,
        input_shape: Shape | int | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | torch.dtype | None = None,
        activity_regularizer: str | dict | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        for argument in self.constrains:
            setattr(self, argument, as_constraint(unknown.pop(argument, None), argument))
        self._refuse(unknown)
        self.input_shape = None if input_shape is None else as_shape(input_shape)
        self.name = name
        self.trainable = bool(trainable)
        self.dtype = _type_name(dtype)
        self.activity_regularizer = as_penalty(activity_regularizer, "activity_regularizer")

    # What keep() stores, for type checkers.
    activation: str
    recurrent_activation: str
    kernel_initializer: str | dict
    recurrent_initializer: str | dict
    depthwise_initializer: str | dict
    pointwise_initializer: str | dict
    bias_initializer: str | dict
    kernel_regularizer: Penalty | None
    recurrent_regularizer: Penalty | None
    depthwise_regularizer: Penalty | None
    pointwise_regularizer: Penalty | None
    bias_regularizer: Penalty | None

    def keep(self, **named: Any) -> None:
        """Store arguments that many layers have, each checked by the end of its name.

        Raises:
            ConfigError: One that cannot be, named.
        """
        for name, value in named.items():
            if name.endswith("_initializer"):
                value = as_initializer(value, name)
            elif name.endswith("_regularizer"):
                value = as_penalty(value, name)
            elif name.endswith("activation"):
                value = as_activation(value, name)
            else:
                value = bool(value)
            setattr(self, name, value)

    @property
    def title(self) -> str:
        """How messages speak of the layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values.

        Example:
            >>> from lepton_ai.layers.dense import Dense
            >>> Dense.from_config(Dense(3, "relu").config()).units
            3
        """
        return {name: _as_json(getattr(self, name)) for name in self._arguments()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer with these arguments, not yet built."""
        return cls(**{name: _from_json(value) for name, value in config.items()})

    @classmethod
    def _arguments(cls) -> list[str]:
        found = inspect.signature(cls.__init__).parameters.values()
        own = [p.name for p in found if p.name != "self" and p.kind is not p.VAR_KEYWORD]
        return list(dict.fromkeys([*own, *cls.constrains, *_COMMON]))

    def _refuse(self, unknown: dict[str, Any]) -> None:
        for name, value in unknown.items():
            if name in _HINTS or (name in _UNUSED and value in (None, False)):
                continue
            kind, known = type(self).__name__, self._arguments()
            if name in _UNUSED:
                raise ConfigError(
                    f"{kind} does not support {name}={value!r}. Leave {name} out; {kind} takes "
                    f"{', '.join(known)}."
                )
            raise ConfigError(
                f"{kind} has no argument {name!r}.{near_miss(name, known)} "
                f"It takes {', '.join(known)}."
            )

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        parts = []
        for p in inspect.signature(type(self).__init__).parameters.values():
            value = getattr(self, p.name, p.default)
            same = value == (p.default,) * len(value) if isinstance(value, tuple) else False
            if p.name in ("self", "data_format") or _holds_module(value):
                continue
            if p.kind is not p.VAR_KEYWORD and not same and value not in (p.default, "linear"):
                parts.append(f"{p.name}={value!r}")
        return ", ".join(parts)


def _holds_module(value: Any) -> bool:
    several = value if isinstance(value, list | tuple | nn.ModuleList) else (value,)
    return any(isinstance(one, nn.Module) for one in several)


def _type_name(dtype: str | torch.dtype | None) -> str | None:
    if dtype is None:
        return None
    word = str(dtype).removeprefix("torch.")
    if not isinstance(getattr(torch, word, None), torch.dtype):
        known = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8")
        raise ConfigError(
            f"dtype expected a type such as 'float32'; received {dtype!r}.{near_miss(word, known)}"
        )
    return word


def _as_json(value: Any) -> Any:
    if isinstance(value, Configured):
        return {"layer": name_of("layers", type(value)), "config": value.config()}
    if isinstance(value, tuple | list | nn.ModuleList):
        return [_as_json(item) for item in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"layer", "config"}:
        return lookup("layers", value["layer"]).from_config(value["config"])
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    return value
