"""Heads: answers to tasks, one a file. Start with :mod:`lepton_ai.heads.head`."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("heads")
