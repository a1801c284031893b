"""Archives taken apart safely: plain files only, inside the folder only, within limits.

The extractor is our own because those of the standard library have let archives write outside
their folder more than once (CVE-2007-4559, CVE-2025-4517). It makes every folder and file itself,
in a new private folder that is put under its name only once everything is there.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import unicodedata
import uuid
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lepton_ai.data.sources.unpacking import FAULTS, RATIO, Bounded, open_bounded
from lepton_ai.errors import LimitError, SourceError

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
ENDINGS = (".zip", *TAR_ENDINGS)
BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError, *FAULTS,
)  # fmt: skip
"""What the standard library raises for archives that are broken."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        entries: How many members.
        total: Bytes of all members.
        single: Bytes of one member.
        ratio: How many times larger than the archive, beyond the first 64 MB.
    """

    entries: int = 500_000
    total: int = 20 << 30
    single: int = 4 << 30
    ratio: int = RATIO


def is_archive(path: Path) -> bool:
    """Whether a file is named like an archive that can be taken apart."""
    return path.name.lower().endswith(ENDINGS)


def extract(archive: Path, destination: Path, *, limits: Limits | None = None) -> Path:
    """Take an archive apart into a new folder; nothing is left behind when it is refused.

    Args:
        archive: A ``.zip`` or ``.tar`` file, the latter also packed.
        destination: The folder to make; it must not exist.
        limits: What it may hold.

    Raises:
        SourceError: It is broken, or holds links, devices, or names that lead outside.
        LimitError: It holds more than it may.
    """
    if destination.exists():
        raise SourceError(f"Expected a new folder to extract into; {destination} exists.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    private = destination.parent / f".tmp-{uuid.uuid4().hex}"
    private.mkdir(mode=0o700)
    try:
        for names, stream in members(archive, limits=limits):
            _write(private, names, stream, archive.name)
        private.rename(destination)
    except FAULTS as error:
        if isinstance(error, SourceError | LimitError):
            raise
        raise SourceError(f"{archive.name} cannot be extracted: {error}.") from error
    finally:
        shutil.rmtree(private, ignore_errors=True)
    return destination


def members(
    archive: Path, *, limits: Limits | None = None
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The plain files of an archive, one after the other: the parts of the name, and its bytes.

    Each stream must be read before the next one is asked for.

    Raises:
        SourceError: It is broken, or holds links, devices, or names that lead outside.
        LimitError: It holds more than it may.
    """
    limits = limits or Limits()
    watch = _Watch(archive, limits)
    reader = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    try:
        yield from reader(archive, watch, limits)
    except BROKEN as error:
        if isinstance(error, SourceError | LimitError):
            raise
        raise SourceError(f"Expected a whole archive; {archive} is broken: {error}.") from error


class _Watch:
    """Checks the names and the sizes of members as they come."""

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.name, self.limits = archive.name, limits
        self.count = 0
        self.total = 0
        self.allowed = min(limits.total, max(64 << 20, limits.ratio * archive.stat().st_size))
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def admit(self, name: str, size: int, *, folder: bool = False) -> tuple[str, ...]:
        """The parts of a name that may be written, after a look at the size."""
        self.count += 1
        if self.count > self.limits.entries:
            raise LimitError(
                f"Expected at most {self.limits.entries:,} members; {self.name} has more."
            )
        parts = self._parts(name)
        if size > self.limits.single:
            raise LimitError(
                f"Expected members of at most {self.limits.single:,} bytes; {name!r} in "
                f"{self.name} says {size:,}."
            )
        keys = ["/".join(_folded(p) for p in parts[: i + 1]) for i in range(len(parts))]
        inner = keys if folder else keys[:-1]
        if not folder and keys and (keys[-1] in self.files or keys[-1] in self.folders):
            raise SourceError(f"{self.name} holds {name!r} twice (or a folder of that name).")
        if self.files.intersection(inner):
            raise SourceError(f"{self.name} uses {name!r} as a file and as a folder.")
        self.folders.update(inner)
        if not folder and keys:
            self.files.add(keys[-1])
        return parts

    def counted(self, stream: IO[bytes], name: str) -> Any:
        """A stream that may give only what the archive may still hold."""
        single = min(self.limits.single, self.allowed - self.total)
        return _Counted(stream, single, f"{name} of {self.name}", self)

    def _parts(self, name: str) -> tuple[str, ...]:
        slashes = name.replace("\\", "/")
        parts = [part for part in slashes.split("/") if part not in ("", ".")]
        bad = (
            slashes.startswith("/") or ".." in parts or "\x00" in name
            or (parts and len(parts[0]) > 1 and parts[0][1] == ":")
            or len(name.encode("utf8", "surrogateescape")) > 4096 or len(parts) > 64
            or any(len(part.encode("utf8", "surrogateescape")) > 255 for part in parts)
        )  # fmt: skip
        if bad:
            raise SourceError(
                f"{self.name} holds a name that leads outside or cannot be: {name[:80]!r}. Nothing "
                "was extracted."
            )
        return tuple(parts)


class _Counted(Bounded):
    def __init__(self, stream: IO[bytes], limit: int, name: str, watch: _Watch) -> None:
        super().__init__(stream, limit, name)
        self._watch = watch

    def readinto(self, buffer: Any) -> int:
        try:
            count = super().readinto(buffer)
        except BROKEN as error:  # raised where the stream is read, outside of members()
            if isinstance(error, SourceError | LimitError):
                raise
            raise SourceError(f"{self._name} is broken: {error}.") from error
        self._watch.total += count
        return count


def _folded(part: str) -> str:
    """The name as file systems that ignore case see it."""
    return unicodedata.normalize("NFC", part).casefold()


def _refuse(archive: str, name: str, kind: str) -> SourceError:
    return SourceError(
        f"Expected plain files and folders in {archive}; {name[:80]!r} is {kind}. Nothing was "
        "extracted."
    )


def _zip_members(
    archive: Path, watch: _Watch, limits: Limits
) -> Iterator[tuple[tuple[str, ...], Any]]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refuse(watch.name, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise _refuse(watch.name, info.filename, "encrypted")
            parts = watch.admit(info.filename, info.file_size, folder=info.is_dir())
            if info.is_dir() or not parts:
                continue
            with opened.open(info) as stream:
                yield parts, watch.counted(stream, info.filename)


def _tar_members(
    archive: Path, watch: _Watch, limits: Limits
) -> Iterator[tuple[tuple[str, ...], Any]]:
    with _tar(archive, limits) as opened:
        for info in opened:
            if info.isdir():
                watch.admit(info.name, 0, folder=True)
                continue
            if not info.isreg() or info.issparse():
                raise _refuse(watch.name, info.name, "a link, a device or a sparse file")
            if info.mode & (stat.S_ISUID | stat.S_ISGID):
                raise _refuse(watch.name, info.name, "a set-user or set-group file")
            parts = watch.admit(info.name, info.size)
            stream = opened.extractfile(info)
            if not parts or stream is None:
                continue
            yield parts, watch.counted(stream, info.name)
            vars(opened)["members"].clear()  # tarfile keeps them all otherwise


@contextmanager
def _tar(archive: Path, limits: Limits) -> Generator[tarfile.TarFile]:
    with (
        open_bounded(archive, limit=limits.total + (1 << 30)) as stream,
        tarfile.open(fileobj=stream, mode="r|") as opened,
    ):
        yield opened


def _write(folder: Path, parts: tuple[str, ...], stream: IO[bytes], archive: str) -> None:
    inner = folder.joinpath(*parts[:-1])
    inner.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(inner / parts[-1], flags, 0o644)
    with os.fdopen(handle, "wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
