"""Subclassing: a class of the user's own, whose ``call`` is the network."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from lepton_ai.errors import ConfigError


class Called(nn.Module):
    """The ``call`` of a model as a module; the layers stay where the user put them.

    ``call(self, x)`` is handed a single input as it is, and several as a dict by name, or one by
    one where it names them all (``call(self, image, row)``). ``training`` and ``lengths`` are
    handed on where it takes them.
    """

    def __init__(self, owner: Any) -> None:
        super().__init__()
        self._owner = (owner,)  # in a tuple, so that the model does not hold itself as a part
        found = inspect.signature(owner.call).parameters
        self.takes = {name for name in ("training", "lengths", "mask") if name in found}
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.order = [
            name for name, p in found.items()
            if p.kind in kinds and p.default is p.empty and name not in self.takes
        ]  # fmt: skip

    def forward(self, given: Any, lengths: Any = None) -> Any:
        named: dict[str, Any] = {}
        if "training" in self.takes:
            named["training"] = self.training
        if "lengths" in self.takes:
            named["lengths"] = lengths
        owner = self._owner[0]
        if isinstance(given, dict) and len(self.order) == len(given) > 1:
            by_name = set(self.order) == set(given)
            values = [given[name] for name in self.order] if by_name else list(given.values())
            return owner.call(*values, **named)
        return owner.call(given, **named)


def constructed(model: Any, args: tuple, named: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a model was made with, by name.

    Raises:
        ConfigError: Some of them cannot be written as JSON.
    """
    kind = type(model)
    bound = inspect.signature(kind.__init__).bind(model, *args, **named)
    arguments: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        parameter = inspect.signature(kind.__init__).parameters[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= value
        elif parameter.kind is parameter.VAR_POSITIONAL:
            raise ConfigError(_advice(kind, f"*{name}"))
        else:
            arguments[name] = value
    for name, value in arguments.items():
        if not _plain(value):
            raise ConfigError(_advice(kind, name))
    return arguments


def check_makes(kind: type, arguments: dict[str, Any]) -> None:
    """Refuse to save what could not be made again from its arguments.

    Raises:
        ConfigError: The constructor needs more; the message says how to give it.
    """
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"Expected {kind.__name__} to be made again from its config(); it cannot: {error}. "
            "Write config(self) that returns the constructor's arguments as a dict."
        ) from error


def as_columns(value: Any) -> bool:
    """Whether a model is called on encoded columns, as trainers and engines do."""
    return isinstance(value, dict) and all(isinstance(v, Tensor) for v in value.values())


def _advice(kind: type, name: str) -> str:
    return (
        f"Expected arguments of {kind.__name__} that can be saved as JSON; {name!r} cannot. Write "
        "config(self) that returns the constructor's arguments as a dict of plain values."
    )


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(one) for key, one in value.items())
    return value is None or isinstance(value, (str, int, float, bool))
