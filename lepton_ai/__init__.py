"""Lepton AI: from data to a trained, explained, optimised, served and governed model.

The nouns, the verbs and the folders, in the order in which data flows. Every name is imported when
it is first used, so ``import lepton_ai`` is quick and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    # nouns
    "Workspace": "workspace",
    "Field": "data",
    "Dataset": "data",
    "Task": "tasks",
    "Model": "models",
    "Input": "layers",
    "Run": "training",
    "Service": "serving",
    # verbs, in flow order
    "check": "quality",
    "clean": "quality",
    "train": "automl",
    "evaluate": "training",
    "doctor": "training",
    "find_learning_rate": "training",
    "find_batch_size": "training",
    "explain": "explanation",
    "optimize": "optimization",
    "to_onnx": "optimization",
    "report": "automl",
    "serve": "serving",
    "connect": "serving",
    "load": "models",
    "LeptonClassifier": "models",
    "LeptonRegressor": "models",
    # the rest
    "register": "registry",
    "LeptonError": "errors",
}
_ROOMS = (
    "errors", "registry", "workspace", "data", "datasets", "layers", "losses", "metrics", "tasks",
    "heads", "optimizers", "callbacks", "training", "models", "quality", "optimization",
    "explanation", "automl", "serving",
)  # fmt: skip

__all__ = [*_NAMES, *_ROOMS, "__version__"]

if TYPE_CHECKING:
    from lepton_ai.automl import report as report
    from lepton_ai.automl import train as train
    from lepton_ai.data import Dataset as Dataset
    from lepton_ai.data import Field as Field
    from lepton_ai.errors import LeptonError as LeptonError
    from lepton_ai.explanation import explain as explain
    from lepton_ai.layers import Input as Input
    from lepton_ai.models import LeptonClassifier as LeptonClassifier
    from lepton_ai.models import LeptonRegressor as LeptonRegressor
    from lepton_ai.models import Model as Model
    from lepton_ai.models import load as load
    from lepton_ai.optimization import optimize as optimize
    from lepton_ai.optimization import to_onnx as to_onnx
    from lepton_ai.quality import check as check
    from lepton_ai.quality import clean as clean
    from lepton_ai.registry import register as register
    from lepton_ai.serving import Service as Service
    from lepton_ai.serving import connect as connect
    from lepton_ai.serving import serve as serve
    from lepton_ai.tasks import Task as Task
    from lepton_ai.training import Run as Run
    from lepton_ai.training import doctor as doctor
    from lepton_ai.training import evaluate as evaluate
    from lepton_ai.training import find_batch_size as find_batch_size
    from lepton_ai.training import find_learning_rate as find_learning_rate
    from lepton_ai.workspace import Workspace as Workspace


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"lepton_ai.{_NAMES[name]}"), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"lepton_ai.{name}")
    else:
        from lepton_ai.registry import near_miss

        raise AttributeError(f"lepton_ai has no attribute {name!r}.{near_miss(name, __all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
