"""Sources, one a file: where data sets are read from."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("sources")
