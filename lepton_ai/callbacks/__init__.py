"""Callbacks, one family a file. Start with :mod:`lepton_ai.callbacks.callback`."""

from typing import Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError
from lepton_ai.registry import face

_getattr, __dir__, _names = face("callbacks")
__all__ = ["Callback", *_names]

_INSTEAD = {
    "BackupAndRestore": "model.fit(..., resume=True), which goes on bit for bit after a kill",
    "SwapEMAWeights": "model.fit(..., average_decay=0.999)",
    "History": "run = model.fit(...), then run.history",
    "ProgbarLogger": "model.fit(..., verbose=1)",
}


def __getattr__(name: str) -> Any:
    if name in _INSTEAD:
        raise ConfigError(f"Lepton needs no callback {name}. Type: {_INSTEAD[name]}")
    return _getattr(name)
