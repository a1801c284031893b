"""A lock on a folder, held by one process at a time and let go when that process ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lepton_ai.errors import WorkspaceError

NAME = ".lock"


@contextmanager
def held(folder: Path, what: str) -> Generator[None]:
    """Hold a folder while a block runs.

    The lock is the operating system's: it ends with the process that holds it, however that ends,
    so a killed process leaves nothing to clear away.

    Args:
        folder: What is held.
        what: What it is called in messages (``"run 20261123-181045-3fa2"``).

    Raises:
        WorkspaceError: Another process holds it; the message says which.
    """
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkspaceError(
                f"Expected {what} to be free; it is held by {_holder(handle)}. Wait for it to "
                "end, or stop it."
            ) from error
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        record = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(record).encode(), 0)
        yield
    finally:
        os.close(handle)


def _holder(handle: int) -> str:
    try:
        record = json.loads(os.pread(handle, 1000, 0))
        return f"process {record['process']} on {record['host']}, since {record['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
