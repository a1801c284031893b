"""Check: looks for one kind of defect in a data set.

Read this first. One file in this folder holds one family of checks. A check is told what it looks
at (:class:`Subject`) and gives findings: which rows, how grave, the evidence in a sentence with
figures, and the fix that would remove it. It also plants its own defect (:meth:`Check.planted`),
so that the tests can see it found, fixed and gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_ai import registry
from lepton_ai.data.column import Column
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.data.splitting import row_digests
from lepton_ai.quality.policy import Policy
from lepton_ai.quality.target import kind_of

_NO_ROWS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Finding:
    """One defect that a check found.

    Attributes:
        check: Name of the check.
        severity: ``"blocks"``, ``"warns"`` or ``"notes"``.
        message: The evidence, a sentence with figures.
        column: The column it is about, ``None`` for the whole data set.
        rows: Numbers of the examples that have the defect.
        fix: Name of the fix that would remove it, ``None`` where only a person can.
    """

    check: str
    severity: str
    message: str
    column: str | None = None
    rows: np.ndarray = field(default_factory=lambda: _NO_ROWS)
    fix: str | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "check": self.check, "severity": self.severity, "message": self.message,
            "column": self.column, "rows": self.rows.tolist(), "fix": self.fix,
        }  # fmt: skip


@dataclass
class Subject:
    """What the checks look at; what several of them need is worked out once.

    Attributes:
        data: The data set.
        target: The column to be predicted, where it is known.
        against: Another data set that must share no example with it (the test data).
        policy: Thresholds and severities.
    """

    data: Dataset
    target: str | None
    against: Dataset | None
    policy: Policy
    kept: dict[Any, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """All columns but the target."""
        return [name for name in self.data.columns if name != self.target]

    def columns(self, *kinds: str) -> Iterator[tuple[str, Field, Column]]:
        """The columns whose field has one of these registered names (``"image"``, ``"text"``)."""
        for name, column in self.data.columns.items():
            if kind_of(self.data.fields[name]) in kinds:
                yield name, self.data.fields[name], column

    @property
    def rich(self) -> bool:
        """Whether equal inputs are surely repeats: pictures and texts; rows of tables may agree."""
        kinds = {kind_of(self.data.fields[n]) for n in self.inputs}
        return bool(kinds - {"number", "label"})

    @cached_property
    def input_digests(self) -> np.ndarray:
        """A number for each example's inputs; equal inputs have equal numbers."""
        return row_digests(self.data, self.inputs or None)

    @cached_property
    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """For each example the number of its group of equal inputs, and the size of that group."""
        _, group, counts = np.unique(self.input_digests, return_inverse=True, return_counts=True)
        return group, counts[group]

    @cached_property
    def classes(self) -> tuple[list[str], np.ndarray] | None:
        """Names of the target's classes and each example's class number (-1 where missing)."""
        if self.target is None:
            return None
        field_ = self.data.fields[self.target]
        if kind_of(field_) != "label":
            return None
        values = field_.read(self.data[self.target])
        coded = pc.dictionary_encode(values)
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        numbers = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
        return coded.dictionary.to_pylist(), numbers.astype(np.int64)


class Check(ABC):
    """Looks for one kind of defect."""

    severity: ClassVar[str] = "warns"
    fix: ClassVar[str | None] = None
    needs_rows: ClassVar[bool] = True
    """Whether it has nothing to look at in an empty data set."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        return registry.name_of("checks", type(self))

    @abstractmethod
    def find(self, subject: Subject) -> Iterator[Finding]:
        """All findings of this kind."""

    @classmethod
    @abstractmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        """A small data set in which this defect was planted, and where."""

    def finding(
        self, subject: Subject, message: str, *, column: str | None = None, rows: Any = _NO_ROWS,
        severity: str | None = None, fix: str | None = "usual",
    ) -> Finding:  # fmt: skip
        """A finding of this check; the policy has the last word on how grave it is."""
        return Finding(
            check=self.name,
            severity=subject.policy.severity(self.name, severity or self.severity),
            message=message,
            column=column,
            rows=np.asarray(rows, dtype=np.int64),
            fix=self.fix if fix == "usual" else fix,
        )


@dataclass
class Planted:
    """A data set with a defect in it.

    Attributes:
        data: The data set.
        rows: The rows that have the defect; empty when it is of a whole column.
        target: The target to name when it is checked.
        against: Test data, for checks that compare two sets.
    """

    data: Dataset
    rows: list[int]
    target: str | None = "label"
    against: Dataset | None = None


def shown(rows: np.ndarray, most: int = 5) -> str:
    """The first few row numbers for a sentence: ``"rows 3, 7, 9 ..."``.

    Example:
        >>> shown(np.array([3]))
        'row 3'
    """
    some = ", ".join(map(str, rows[:most].tolist()))
    return f"{'row' if len(rows) == 1 else 'rows'} {some}{' ...' if len(rows) > most else ''}"


def of_all(count: int, total: int) -> str:
    """``"3 of 200 (1.5 %)"``."""
    return f"{count:,} of {total:,} ({100 * count / max(total, 1):.1f} %)"
