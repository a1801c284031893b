"""Losses, one family a file."""

from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError

__getattr__, __dir__, _names = registry.face("losses")
__all__ = [*_names, "from_config", "get"]

_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error",
            "cross_entropy": "categorical_crossentropy", "bce": "binary_crossentropy"}  # fmt: skip


def get(loss: Any) -> Any:
    """A loss from its name, or itself.

    Raises:
        UnknownNameError: No loss has that name; the near miss is offered.
    """
    if isinstance(loss, str):
        return registry.lookup("losses", _ALIASES.get(loss, loss))()
    if callable(loss):
        return loss
    raise ConfigError(f"Expected the name of a loss or a Loss; received {type(loss).__name__}.")


def from_config(config: dict[str, Any]) -> Any:
    """The loss that ``to_config`` described."""
    arguments = dict(config)
    return registry.lookup("losses", arguments.pop("loss"))(**arguments)
