"""Finding and checkup: what the doctor says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any

_WIDTH = 96
_ORDER = {"blocks": 0, "warns": 1}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a model, its data or its training.

    Attributes:
        name: What it is (``"dead_units"``).
        where: The layer, column or figure that it concerns.
        seen: What was seen, in numbers.
        why: Why that matters.
        cure: What to type.
        severity: ``"blocks"`` (no good model comes out of this) or ``"warns"``.
    """

    name: str
    where: str
    seen: str
    why: str
    cure: str
    severity: str = "warns"


@dataclass
class Checkup:
    """What the doctor found; prints as a table.

    Attributes:
        model: What was looked at.
        examples: How many examples were run through it.
        findings: The gravest first.
        looked: Names of what was looked for.
    """

    model: str
    examples: int
    findings: list[Finding] = field(default_factory=list)
    looked: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.healthy

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.findings)

    def summary(self) -> str:
        """One line: how it stands."""
        count = len(self.findings)
        verdict = "healthy" if self.healthy else f"{count} finding{'s' * (count > 1)}"
        return (
            f"{self.model}: {verdict} ({len(self.looked)} things looked for, {self.examples:,} "
            "examples run)"
        )

    def __repr__(self) -> str:
        lines = [self.summary()]
        wide = max((len(f.name) for f in self.findings), default=0)
        for finding in self.findings:
            lines.append(f"  {finding.severity:<6}  {finding.name:<{wide}}  {finding.where}")
            for title, text in (
                ("seen", finding.seen),
                ("why", finding.why),
                ("type", finding.cure),
            ):
                indent = " " * 10
                lines += textwrap.wrap(
                    text, _WIDTH, initial_indent=f"{indent}{title + ':':<6}",
                    subsequent_indent=indent + " " * 6, break_long_words=False,
                )  # fmt: skip
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The checkup as JSON values."""
        return {
            "model": self.model, "healthy": self.healthy, "examples": self.examples,
            "looked": list(self.looked), "findings": [asdict(f) for f in self.findings],
        }  # fmt: skip

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(
                f"<td style='text-align:left'>{escape(text)}</td>"
                for text in (f.severity, f.name, f.where, f.seen, f.why, f.cure)
            ) + "</tr>"
            for f in self.findings
        )  # fmt: skip
        titles = ("severity", "finding", "where", "seen", "why", "type")
        head = "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
        table = f"<table>{head}{rows}</table>" if rows else ""
        return f"<p><b>{escape(self.summary())}</b></p>{table}"


def sorted_findings(findings: list[Finding]) -> list[Finding]:
    """The gravest first, else in the order in which they were found."""
    return sorted(findings, key=lambda finding: _ORDER[finding.severity])
