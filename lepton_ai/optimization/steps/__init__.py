"""Steps, one a file: each makes one other form of a model."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("steps")
