"""The short ways: ``train`` from a source to a model, ``report`` from a model to a page."""

from lepton_ai.automl.narrator import Narrator
from lepton_ai.automl.report import report
from lepton_ai.automl.result import Result, measure
from lepton_ai.automl.train import Trained, train

__all__ = ["Narrator", "Result", "Trained", "measure", "report", "train"]
