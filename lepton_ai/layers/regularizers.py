"""Penalties on weights: ``kernel_regularizer="l2"``, ``{"l2": 1e-4}`` or ``l2(1e-4)``."""

from __future__ import annotations

from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.layout import choice

Penalty = dict[str, float]


def l1(l1: float = 0.01) -> Penalty:
    """The sum of absolute weights, times ``l1``."""
    return {"l1": float(l1)}


def l2(l2: float = 0.01) -> Penalty:
    """The sum of squared weights, times ``l2``.

    Example:
        >>> l2(1e-4)
        {'l2': 0.0001}
    """
    return {"l2": float(l2)}


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> Penalty:
    """Both penalties, added."""
    return {"l1": float(l1), "l2": float(l2)}


def as_penalty(value: object, name: str) -> Penalty | None:
    """What a layer stores for an argument such as ``kernel_regularizer``.

    Raises:
        ConfigError: Not a penalty.
    """
    if value is None:
        return None
    if isinstance(value, str):
        word = choice(value, ("l1", "l2", "l1_l2"), name)
        return {"l1": l1, "l2": l2, "l1_l2": l1_l2}[word]()
    if (
        isinstance(value, dict)
        and value
        and set(value) <= {"l1", "l2"}
        and all(isinstance(v, int | float) and v >= 0 for v in value.values())
    ):
        return {key: float(factor) for key, factor in value.items()}
    raise ConfigError(
        f"{name} expected 'l1', 'l2', 'l1_l2' or a dict; received {value!r}. "
        f"Type for example {name}={{'l2': 1e-4}}."
    )


def penalty_of(weight: Tensor, penalty: Penalty) -> Tensor:
    """The penalty on one weight, a single number."""
    total = weight.new_zeros(())
    if penalty.get("l1"):
        total = total + penalty["l1"] * weight.abs().sum()
    if penalty.get("l2"):
        total = total + penalty["l2"] * weight.square().sum()
    return total


class Activity:
    """The penalty on what a layer gave last while training; a copy of the layer starts without."""

    def __init__(self) -> None:
        self.value: Tensor | None = None

    def note(self, outputs: object, penalty: Penalty) -> None:
        """Keep the penalty on the outputs of one call, averaged over the batch as in Keras."""
        found = [outputs] if isinstance(outputs, Tensor) else outputs
        terms = [
            penalty_of(one, penalty) / max(one.shape[0], 1)
            for one in (found if isinstance(found, list | tuple) else ())
            if isinstance(one, Tensor)
        ]
        self.value = sum(terms[1:], terms[0]) if terms else None

    def __deepcopy__(self, memo: dict) -> Activity:
        return Activity()

    def __getstate__(self) -> dict:
        return {"value": None}
