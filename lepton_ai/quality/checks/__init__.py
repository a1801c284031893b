"""Checks of the quality gate, one family a file; the contract is in ``check.py``."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("checks")
