"""Packed files (gz, bz2, xz, zst), read within limits on how much they may unpack to."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any

from lepton_ai.errors import LimitError, SourceError

LARGEST = 20 << 30
"""Bytes that a packed file may unpack to."""
RATIO = 250
"""How many times larger than the packed file it may become, beyond the first 64 MB."""
_FREE = 64 << 20
ENDINGS = (".gz", ".bz2", ".xz", ".zst")
FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What the standard library raises for packed files that are broken."""


class Bounded(io.RawIOBase):
    """A stream that is refused once it has given more than it may.

    Args:
        stream: What is read.
        limit: Bytes that it may give.
        name: What to call it in the message.
    """

    def __init__(self, stream: Any, limit: int, name: str) -> None:
        self._stream, self._limit, self._name = stream, limit, name
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(min(len(buffer), 1 << 20))
        self.given += len(chunk)
        if self.given > self._limit:
            raise LimitError(
                f"Expected at most {self._limit:,} bytes in {self._name}; it unpacks to more. "
                "Unpack it yourself if you trust it, and pass the folder."
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def open_bounded(path: Path, *, limit: int = LARGEST) -> io.BufferedReader:
    """The bytes of a file, unpacked where its ending says that it is packed.

    Raises:
        SourceError: It cannot be opened.
    """
    try:
        size = path.stat().st_size
        ending = path.suffix.lower()
        stream: Any
        if ending in (".gz", ".tgz"):
            stream = gzip.open(path)  # noqa: SIM115
        elif ending in (".bz2", ".tbz2"):
            stream = bz2.open(path)  # noqa: SIM115
        elif ending in (".xz", ".txz"):
            stream = lzma.open(path)  # noqa: SIM115
        elif ending == ".zst":
            import pyarrow as pa

            stream = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        else:
            return io.BufferedReader(Bounded(path.open("rb"), limit, path.name))
    except OSError as error:
        raise SourceError(f"Expected a file that can be read; {path}: {error}.") from error
    allowed = min(limit, max(_FREE, RATIO * size))
    return io.BufferedReader(Bounded(stream, allowed, path.name), 1 << 20)


def read_whole(path: Path, *, limit: int = LARGEST) -> bytes:
    """All bytes of a file, unpacked where it is packed.

    Raises:
        SourceError: It is missing, truncated or broken.
        LimitError: It unpacks to more than the limit.
    """
    if not path.exists():
        raise SourceError(f"Expected a file; {path} does not exist.")
    try:
        with open_bounded(path, limit=limit) as stream:
            return stream.read()
    except FAULTS as error:
        if isinstance(error, SourceError | LimitError):
            raise
        raise SourceError(f"Expected a whole file; {path} is broken: {error}.") from error
