"""Transforms, one family a file."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("transforms")
