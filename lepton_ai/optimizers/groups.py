"""Groups of parameters: what is trained, at which rate, and what decays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from torch import Tensor, nn

from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

_KEYS = ("params", "lr", "weight_decay")
_MEANT = {"learning_rate": "lr", "parameters": "params", "decay": "weight_decay"}


@dataclass
class Group:
    """Parameters that are trained alike.

    Attributes:
        parameters: The tensors.
        names: Their names, where the caller gave them; else empty.
        rate: Their learning rate.
        weight_decay: Their own decay; ``None`` leaves it to the optimiser.
    """

    parameters: list[Tensor]
    names: list[str]
    rate: float
    weight_decay: float | None


def read_groups(parameters: Iterable[Any], rate: float) -> list[Group]:
    """Tensors, named tensors or PyTorch's group dicts as groups.

    Raises:
        ConfigError: There is no parameter, one is there twice, or a group cannot be.
    """
    if isinstance(parameters, (nn.Module, Tensor, dict)):
        ending = ".parameters()" if isinstance(parameters, nn.Module) else " in a list"
        raise ConfigError(
            f"Expected a list of parameters or of groups; received a {type(parameters).__name__}. "
            f"Type optimizer.make(...) with it{ending}."
        )
    given = list(parameters)
    if any(isinstance(one, dict) for one in given):
        groups = [_read_group(one, rate) for one in given]
    else:
        groups = [Group(*_named(given), rate, None)]
    groups = [group for group in groups if group.parameters]
    seen = [id(tensor) for group in groups for tensor in group.parameters]
    if not seen:
        raise ConfigError(
            "Expected parameters to train; received none. Set trainable=True (or "
            "requires_grad_(True)) on a layer that shall learn."
        )
    if len(set(seen)) < len(seen):
        raise ConfigError(
            f"Expected each parameter once; received {len(seen) - len(set(seen))} of them again. "
            "Type list(dict.fromkeys(parameters)), and keep groups apart."
        )
    return groups


def _read_group(given: Any, rate: float) -> Group:
    if not isinstance(given, dict) or "params" not in given:
        told = f"a dict with {', '.join(map(repr, given))}" if isinstance(given, dict) else given
        raise ConfigError(
            f"Expected groups like {{'params': [...], 'lr': 0.001}}; received {told!s:.80}."
        )
    for key in given:
        if key not in _KEYS:
            meant = f" Did you mean {_MEANT[key]!r}?" if key in _MEANT else near_miss(key, _KEYS)
            raise ConfigError(
                f"Expected a group of parameters with {', '.join(_KEYS)}; received {key!r}.{meant}"
            )
    params = given["params"]
    tensors, names = _named([params] if isinstance(params, Tensor) else list(params))
    for key in ("lr", "weight_decay"):
        value = given.get(key)
        fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not (fits and value >= 0):
            raise ConfigError(
                f"Expected {key!r} of a group of parameters to be at least 0; received {value!r}. "
                "Leave it out for the optimiser's own."
            )
    own, decay = given.get("lr"), given.get("weight_decay")
    decay = None if decay is None else float(decay)
    return Group(tensors, names, rate if own is None else float(own), decay)


def _named(given: list[Any]) -> tuple[list[Tensor], list[str]]:
    """Tensors and, where all came with one, their names."""
    pairs = [one for one in given if isinstance(one, tuple) and len(one) == 2]
    tensors = [one[1] if isinstance(one, tuple) and len(one) == 2 else one for one in given]
    for one in tensors:
        if not isinstance(one, Tensor):
            raise ConfigError(
                f"Expected parameters as tensors; received a {type(one).__name__}. "
                "Type optimizer.make(model.parameters())."
            )
    return tensors, [str(name) for name, _ in pairs] if len(pairs) == len(given) else []


def split(group: Group, weight_decay: float) -> list[dict[str, Any]]:
    """A group as PyTorch's: matrices decay; biases, scales and other vectors do not."""
    own = group.weight_decay
    if own is not None or not weight_decay:
        decay = weight_decay if own is None else own
        return [{"params": group.parameters, "lr": group.rate, "weight_decay": decay}]
    matrices = [p for p in group.parameters if p.ndim > 1]
    vectors = [p for p in group.parameters if p.ndim <= 1]
    parts = ((matrices, weight_decay), (vectors, 0.0))
    return [{"params": p, "lr": group.rate, "weight_decay": d} for p, d in parts if p]
