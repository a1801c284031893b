"""Training: the one loop, its record and evaluation."""

from lepton_ai.training.evaluation import Predictor, evaluate
from lepton_ai.training.run import Run, list_runs
from lepton_ai.training.trainer import Settings, Trainer

__all__ = ["Predictor", "Run", "Settings", "Trainer", "evaluate", "list_runs"]
