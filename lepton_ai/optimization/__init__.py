"""Optimisation: faster forms of a model, measured on this machine and kept within a bound."""

from lepton_ai.optimization.onnx_file import to_onnx
from lepton_ai.optimization.optimize import optimize
from lepton_ai.optimization.report import Candidate, Report
from lepton_ai.optimization.step import Step

__all__ = ["Candidate", "Report", "Step", "optimize", "to_onnx"]
