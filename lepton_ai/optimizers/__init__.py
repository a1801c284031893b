"""Optimisers, with Keras's names and defaults, made of PyTorch's."""

from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError

__getattr__, __dir__, _names = registry.face("optimizers")
__all__ = [*_names, "get"]


def get(
    optimizer: Any, learning_rate: float | None = None, *, weight_decay: float | None = None
) -> Any:
    """An optimiser from its name, or itself.

    Args:
        optimizer: A name, or one of ``lai.optimizers``, which is taken as it is.
        learning_rate: In the place of a named optimiser's own.
        weight_decay: Likewise.

    Raises:
        UnknownNameError: No optimiser has that name; the near miss is offered.
    """
    if isinstance(optimizer, str):
        wishes = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        given = {name: value for name, value in wishes.items() if value is not None}
        return registry.lookup("optimizers", optimizer)(**given)
    if not hasattr(optimizer, "make"):
        raise ConfigError(
            "Expected the name of an optimiser or one of lai.optimizers; received "
            f"{type(optimizer).__name__}. Known names: {', '.join(registry.names('optimizers'))}."
        )
    return optimizer
