"""Serving: models behind a door, and the client that predicts through it.

Start with :mod:`lepton_ai.serving.service`.
"""

from lepton_ai.serving.client import RemoteModel, connect
from lepton_ai.serving.limits import Limits
from lepton_ai.serving.service import Service, serve

__all__ = ["Limits", "RemoteModel", "Service", "connect", "serve"]
