"""Models from and to other frameworks: Keras, TensorFlow and plain PyTorch."""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "TensorFlowModel": "tensorflow_files",
    "load_keras": "keras_files",
    "load_tensorflow": "tensorflow_files",
    "to_keras": "keras_export",
    "to_torch": "torch_export",
}
__all__ = sorted(_PLACES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        from lepton_ai.registry import near_miss

        raise AttributeError(f"{__name__} has no attribute {name!r}.{near_miss(name, _PLACES)}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
