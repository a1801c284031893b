"""Models: a network bound to a task, and Sequential."""

from lepton_ai.models.artifact import load
from lepton_ai.models.model import Model
from lepton_ai.models.sequential import Sequential

__all__ = ["Model", "Sequential", "load"]
