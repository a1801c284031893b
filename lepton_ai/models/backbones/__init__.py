"""Backbones, one family a file. Start with :mod:`lepton_ai.models.backbones.backbone`."""

from lepton_ai.registry import face

__getattr__, __dir__, __all__ = face("backbones")
