"""Layers with Keras's names and arguments; each is a plain ``torch.nn.Module``.

Shapes are written channels last, as in Keras (``input_shape=(32, 32, 3)``). The tensors inside are
channels first (``[batch, channels, height, width]``) when they have four or more dimensions; all
others are as written: sequences ``[batch, length, features]`` and vectors ``[batch, features]``.
Start with :mod:`lepton_ai.layers.layer`, the contract.
"""

from __future__ import annotations

import importlib
from typing import Any

from lepton_ai.errors import UnknownNameError
from lepton_ai.registry import face

_plug_in, _listing, _names = face("layers")
_PLACES = {
    "Input": "symbol",
    "KeyValueCache": "caching",
    "Layer": "layer",
    "Symbol": "symbol",
    "drawing_from": "randomness",
    "l1": "regularizers",
    "l1_l2": "regularizers",
    "l2": "regularizers",
    "max_norm": "constraints",
    "min_max_norm": "constraints",
    "non_neg": "constraints",
    "penalty": "layer",
    "unit_norm": "constraints",
}
_NO_LAMBDA = (
    "layers has no Lambda: a function could only be saved as code, and a model that is loaded must "
    "not run code. Write a layer and register it:\n"
    "    class Doubled(lai.layers.Layer):\n"
    "        def forward(self, x):\n"
    "            return 2 * self.ready(x)\n"
    "    lai.register('layers', 'Doubled', Doubled)"
)
__all__ = sorted([*_names, *_PLACES])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "constraints":
        return importlib.import_module(f"{__name__}.constraints")
    if name == "Lambda":
        raise UnknownNameError(_NO_LAMBDA)
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    return _plug_in(name)


def __dir__() -> list[str]:
    return __all__
