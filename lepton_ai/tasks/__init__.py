"""Tasks, one a file: what is asked of a model. Start with :mod:`lepton_ai.tasks.task`."""

from typing import Any

from lepton_ai.registry import face
from lepton_ai.tasks.task import Task

_getattr, __dir__, _names = face("tasks")
__all__ = ["Task", *_names]


def __getattr__(name: str) -> Any:
    return _getattr(name)
