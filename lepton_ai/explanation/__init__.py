"""Explanation: which parts of an input speak for an answer, and how far that can be trusted."""

from lepton_ai.explanation.explain import explain
from lepton_ai.explanation.explainer import Explainer
from lepton_ai.explanation.explanation import Attribution, Explanation

__all__ = ["Attribution", "Explainer", "Explanation", "explain"]
