"""Optimisers, with Keras's names and defaults, made of PyTorch's."""

from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError

__getattr__, __dir__, _names = registry.face("optimizers")
__all__ = [*_names, "get"]


def get(optimizer: Any, learning_rate: float | None = None) -> Any:
    """An optimiser from its name, or itself; ``learning_rate`` overrides its own.

    Raises:
        UnknownNameError: No optimiser has that name; the near miss is offered.
    """
    if isinstance(optimizer, str):
        kind = registry.lookup("optimizers", optimizer)
        return kind() if learning_rate is None else kind(learning_rate=learning_rate)
    if not hasattr(optimizer, "make"):
        raise ConfigError(
            "Expected the name of an optimiser or one of lai.optimizers; received "
            f"{type(optimizer).__name__}. Known names: {', '.join(registry.names('optimizers'))}."
        )
    return optimizer
