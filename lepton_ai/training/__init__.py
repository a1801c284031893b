"""Training: the one loop, its record and evaluation."""

from lepton_ai.training.doctor import doctor
from lepton_ai.training.evaluation import Predictor, evaluate
from lepton_ai.training.finders import find_batch_size, find_learning_rate
from lepton_ai.training.run import Run, list_runs
from lepton_ai.training.settings import Settings
from lepton_ai.training.trainer import Trainer

__all__ = [
    "Predictor", "Run", "Settings", "Trainer", "doctor", "evaluate", "find_batch_size",
    "find_learning_rate", "list_runs",
]  # fmt: skip
