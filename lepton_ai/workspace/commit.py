"""Commits: folders that appear whole, hashed while they are written, and verified before use.

The order is: temporary folder, files (hashed on the way, each waited for), manifest last, folder
waited for, rename to a name that is new, parent waited for. A name is never written twice, and a
folder counts only when its manifest verifies: whatever a crash leaves behind is not taken for data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lepton_ai.errors import IntegrityError
from lepton_ai.workspace.files import sync_folder, to_json

MANIFEST = "MANIFEST.json"
TEMPORARY, TRASH = ".tmp-", ".old-"
PIECE, PART, FLUSH = 8 * 2**20, 32 * 2**20, 64 * 2**20
"""Bytes written at once, hashed together, and after which the disk is told to write."""
LARGEST_MANIFEST = 16 * 2**20


class Commit:
    """The files of a folder that is being written; :func:`commit` makes one.

    Args:
        folder: The temporary folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, Any]] = {}

    def write(self, name: str, pieces: Iterable[Any]) -> None:
        """Write a file from pieces of bytes; it is hashed at the same time, and it lasts.

        Hashes are of parts, so that all cores can take them, and what is written goes to the disk
        while the rest is still being written.
        """
        size, waiting = 0, []
        hashing = _Parts()
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with ThreadPoolExecutor(1, "lepton-flush") as flushing:
            try:
                for piece in pieces:
                    view = memoryview(piece).cast("B")
                    for start in range(0, len(view), PIECE):
                        part = view[start : start + PIECE]
                        hashing.add(part)
                        _write_all(handle, part)
                        if (size + start) // FLUSH != (size + start + len(part)) // FLUSH:
                            waiting.append(flushing.submit(os.fdatasync, handle))
                    size += len(view)
                for flushed in waiting:
                    flushed.result()
                os.fsync(handle)
            finally:
                wait(waiting)
                digests = hashing.digests()
                os.close(handle)
        self.files[name] = {"bytes": size, "sha256": digests}

    def text(self, name: str, text: str) -> None:
        """Write a small file of text."""
        self.write(name, [text.encode()])


class _Parts:
    """SHA-256 of each :data:`PART` bytes of what is added, taken by all cores at once."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(os.cpu_count() or 1, "lepton-hash")
        self.waiting: list[Future[str]] = []
        self.views: list[memoryview] = []
        self.room = PART

    def add(self, view: memoryview) -> None:
        """Bytes that follow; they must stay as they are until :meth:`digests`."""
        while len(view):
            taken = view[: self.room]
            self.views.append(taken)
            self.room -= len(taken)
            view = view[len(taken) :]
            if not self.room:
                self._submit()

    def _submit(self) -> None:
        self.waiting.append(self.pool.submit(_digest_of, self.views))
        self.views, self.room = [], PART

    def digests(self) -> list[str]:
        """The digests of the parts, in order; the last may be of a smaller one."""
        if self.views or not self.waiting:
            self._submit()
        try:
            return [future.result() for future in self.waiting]
        finally:
            self.pool.shutdown()


def _digest_of(views: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for view in views:
        digest.update(view)
    return digest.hexdigest()


def part_digests(path: Path) -> list[str]:
    """What :class:`Commit` wrote down for a file, from the file itself."""
    starts = range(0, max(path.stat().st_size, 1), PART)
    with ThreadPoolExecutor(os.cpu_count() or 1, "lepton-hash") as pool:
        return list(pool.map(lambda start: _digest_of(_read(path, start)), starts))


def _read(path: Path, start: int) -> Iterator[bytes]:
    """The bytes of the part that begins at ``start``."""
    with path.open("rb") as file:
        file.seek(start)
        left = PART
        while left and (piece := file.read(min(left, PIECE))):
            left -= len(piece)
            yield piece


def _write_all(handle: int, part: memoryview) -> None:
    """``write`` may take less than it was given."""
    while part:
        part = part[os.write(handle, part) :]


@contextmanager
def commit(path: Path, about: dict[str, Any]) -> Generator[Commit]:
    """A new folder that stands under its name once everything in it is on the disk.

    Args:
        path: Its name, which nothing may have yet.
        about: What the manifest shall say besides the files.

    Raises:
        OSError: Something could not be written; nothing stands under the name then.
    """
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        writing = Commit(temporary)
        yield writing
        manifest = {**about, "name": path.name, "files": writing.files}
        manifest["digest"] = _digest(manifest)
        Commit(temporary).text(MANIFEST, to_json(manifest))
        sync_folder(temporary)
        if path.exists():
            raise FileExistsError(f"{path} exists already")
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify(path: Path) -> dict[str, Any]:
    """The manifest of a committed folder, after everything in the folder was checked.

    Raises:
        IntegrityError: A file is missing, added, shortened or changed, or the folder is another's.
    """
    manifest = _manifest(path)
    if manifest.get("name") != path.name:
        raise IntegrityError(
            f"Expected {path.name} in {path / MANIFEST}; received {manifest.get('name')!r}. The "
            "folder was renamed or exchanged."
        )
    files = manifest["files"]
    present = {entry.name for entry in path.iterdir()} - {MANIFEST}
    if present != set(files):
        odd = sorted(present ^ set(files))[0]
        how = "is missing" if odd in files else "does not belong there"
        raise IntegrityError(f"{path / odd} {how}.")
    for name, entry in files.items():
        file = path / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size != entry["bytes"]:
            raise IntegrityError(
                f"Expected {file} to be a file of {entry['bytes']:,} bytes; it is not."
            )
        if part_digests(file) != entry["sha256"]:
            raise IntegrityError(f"{file} is not what was written: its SHA-256 differs.")
    return manifest


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        if file.is_symlink() or file.stat().st_size > LARGEST_MANIFEST:
            raise IntegrityError(f"Expected {file} to be a small plain file.")
        manifest = json.loads(file.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, IntegrityError):
            raise
        raise IntegrityError(f"{file} cannot be read: {error}.") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("digest") != _digest(manifest):
        raise IntegrityError(f"{file} was changed after it was written: its digest does not fit.")
    return manifest


def remove(path: Path) -> None:
    """Take a committed folder away: first its name, then its files."""
    trash = path.parent / f"{TRASH}{uuid.uuid4().hex}"
    path.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what crashes left behind; only the holder of the folder's lock may."""
    for entry in parent.iterdir():
        if entry.name.startswith((TEMPORARY, TRASH)):
            shutil.rmtree(entry, ignore_errors=True)


def _digest(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(to_json(rest).encode()).hexdigest()
