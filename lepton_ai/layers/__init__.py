"""Layers with Keras's names and arguments; each is a plain ``torch.nn.Module``.

Shapes are written channels last, as in Keras (``input_shape=(32, 32, 3)``). The tensors inside are
channels first (``[batch, channels, height, width]``) when they have four or more dimensions; all
others are as written: sequences ``[batch, length, features]`` and vectors ``[batch, features]``.
Start with :mod:`lepton_ai.layers.layer`, the contract.
"""

from __future__ import annotations

import importlib
from typing import Any

from lepton_ai.registry import face

_plug_in, _listing, _names = face("layers")
_PLACES = {
    "Input": "symbol",
    "Layer": "layer",
    "Symbol": "symbol",
    "drawing_from": "randomness",
    "l1": "regularizers",
    "l1_l2": "regularizers",
    "l2": "regularizers",
    "penalty": "layer",
}
__all__ = sorted([*_names, *_PLACES])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    return _plug_in(name)


def __dir__() -> list[str]:
    return __all__
