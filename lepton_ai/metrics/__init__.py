"""Metrics, one family a file."""

from typing import Any

from lepton_ai.registry import face

__getattr__, __dir__, _names = face("metrics")
__all__ = [*_names, "get"]


def get(metric: Any) -> Any:
    """A metric from its name (``"accuracy"``, ``"acc"``), or itself.

    Raises:
        UnknownNameError: No metric has that name; the near miss is offered.
    """
    from lepton_ai.metrics.metric import get as found

    return found(metric)
