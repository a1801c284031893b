"""Rules that weights obey after each optimiser step: ``kernel_constraint="non_neg"``.

Named by a word (``"unit_norm"``) or, with arguments, by what the functions here give
(``max_norm(2.0)``), which is a dict such as ``{"name": "max_norm", "max_value": 2.0, "axis": 0}``.
Norms are taken along axes of Keras's layout: ``axis=0`` of a dense kernel ``[inputs, units]`` gives
each unit a norm of its own, ``axis=[0, 1, 2]`` of a kernel over images each filter.

A training loop calls :func:`apply` once after each step of its optimiser.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.registry import near_miss

Constraint = dict[str, Any]
_EPSILON = 1e-7  # Keras's


def max_norm(max_value: float = 2.0, axis: int | list[int] = 0) -> Constraint:
    """Norms of at most ``max_value`` (Srivastava et al. 2014).

    Example:
        >>> max_norm(3.0)
        {'name': 'max_norm', 'max_value': 3.0, 'axis': 0}
    """
    return {"name": "max_norm", "max_value": _at_least(max_value, 0, "max_value"), "axis": axis}


def non_neg() -> Constraint:
    """No weight below 0."""
    return {"name": "non_neg"}


def unit_norm(axis: int | list[int] = 0) -> Constraint:
    """Norms of 1."""
    return {"name": "unit_norm", "axis": axis}


def min_max_norm(
    min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | list[int] = 0
) -> Constraint:
    """Norms from ``min_value`` to ``max_value``; ``rate`` below 1 goes only part of the way."""
    least = _at_least(min_value, 0, "min_value")
    return {
        "name": "min_max_norm", "min_value": least,
        "max_value": _at_least(max_value, least, "max_value"),
        "rate": _at_least(rate, 0, "rate"), "axis": axis,
    }  # fmt: skip


CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "max_norm": max_norm, "non_neg": non_neg, "unit_norm": unit_norm, "min_max_norm": min_max_norm,
}  # fmt: skip


def as_constraint(value: object, name: str) -> Constraint | None:
    """What a layer stores for an argument such as ``kernel_constraint``.

    Raises:
        UnknownNameError: No constraint has this name.
        ConfigError: Not a constraint, or arguments that it does not have.

    Example:
        >>> as_constraint("NonNeg", "kernel_constraint")
        {'name': 'non_neg'}
    """
    if value is None:
        return None
    word = value.get("name") if isinstance(value, dict) else value
    if not isinstance(word, str):
        raise ConfigError(
            f"{name} expected the name of a constraint, or a dict with its name and arguments; "
            f"received {value!r}. Type for example {name}='non_neg', or {name}=max_norm(2.0)."
        )
    plain = {key.replace("_", ""): key for key in CONSTRAINTS}
    key = plain.get(word.lower().replace("_", ""))
    if key is None:
        raise UnknownNameError(
            f"{name} expected the name of a constraint; received {word!r}."
            f"{near_miss(word, CONSTRAINTS)} Known: {', '.join(CONSTRAINTS)}."
        )
    arguments = {k: v for k, v in value.items() if k != "name"} if isinstance(value, dict) else {}
    allowed = list(inspect.signature(CONSTRAINTS[key]).parameters)
    for argument in arguments:
        if argument not in allowed:
            raise ConfigError(
                f"The constraint {key!r} expected the arguments {allowed}; received {argument!r}."
                f"{near_miss(argument, allowed)}"
            )
    made = CONSTRAINTS[key](**arguments)
    if "axis" in made:
        made["axis"] = _as_axis(made["axis"], name)
    return made


def constrained(weight: Tensor, constraint: Constraint) -> Tensor:
    """The nearest weight that obeys; ``weight`` is in Keras's layout.

    Example:
        >>> constrained(torch.tensor([[3.0], [4.0]]), unit_norm())
        tensor([[0.6000],
                [0.8000]])
    """
    if constraint["name"] == "non_neg":
        return weight.clamp(min=0)
    norms = torch.linalg.vector_norm(weight, dim=constraint["axis"], keepdim=True)
    if constraint["name"] == "unit_norm":
        return weight / (_EPSILON + norms)
    wanted = norms.clamp(constraint.get("min_value", 0.0), constraint["max_value"])
    rate = constraint.get("rate", 1.0)
    return weight * ((rate * wanted + (1 - rate) * norms) / (_EPSILON + norms))


def apply(network: nn.Module) -> int:
    """Bring the weights of all layers inside back to their constraints, in place.

    Returns:
        How many weights have a constraint; 0 means that the call can be left out.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> layer = Dense(1, kernel_initializer={"name": "constant", "value": -1.0},
        ...               kernel_constraint="non_neg")
        >>> layer.build(2), apply(layer), layer.kernel.tolist()
        ((1,), 1, [[0.0, 0.0]])
    """
    from lepton_ai.layers.layer import Layer

    return sum(m.constrain() for m in network.modules() if isinstance(m, Layer))


def _at_least(value: object, least: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise ConfigError(f"{name} expected a number of at least {least}; received {value!r}.")
    return float(value)


def _as_axis(axis: object, name: str) -> int | list[int]:
    items = list(axis) if isinstance(axis, list | tuple) else [axis]
    if not items or any(isinstance(n, bool) or not isinstance(n, int) for n in items):
        raise ConfigError(
            f"{name} expected axis as a whole number or several; received {axis!r}. Type axis=0."
        )
    return items if isinstance(axis, list | tuple) else items[0]
