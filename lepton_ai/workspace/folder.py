"""The workspace folder: store, runs, models and caches."""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from lepton_ai.errors import ConfigError, WorkspaceError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Workspace:
    """One folder that holds everything that lasts.

    Args:
        path: The folder; ``None`` takes ``LEPTON_HOME``, else ``.lepton`` in the current folder.
            It is made when something is first written.

    Example:
        >>> import tempfile
        >>> Workspace(tempfile.mkdtemp()).folder("runs").name
        'runs'
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path or os.environ.get("LEPTON_HOME") or ".lepton").expanduser().absolute()

    def folder(self, *names: str) -> Path:
        """A folder inside the workspace, made when it is missing.

        Raises:
            WorkspaceError: It cannot be made.
        """
        folder = self.path.joinpath(*names)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(
                f"Expected a workspace that can be written to; {self.path} cannot: "
                f"{error.strerror}. Choose another with workspace=... or LEPTON_HOME."
            ) from error
        return folder

    def new_id(self) -> str:
        """A new name that sorts by time: ``20261123-181045-3fa2``."""
        return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"


def as_workspace(workspace: Workspace | str | os.PathLike[str] | None) -> Workspace:
    """A workspace from one, from a path, or the default."""
    return workspace if isinstance(workspace, Workspace) else Workspace(workspace)


def checked_name(name: str) -> str:
    """A name that is safe as a file name.

    Raises:
        ConfigError: It holds other characters than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            "Expected a name of letters, digits, '.', '_' and '-', at most 128, beginning with a "
            f"letter or digit; received {name!r}."
        )
    return name
