"""Source: one kind of place or object that examples are read from.

Read this first: one file of this folder holds one source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from lepton_ai.data.dataset import Dataset


class Source(ABC):
    """Reads examples from one kind of place; has no state."""

    title: ClassVar[str]
    """What it reads, for lists and messages."""
    endings: ClassVar[tuple[str, ...]] = ()
    """How the names of its files end, in lower case."""

    @classmethod
    def recognises(cls, source: Any) -> float:
        """How sure it is, from 0 to 1, that it can read this. 0 means never.

        It looks at names, types and first bytes, and imports nothing.
        """
        if isinstance(source, Path) and source.is_file():
            return 0.9 if source.name.lower().endswith(cls.endings) else 0.0
        return 0.0

    @abstractmethod
    def read(self, source: Any, *, target: str | None = None) -> Dataset:
        """Read all examples; further keyword arguments are the options of the source.

        Raises:
            SourceError: It cannot be read.
            EmptyDataError: It holds no example.
        """
