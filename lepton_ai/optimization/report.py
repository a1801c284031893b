"""Report: what was tried, what was measured, what was chosen, and why."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import Any

from lepton_ai.errors import ArtifactError
from lepton_ai.optimization.contest import mean
from lepton_ai.optimization.measuring import Timing
from lepton_ai.optimization.wording import Said, metric_name, say, verdict_name


@dataclass
class Candidate:
    """One form of the model and what was measured of it.

    Attributes:
        name: Name of the step that made it, ``"original"`` for the model itself.
        precision: What it computes in, where that is known.
        figure: The headline metric on the data.
        interval: Its 95 % interval, where the metric can tell.
        drop: How much worse the figure is than the original's.
        timings: One per batch size; calls take encoded columns to outputs. Those of the original
            are of a race against itself, whose speed-ups are the noise of the machine.
        megabytes: Size of the form.
        agreement: Share of examples that it decides as the original does.
        difference: Largest difference of a score from the original's.
        verdict: ``"original"``, ``"chosen"``, ``"good"``, ``"refused"``, ``"failed"``,
            ``"unfit"`` (cannot be used here) or ``"skipped"`` (no time left).
        reason: Why.
        said: The reason in a form that can be told in each language.
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
    said: Said | None = None
    seconds: float = 0.0

    def because(self, verdict: str, told: Said | None) -> Candidate:
        """Itself, judged."""
        self.verdict, self.said = verdict, told
        self.reason = "" if told is None else told.text()
        return self

    @property
    def speedup(self) -> float:
        """How many times as fast as the original: the geometric mean over the batch sizes."""
        return mean([t.speedup for t in self.timings]) if self.timings else math.nan

    @property
    def range(self) -> tuple[float, float]:
        """The mean of the ends of the 99 % intervals of the speed-ups."""
        ends = [t.interval for t in self.timings] or [(math.nan, math.nan)]
        return mean([low for low, _ in ends]), mean([high for _, high in ends])

    @property
    def noise(self) -> tuple[float, float]:
        """How many times as fast as itself the original seemed then, in the same mean."""
        ends = [t.noise or (1.0, 1.0) for t in self.timings] or [(math.nan, math.nan)]
        return mean([low for low, _ in ends]), mean([high for _, high in ends])

    def why(self, language: str = "en") -> str:
        """The reason in a language; converters' own words stay as they are."""
        return self.reason if self.said is None else self.said.text(language)


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
        notes: What else was done, such as measuring with fewer threads than were asked for.
        said: The reason in a form that can be told in each language.
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
    notes: list[Said] = field(default_factory=list)
    said: Said | None = None

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
            given["whole"] = [_timing(timing) for timing in given["whole"]]
            given["candidates"] = [_candidate(told) for told in given["candidates"]]
            given["said"] = Said.from_json(given.get("said"))
            notes = [Said.from_json(note) for note in given.get("notes", ())]
            given["notes"] = [note for note in notes if note is not None]
            return cls(**given)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"Expected a report of optimize(); {error!r}.") from error

    # -- showing ---------------------------------------------------------------------------

    def header(self, language: str = "en") -> list[str]:
        """The titles of the columns of :meth:`rows`."""
        sizes = [timing.batch_size for timing in self.candidates[0].timings]
        metric = metric_name(self.headline, language)
        columns = [say("form", language), metric, say("interval", language)]
        for place, size in enumerate(sizes):
            if place == 0:
                columns += [say("milliseconds", language, size=size), say("slowest", language)]
            else:
                columns += [say("per_second", language, size=size)]
            columns += [say("times", language)]
        rest = ("megabytes", "agreement", "difference", "verdict")
        return [*columns, *(say(key, language) for key in rest)]

    def rows(self, language: str = "en") -> list[list[str]]:
        """The table, a row for each candidate, as text."""
        return [self._row(candidate, language) for candidate in self.candidates]

    def _row(self, candidate: Candidate, language: str) -> list[str]:
        low_high = candidate.interval
        cells = [candidate.name, _number(candidate.figure, ".4f"), ""]
        if low_high:
            low, high = (f"{end:.3f}" for end in low_high)
            cells[2] = say("range", language, low=low, high=high)
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
            cells += [_speedup(timing, language)]
        verdict, why = verdict_name(candidate.verdict, language), candidate.why(language)
        return [
            *cells,
            _number(candidate.megabytes, ".2f"),
            _number(candidate.agreement, ".1%"),
            _number(candidate.difference, ".2g"),
            say("why", language, verdict=verdict, reason=why) if why else verdict,
        ]

    def to_text(self, *, language: str = "en") -> str:
        """The table in plain text, with the sentence below it.

        Args:
            language: ``"en"`` or ``"zh"``.
        """
        table = [self.header(language), *self.rows(language)]
        last = len(table[0]) - 1
        widths = [max(_columns(row[place]) for row in table) for place in range(last)]
        lines = []
        for row in table:
            cells = []
            for place, (cell, width) in enumerate(zip(row, widths, strict=False)):
                space = " " * (width - _columns(cell))
                cells.append(cell + space if place in (0, 2) else space + cell)
            lines.append("  ".join([*cells, row[last]]).rstrip())
        lines.insert(1, "-" * max(_columns(line) for line in lines))
        return "\n".join([*lines, "", self.why(language), *self.footnotes(language)])

    def why(self, language: str = "en") -> str:
        """The reason in a language."""
        return self.reason if self.said is None else self.said.text(language)

    def footnotes(self, language: str = "en") -> list[str]:
        """On what the figures were measured, and the noise of the machine."""
        comma, machine = {"zh": "；"}.get(language, "; "), self.machine
        bound = f"{self.max_drop:g}"
        if not self.higher_is_better:
            bound = say("relatively", language, bound=bound)
        told = [say(
            "measured_on", language, examples=f"{self.examples:,}",
            processor=machine.get("processor", "?"), threads=machine.get("threads", "?"),
            metric=self.headline, bound=bound, wanted=f"{self.min_speedup:g}",
            seconds=f"{self.seconds:.0f}",
        )]  # fmt: skip
        calm = [
            say("calm_at", language, low=f"{t.noise[0]:.2f}", high=f"{t.noise[1]:.2f}",
                size=t.batch_size, rounds=t.rounds)
            for t in self.candidates[0].timings if t.noise is not None
        ]  # fmt: skip
        if calm:
            told.append(say("calm", language, told=comma.join(calm)))
        worked = [
            say("worked_at", language, speedup=f"{t.cpu_speedup:.2f}", size=t.batch_size)
            for c in self.candidates if c.name == self.chosen
            for t in c.timings if t.cpu_speedup is not None
        ]  # fmt: skip
        if worked:
            told.append(say("worked", language, name=self.chosen, told=comma.join(worked)))
        told += [note.text(language) for note in self.notes]
        whole = [
            say("whole_at", language, milliseconds=f"{t.median:.2f}", size=t.batch_size,
                speedup=_speedup(t, language))
            for t in self.whole
        ]  # fmt: skip
        if whole:
            told.append(say("whole", language, told=comma.join(whole)))
        return told

    def to_html(self, *, language: str = "en") -> str:
        """The table and a plot of latency against the headline metric, as a piece of HTML.

        It takes the colours of the page that it is put on: its variables (``--ink``, ``--quiet``,
        ``--line``, ``--soft``), and dark ones where the reader's system is dark.

        Args:
            language: ``"en"`` or ``"zh"``.
        """
        from lepton_ai.optimization.page import report_html

        return report_html(self, language=language)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text()


def _candidate(told: dict[str, Any]) -> Candidate:
    given = dict(told)
    given["timings"] = [_timing(timing) for timing in given["timings"]]
    given["interval"] = tuple(given["interval"]) if given["interval"] else None
    given["said"] = Said.from_json(given.get("said"))
    return Candidate(**given)


def _timing(told: dict[str, Any]) -> Timing:
    given = dict(told)
    given["noise"] = tuple(given["noise"]) if given.get("noise") else None
    return Timing(**given)


def _speedup(timing: Timing, language: str) -> str:
    value = f"{timing.speedup:.2f}"
    if timing.low is None or timing.high is None:
        return value
    low, high = f"{timing.low:.2f}", f"{timing.high:.2f}"
    return say("spread", language, value=value, low=low, high=high)


def _columns(text: str) -> int:
    """How wide a text is in a terminal: Chinese letters take two places."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


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
