"""NamedDataset: what a data set with a name says of itself, and how it is found.

Read this first: one file of this folder holds one data set.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lepton_ai import registry
from lepton_ai.errors import ConfigError, SourceError, UnknownNameError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset
    from lepton_ai.workspace import Workspace


@dataclass(frozen=True)
class RemoteFile:
    """A file with its checksum, and where it can be had.

    Attributes:
        name: Its name inside the folder of the data set.
        sha256: Of its bytes; empty when it is not one fixed file.
        size: In bytes.
        url: Its official place; empty when it must be put there by hand.
    """

    name: str
    sha256: str = ""
    size: int = 0
    url: str = ""


class NamedDataset(ABC):
    """A data set with a name: its papers, its files, and :meth:`read`."""

    title: ClassVar[str]
    kind: ClassVar[str]
    """What an example is: ``"images"``, ``"texts"``, ``"words with tags"``, ``"rows"`` ..."""
    licence: ClassVar[str]
    source: ClassVar[str]
    """The page it is from."""
    citation: ClassVar[str]
    size: ClassVar[str]
    """How many examples, in words."""
    folder: ClassVar[str]
    """Its folder in ``LEPTON_DATA_HOME``."""
    files: ClassVar[Sequence[RemoteFile]] = ()
    splits: ClassVar[Sequence[str]] = ("train", "test")

    def __init__(self) -> None:
        self.workspace: Workspace | None = None

    @abstractmethod
    def read(self, split: str) -> Dataset:
        """Read one split; files come from :meth:`find` and :meth:`obtain`."""

    def load(self, split: str, *, workspace: Any = None, **options: Any) -> Dataset:
        """Read one split by a checked name, with where it came from in ``lineage``."""
        from lepton_ai.workspace import as_workspace

        if split not in self.splits:
            raise UnknownNameError(
                f"Expected a split of {self.title}, one of {', '.join(self.splits)}; received "
                f"{split!r}.{registry.near_miss(split, self.splits)}"
            )
        taken = [p for p in inspect.signature(self.read).parameters if p != "split"]
        for option in options:
            if option not in taken:
                raise ConfigError(
                    f"{self.title} takes the options {', '.join(taken) or '(none)'}; received "
                    f"{option!r}.{registry.near_miss(option, taken)}"
                )
        self.workspace = as_workspace(workspace)
        data = self.read(split, **options)
        name = registry.name_of("datasets", type(self))
        about = {"source": self.source, "split": split, "licence": self.licence, **options}
        return data.derive(name=f"{name}/{split}", lineage={"dataset": name, **about})

    # -- finding ---------------------------------------------------------------------------

    def places(self) -> list[Path]:
        """Folders that may hold the files: in ``LEPTON_DATA_HOME``, then in the workspace."""
        from lepton_ai.workspace import as_workspace

        home = os.environ.get("LEPTON_DATA_HOME")
        places = [Path(home).expanduser() / self.folder] if home else []
        return [*places, as_workspace(self.workspace).path / "cache" / "datasets" / self.folder]

    def find(self, *names: str) -> Path | None:
        """The first of these files or folders that some place holds, ``None`` when none does."""
        for place in self.places():
            for name in names:
                if (place / name).exists():
                    return place / name
        return None

    def obtain(self, file: RemoteFile) -> Path:
        """A file from a place that holds it (``.gz`` or without), else from the internet.

        Raises:
            SourceError: It is nowhere and cannot be downloaded; the message says what to put where.
        """
        found = self.find(file.name, file.name.removesuffix(".gz"), f"{file.name}.gz")
        if found is not None:
            return found
        if not file.url:
            raise SourceError(self.advice())
        from lepton_ai.datasets.downloading import download
        from lepton_ai.workspace import as_workspace

        folder = as_workspace(self.workspace).folder("cache", "datasets", self.folder)
        try:
            return download(file.url, folder / file.name, sha256=file.sha256, size=file.size)
        except SourceError as error:
            raise SourceError(self.advice(str(error))) from error

    def available(self) -> bool:
        """Whether it can be read without the internet."""
        wanted = [(f.name, f.name.removesuffix(".gz"), f"{f.name}.gz") for f in self.files]
        return all(self.find(*names) is not None for names in wanted)

    def advice(self, reason: str = "") -> str:
        """One sentence that says what to put where."""
        home = os.environ.get("LEPTON_DATA_HOME")
        place = str(Path(home) / self.folder) if home else f"$LEPTON_DATA_HOME/{self.folder}"
        missing = " and ".join(file.name for file in self.files)
        why = f" ({reason.rstrip('.')})" if reason else ""
        first = "" if home else ", with LEPTON_DATA_HOME set to a folder of yours"
        return (
            f"{self.title} is not on this machine{why}: put {missing} from {self.source} into "
            f"{place}{first}."
        )

    def summary(self) -> dict[str, Any]:
        """What a list of data sets shows of it, as JSON values."""
        return {
            "title": self.title, "kind": self.kind, "size": self.size, "licence": self.licence,
            "source": self.source, "citation": self.citation, "splits": list(self.splits),
            "available": self.available(),
        }  # fmt: skip


def read_text(path: Path, *, limit: int = 1 << 30) -> str:
    """The text of a file in UTF-8, unpacked when it is a ``.gz``.

    Raises:
        SourceError: It cannot be read, or is larger than the limit.
    """
    return read_raw(path, limit=limit).decode("utf8", errors="replace")


def read_raw(path: Path, *, limit: int = 1 << 31) -> bytes:
    """The bytes of a file, unpacked when it is a ``.gz``.

    Raises:
        SourceError: It cannot be read, or is larger than the limit.
    """
    from lepton_ai.data.sources.unpacking import read_whole

    return read_whole(path, limit=limit)
