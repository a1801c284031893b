"""Models: a network bound to a task; networks of layers, modules and classes of your own."""

import importlib
from typing import Any

from lepton_ai.models.artifact import load
from lepton_ai.models.functional import Functional
from lepton_ai.models.model import Model
from lepton_ai.models.sequential import Sequential
from lepton_ai.models.wrapping import wrap
from lepton_ai.registry import near_miss

_LATER = {
    "LeptonClassifier": "estimators",
    "LeptonRegressor": "estimators",
    "TensorFlowModel": "interop",
    "load_keras": "interop",
    "load_tensorflow": "interop",
    "to_keras": "interop",
    "to_torch": "interop",
}

__all__ = ["Functional", "Model", "Sequential", "load", "wrap", *_LATER]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(
            f"lepton_ai.models has no attribute {name!r}.{near_miss(name, __all__)}"
        )
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
