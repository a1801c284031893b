"""Downloads from official places: streamed, checked, bounded, and resumed where they broke off."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lepton_ai.errors import IntegrityError, LimitError, SourceError

CHUNK = 1 << 20
LARGEST = 8 << 30


def download(url: str, path: Path, *, sha256: str, size: int = 0, timeout: float = 30) -> Path:
    """Fetch a file over https; it appears under its name only when its checksum is right.

    What is already there of an earlier attempt (``<name>.part``) is kept, and the rest asked for.

    Args:
        url: Beginning with ``https://``.
        path: The file to make.
        sha256: What its bytes must hash to.
        size: How many bytes it has, where that is known: more are not accepted.
        timeout: Seconds without an answer after which to give up.

    Raises:
        SourceError: It cannot be reached.
        LimitError: It is larger than it should be.
        IntegrityError: Its bytes are not those that were published.
    """
    if not url.startswith("https://"):
        raise SourceError(f"Expected an address that begins with https://; received {url}.")
    part = path.with_name(f"{path.name}.part")
    _fetch(url, part, size or LARGEST, timeout, path.name)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        part.unlink()
        raise IntegrityError(
            f"Expected the file at {url} to have the sha256 {sha256}; received {found}. It was "
            "removed; try again, or put the right file in its place by hand."
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    return path


def _fetch(url: str, part: Path, largest: int, timeout: float, name: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= largest:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "lepton-ai"})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            if not str(answer.url).startswith("https://"):
                raise SourceError(f"Expected https all the way; {url} leads to {answer.url}.")
            resumed = have > 0 and answer.status == 206
            done = have if resumed else 0
            expected = int(answer.headers.get("Content-Length") or 0) + done
            if expected > largest:
                raise LimitError(f"Expected at most {largest:,} bytes; {url} has {expected:,}.")
            with part.open("ab" if resumed else "wb") as file, _bar(name, expected, done) as step:
                while chunk := answer.read(CHUNK):
                    done += len(chunk)
                    if done > largest:
                        raise LimitError(f"Expected at most {largest:,} bytes; {url} sends more.")
                    file.write(chunk)
                    step(len(chunk))
        if expected > done:
            raise SourceError(f"{url} broke off after {done:,} of {expected:,} bytes; try again.")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is already whole
            return
        raise SourceError(f"{url} answers {error.code} {error.reason}.") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"{url} cannot be reached: {reason}.") from error


@contextmanager
def _bar(name: str, total: int, done: int) -> Generator[Any]:
    """A progress bar where someone is looking at a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total or None, completed=done)
        yield lambda count: progress.advance(task, count)
