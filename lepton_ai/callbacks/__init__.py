"""Callbacks, one family a file. Start with :mod:`lepton_ai.callbacks.callback`."""

from typing import Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.registry import face

_getattr, __dir__, _names = face("callbacks")
__all__ = ["Callback", *_names]


def __getattr__(name: str) -> Any:
    return _getattr(name)
