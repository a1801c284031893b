"""Optimisers and schedules, with Keras's names and defaults.

Start with :mod:`lepton_ai.optimizers.optimizer`; schedules are in ``lai.optimizers.schedules``.
"""

from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers import schedules

_getattr, __dir__, _names = registry.face("optimizers")
__all__ = [*_names, "Optimizer", "from_config", "get", "schedules"]


def __getattr__(name: str) -> Any:
    if name == "Optimizer":
        from lepton_ai.optimizers.optimizer import Optimizer

        return Optimizer
    return _getattr(name)


def get(
    optimizer: Any, learning_rate: Any = None, *, weight_decay: float | None = None
) -> Any:  # fmt: skip
    """An optimiser from its name or description, or itself.

    Args:
        optimizer: A name; what ``to_config`` of an optimiser gave; or one of ``lai.optimizers``,
            which is taken as it is.
        learning_rate: A number or a schedule object, in the place of a named optimiser's own.
        weight_decay: Likewise.

    Raises:
        UnknownNameError: No optimiser has that name; the near miss is offered.
        ConfigError: It is nothing of that kind, or an argument cannot be.

    Example:
        >>> get("sgd", 0.1)
        SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=None)
    """
    if isinstance(optimizer, str):
        wishes = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        given = {name: value for name, value in wishes.items() if value is not None}
        return registry.lookup("optimizers", optimizer)(**given)
    if isinstance(optimizer, dict):
        return from_config(optimizer)
    if isinstance(optimizer, type) or not hasattr(optimizer, "make"):
        kind = optimizer.__name__ if isinstance(optimizer, type) else type(optimizer).__name__
        told = f"the class {kind}" if isinstance(optimizer, type) else kind
        raise ConfigError(
            f"Expected the name of an optimiser or one of lai.optimizers; received {told}. Type "
            f"lai.optimizers.{kind if kind in _names else 'Adam'}(). Known names: "
            f"{', '.join(registry.names('optimizers'))}."
        )
    return optimizer


def from_config(config: dict[str, Any]) -> Any:
    """The optimiser that ``to_config`` described.

    Raises:
        UnknownNameError: No optimiser has that name; the near miss is offered.
        ConfigError: It has no name, or an argument cannot be.
    """
    arguments = dict(config)
    name = arguments.pop("optimizer", None)
    if not isinstance(name, str):
        raise ConfigError(
            f"Expected a description like {{'optimizer': 'adam', 'learning_rate': 0.001}}; "
            f"received {config!r:.80}."
        )
    if isinstance(arguments.get("learning_rate"), dict):
        arguments["learning_rate"] = schedules.from_config(arguments["learning_rate"])
    return registry.lookup("optimizers", name)(**arguments)
