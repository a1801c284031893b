"""Fixes for what the quality gate finds, one family a file; the contract is in ``fix.py``."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("fixes")
