"""Fields, one a file: what a value is."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("fields")
