"""The only place that guards optional imports."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from lepton_ai.errors import MissingExtraError


def require(module: str, *, extra: str, why: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: Dotted name of the module, such as ``"onnxruntime"``.
        extra: The extra of ``lepton-ai`` that installs it.
        why: The option or call that needs it, as the user typed it.

    Raises:
        MissingExtraError: The module is not installed; the message holds the command to type.

    Example:
        >>> require("json", extra="none", why="this example").loads("[1]")
        [1]
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{why} needs the package {missing!r}, which is not installed. "
            f'Type: pip install "lepton-ai[{extra}]"'
        ) from error


def installed(module: str) -> bool:
    """Whether an optional module can be imported, without importing it.

    Example:
        >>> installed("json"), installed("no_such_module")
        (True, False)
    """
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
