"""Engines, one a file: what answers in the place of the network once a model is optimised."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("engines")
