"""Explainers, one a file. Start with :mod:`lepton_ai.explanation.explainer`."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("explainers")
