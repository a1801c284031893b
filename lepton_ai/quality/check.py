"""``lai.check``: the quality gate reports what is wrong with data, and whether it passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from lepton_ai import registry
from lepton_ai.data.dataset import as_dataset
from lepton_ai.errors import GateError
from lepton_ai.quality.checks.check import Finding, Subject
from lepton_ai.quality.policy import Policy, as_policy
from lepton_ai.quality.target import find_target

_ORDER = {"blocks": 0, "warns": 1, "notes": 2}


@dataclass
class Report:
    """What the quality gate found.

    Attributes:
        name: Name of the data set.
        examples: How many examples it had.
        target: The column that was taken as the target.
        findings: The gravest first.
        checks: Names of the checks that were made.
        policy: What was let through.
    """

    name: str
    examples: int
    target: str | None
    findings: list[Finding] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    policy: Policy = field(default_factory=Policy)

    @property
    def passed(self) -> bool:
        """Whether nothing blocks."""
        return not self.of("blocks")

    def of(self, severity: str) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<{self.summary()}>"

    def summary(self) -> str:
        """One line: the verdict and how many findings of each severity there are."""
        counts = ", ".join(f"{len(self.of(s))} {s[:-1]}" for s in _ORDER)
        verdict = "passed" if self.passed else "failed"
        return (
            f"Quality gate {verdict}: {self.examples:,} examples of {self.name!r}, "
            f"{len(self.checks)} checks, findings: {counts}"
        )

    def to_text(self) -> str:
        """The report as plain text, a line for each finding and what to do about it."""
        lines = [self.summary()]
        for finding in self.findings:
            lines.append(f"  {finding.severity:<6} {finding.check}: {finding.message}")
            if finding.fix:
                lines.append(f"         fix: {finding.fix}")
        if any(finding.fix for finding in self.findings):
            lines.append(f"To fix them: {self.cure(self.findings)}")
        return "\n".join(lines)

    def cure(self, findings: list[Finding]) -> str:
        """What to type to have findings fixed; empty when no fix is known."""
        fixes = {finding.fix for finding in findings if finding.fix}
        if not fixes:
            return ""
        asked = sorted(fix for fix in fixes if registry.lookup("fixes", fix).asks)
        if len(asked) < len(fixes):
            return "cleaned = lai.clean(data, report)"
        return f"cleaned = lai.clean(data, report, fixes={asked})"

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "passed": self.passed,
            "name": self.name,
            "examples": self.examples,
            "target": self.target,
            "checks": list(self.checks),
            "findings": [finding.to_json() for finding in self.findings],
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(f.severity)}</td><td>{escape(f.check)}</td>"
            f"<td style='text-align:left'>{escape(f.message)}</td>"
            f"<td>{escape(f.fix or '')}</td></tr>"
            for f in self.findings
        )
        head = "<tr><th>severity</th><th>check</th><th>evidence</th><th>fix</th></tr>"
        table = f"<table>{head}{rows}</table>" if rows else ""
        return f"<p><b>{escape(self.summary())}</b></p>{table}"

    def require(self) -> Report:
        """Itself when it passed.

        Raises:
            GateError: Something blocks; the message says what, and what to type.
        """
        if self.passed:
            return self
        blocks = self.of("blocks")
        listed = "\n".join(f"  {f.check}: {f.message}" for f in blocks)
        cure = self.cure(blocks)
        raise GateError(
            f"Expected data that passes the quality gate; {self.name!r} does not, "
            f"{len(blocks)} {'finding blocks' if len(blocks) == 1 else 'findings block'}:\n{listed}"
            + (f"\nType: report = lai.check(data); {cure}" if cure else "")
        )


def check(
    data: Any, *, target: str | None = None, against: Any = None,
    policy: Policy | Mapping[str, Any] | None = None,
) -> Report:  # fmt: skip
    """Look for what is wrong with a data set, by every registered check.

    Args:
        data: A data set, or whatever one can be made of.
        target: The column to be predicted; a column of a usual name (``label``) when ``None``.
        against: Test data, which must share no example with ``data``.
        policy: Thresholds and severities, a :class:`Policy` or a dict of them.

    Raises:
        DataError: The target is not among the columns.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> pictures = rng.integers(0, 255, (20, 8, 8), dtype="uint8")
        >>> pictures[7] = 0
        >>> report = check({"image": pictures, "label": ["cat", "dog"] * 10})
        >>> report.passed, [(f.check, f.rows.tolist()) for f in report.findings]
        (True, [('blank_pictures', [7])])
    """
    dataset = as_dataset(data)
    chosen = as_policy(policy)
    subject = Subject(
        dataset,
        find_target(dataset, target),
        None if against is None else as_dataset(against),
        chosen,
    )
    report = Report(dataset.name, len(dataset), subject.target, policy=chosen)
    for name in registry.names("checks"):
        made = registry.lookup("checks", name)()
        if chosen.severity(name, made.severity) == "off" or (made.needs_rows and not len(dataset)):
            continue
        report.checks.append(name)
        report.findings += made.find(subject)
    report.findings.sort(key=lambda finding: _ORDER[finding.severity])
    return report
