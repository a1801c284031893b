"""Fix: takes away what a check found. Read this first; one file in this folder holds one family.

A fix never changes data itself. It says what would change (:class:`Change`), in the numbering of
the data as it was, so that the fixes of a report are gathered first and then carried out at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.checks.check import Finding


@dataclass
class Change:
    """What a fix would change.

    Attributes:
        rows: Examples that go.
        columns: Columns that go.
        cleared: Column to rows whose value becomes missing.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    columns: Sequence[str] = ()
    cleared: dict[str, np.ndarray] = field(default_factory=dict)


class Fix(ABC):
    """Takes away what a check found."""

    asks: ClassVar[bool] = False
    """Whether it changes what is asked of the model (a class goes), so that it is done only when it
    is named: ``lai.clean(data, report, fixes=["drop_classes"])``."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        return registry.name_of("fixes", type(self))

    @abstractmethod
    def change(self, data: Dataset, finding: Finding) -> Change:
        """What would change to take away one finding."""

    def describe(self, change: Change) -> str:
        """What was changed, in a few words."""
        parts: list[str] = []
        if len(change.rows):
            parts.append(f"removed {counted(len(change.rows), 'example')}")
        if change.columns:
            parts.append(f"removed the column {', '.join(map(repr, change.columns))}")
        for name, rows in change.cleared.items():
            parts.append(f"made {counted(len(rows), 'value')} of {name!r} missing")
        return ", ".join(parts) or "changed nothing"

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def counted(count: int, noun: str) -> str:
    """``"1 example"``, ``"1,200 examples"``.

    Example:
        >>> counted(2, "example")
        '2 examples'
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
