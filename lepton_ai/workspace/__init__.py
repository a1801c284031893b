"""Workspace: the one folder that holds everything that lasts."""

from lepton_ai.workspace.folder import Workspace, as_workspace

__all__ = ["Workspace", "as_workspace"]
