"""Report: what was tried, what was measured, what was chosen, and why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from lepton_ai.errors import ArtifactError
from lepton_ai.optimization.measuring import Timing


@dataclass
class Candidate:
    """One form of the model and what was measured of it.

    Attributes:
        name: Name of the step that made it, ``"original"`` for the model itself.
        precision: What it computes in, where that is known.
        figure: The headline metric on the data.
        interval: Its 95 % interval, where the metric can tell.
        drop: How much worse the figure is than the original's.
        timings: One per batch size; calls take encoded columns to outputs.
        megabytes: Size of the form.
        agreement: Share of examples that it decides as the original does.
        difference: Largest difference of a score from the original's.
        verdict: ``"original"``, ``"chosen"``, ``"good"``, ``"refused"``, ``"failed"``,
            ``"unfit"`` (cannot be used here) or ``"skipped"`` (no time left).
        reason: Why.
        seconds: How long it took to make and measure.
    """

    name: str
    precision: str | None = None
    figure: float | None = None
    interval: tuple[float, float] | None = None
    drop: float | None = None
    timings: list[Timing] = field(default_factory=list)
    megabytes: float | None = None
    agreement: float | None = None
    difference: float | None = None
    verdict: str = "failed"
    reason: str = ""
    seconds: float = 0.0

    @property
    def speedup(self) -> float:
        """How many times as fast as the original: the geometric mean over the batch sizes."""
        if not self.timings:
            return math.nan
        return math.exp(sum(math.log(t.speedup) for t in self.timings) / len(self.timings))


@dataclass
class Report:
    """What :func:`lai.optimize` tried on this machine; shows itself in notebooks.

    Attributes:
        task: The task, in words.
        headline: Name of the metric that was kept within bounds.
        higher_is_better: Whether a higher figure is better.
        examples: Examples that it was measured on.
        max_drop: How much worse it might become at most.
        min_speedup: How many times as fast it had to be at least.
        budget: Seconds allowed, and ``seconds`` spent.
        seed: Seed of all draws.
        machine: Processor, threads and versions.
        candidates: The original first, then what was tried.
        chosen: Name of the candidate that was returned, ``None`` when the original was.
        reason: Why, in one sentence.
        whole: The whole of ``predict``, reading and decoding included, for the chosen form.
    """

    task: str
    headline: str
    higher_is_better: bool
    examples: int
    max_drop: float
    min_speedup: float
    budget: float
    seed: int
    machine: dict[str, Any]
    candidates: list[Candidate] = field(default_factory=list)
    chosen: str | None = None
    reason: str = ""
    seconds: float = 0.0
    whole: list[Timing] = field(default_factory=list)

    def __getitem__(self, name: str) -> Candidate:
        """A candidate by its name."""
        return next(c for c in self.candidates if c.name == name)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; figures that are not finite become ``None``."""
        return _finite(asdict(self))

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Report:
        """The report that :meth:`to_json` wrote, for example ``model.lineage["optimization"]``.

        Raises:
            ArtifactError: It is none.
        """
        try:
            given = dict(told)
            given["budget"] = math.inf if given["budget"] is None else given["budget"]
            given["whole"] = [Timing(**timing) for timing in given["whole"]]
            given["candidates"] = [_candidate(told) for told in given["candidates"]]
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"Expected a report of optimize(); {error!r}.") from error

    # -- showing ---------------------------------------------------------------------------

    def header(self) -> list[str]:
        """The titles of the columns of :meth:`rows`."""
        sizes = [timing.batch_size for timing in self.candidates[0].timings]
        columns = ["form", self.headline, "95 % interval"]
        for place, size in enumerate(sizes):
            if place == 0:
                columns += [f"batch {size}: ms", "p95 ms"]
            else:
                columns += [f"batch {size}: per s"]
            columns += ["times as fast"]
        return [*columns, "MB", "agreement", "score gap", "verdict"]

    def rows(self) -> list[list[str]]:
        """The table, a row for each candidate, as text."""
        return [self._row(candidate) for candidate in self.candidates]

    def _row(self, candidate: Candidate) -> list[str]:
        low_high = candidate.interval
        cells = [
            candidate.name,
            _number(candidate.figure, ".4f"),
            f"{low_high[0]:.3f} to {low_high[1]:.3f}" if low_high else "",
        ]
        for place, measured in enumerate(self.candidates[0].timings):
            timing = next(
                (t for t in candidate.timings if t.batch_size == measured.batch_size), None
            )
            if timing is None:
                cells += [""] * (3 if place == 0 else 2)
                continue
            if place == 0:
                cells += [f"{timing.median:.3f}", f"{timing.p95:.3f}"]
            else:
                cells += [f"{timing.per_second:,.0f}"]
            cells += [f"{timing.speedup:.2f}"]
        verdict = candidate.verdict + (f": {candidate.reason}" if candidate.reason else "")
        return [
            *cells,
            _number(candidate.megabytes, ".2f"),
            _number(candidate.agreement, ".1%"),
            _number(candidate.difference, ".2g"),
            verdict,
        ]

    def to_text(self) -> str:
        """The table in plain text, with the sentence below it."""
        table = [self.header(), *self.rows()]
        last = len(table[0]) - 1
        widths = [max(len(row[place]) for row in table) for place in range(last)]
        lines = []
        for row in table:
            cells = [
                cell.ljust(width) if place in (0, 2) else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=False))
            ]
            lines.append("  ".join([*cells, row[last]]).rstrip())
        lines.insert(1, "-" * max(len(line) for line in lines))
        return "\n".join([*lines, "", self.reason, self.footnote()])

    def footnote(self) -> str:
        """On what the figures were measured."""
        machine = self.machine
        kept = "" if self.higher_is_better else "relatively "
        whole = ", ".join(
            f"{timing.median:.2f} ms at batch {timing.batch_size} ({timing.speedup:.2f} times as "
            "fast)" for timing in self.whole
        )  # fmt: skip
        return (
            f"{self.examples:,} examples; {machine.get('processor', 'unknown processor')}, "
            f"threads: {machine.get('threads')}; {self.headline} may become worse by {kept}"
            f"{self.max_drop:g}, wanted {self.min_speedup:g} times as fast; took "
            f"{self.seconds:.0f} s." + (f" All of predict(): {whole}." if whole else "")
        )

    def to_html(self) -> str:
        """The table and a plot of latency against the headline metric, as a piece of HTML."""
        from lepton_ai.optimization.page import report_html

        return report_html(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text()


def _candidate(told: dict[str, Any]) -> Candidate:
    given = dict(told)
    given["timings"] = [Timing(**timing) for timing in given["timings"]]
    given["interval"] = tuple(given["interval"]) if given["interval"] else None
    return Candidate(**given)


def _number(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
