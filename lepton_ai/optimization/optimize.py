"""Optimize: try the steps, measure each beside the original, keep the best within the bounds."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lepton_ai import extras, registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import Encoded, encode_inputs, subset
from lepton_ai.errors import ConfigError
from lepton_ai.metrics.metric import Metric
from lepton_ai.models import intake
from lepton_ai.models.model import Model
from lepton_ai.optimization.budget import Budget
from lepton_ai.optimization.comparing import AGREEMENT, CLOSE, Answers, drop, judge
from lepton_ai.optimization.form import as_model, megabytes
from lepton_ai.optimization.measuring import Timing, answering, batches_of, race, torch_threads
from lepton_ai.optimization.report import Candidate, Report
from lepton_ai.optimization.step import Bench, Step, first_line
from lepton_ai.training.progress import Progress

CALIBRATION, COMPARED = 128, 256
"""Examples that quantised forms are calibrated on, and that answers are compared on, at most."""


def optimize(
    model: Model, *, data: Any, max_drop: float = 0.01, min_speedup: float = 1.2,
    budget: str | float | None = "5min", batch_sizes: Sequence[int] = (1, 32),
    threads: int | None = None, steps: Sequence[str] | None = None, seed: int = 0,
    verbose: int | str = "auto",
) -> Model:  # fmt: skip
    """A faster form of a model, of the same task; the model itself when none is good enough.

    Every form is measured on this machine, in turns with the original, and is returned only when
    it is ``min_speedup`` times as fast on the (geometric) mean over the batch sizes, slower at none
    of them, answers like the original, and its headline metric on ``data`` falls by no more than
    ``max_drop``. What was tried, measured and decided is in ``optimization`` of what is returned,
    a :class:`Report`, and in its ``lineage`` when it is another form.

    Args:
        model: A fitted model; it stays as it is.
        data: Examples with their expected outputs, which were not trained on. Some of the inputs
            also calibrate the quantised forms.
        max_drop: How much the headline metric may fall: absolutely where higher is better,
            relatively where lower is better.
        min_speedup: How many times as fast it has to be.
        budget: How long to search: ``"5min"``, ``"30s"``, seconds, or ``None`` for all steps.
        batch_sizes: Examples in a call, for each of which it is measured.
        threads: Threads inside one call, for the original too; ``None`` takes torch's.
        steps: Names of the steps to try, ``None`` for all.
        seed: All draws follow from it.
        verbose: 0 prints nothing, else a line for each form.

    Raises:
        ConfigError: An argument cannot be.
        NotReadyError: The model was not fitted.
        DataError: The data lacks a column of the task, or has no example.
        MissingExtraError: No step can run with what is installed.
    """
    chosen_steps = _steps(steps)
    sizes = _checked(model, data, max_drop, min_speedup, batch_sizes, threads)
    clock = Budget(budget)
    given: Any = intake.validation_data(model.task, data)
    typed = model.task.typed(given.require())
    was = model.training
    model.eval()
    try:
        with torch_threads(threads):
            search = _Search(model, typed, Bounds(max_drop, min_speedup, sizes), clock, threads,
                             seed, Progress(verbose, total=0, epochs=0))  # fmt: skip
            return search.run(chosen_steps)
    finally:
        if was:
            model.train(was)


@dataclass(frozen=True)
class Bounds:
    """What a form must keep to."""

    max_drop: float
    min_speedup: float
    sizes: tuple[int, ...]


class _Search:
    def __init__(
        self, model: Model, data: Dataset, bounds: Bounds, clock: Budget, threads: int | None,
        seed: int, progress: Progress,
    ) -> None:  # fmt: skip
        self.model, self.data, self.bounds, self.clock = model, data, bounds, clock
        self.progress = progress
        self.rng = np.random.default_rng(seed)
        some = self.rng.choice(len(data), min(len(data), COMPARED), replace=False)
        self.some = data.take(np.sort(some))
        self.encoded: Encoded = encode_inputs(model.task.inputs, model.specs, self.some.columns)
        first = np.arange(min(len(self.some), CALIBRATION))
        self.bench = Bench(subset(self.encoded, first), threads=threads)
        self.metric: Metric | None = model.task.metrics().get(model.task.headline)
        self.race_seconds = float(np.clip(clock.limit / 200, 0.2, 1.0))
        self.longest = 0.0
        self.models: dict[str, Model] = {}
        self.report = Report(
            repr(model.task), model.task.headline,
            self.metric is not None and self.metric.higher_is_better, len(data),
            bounds.max_drop, bounds.min_speedup, clock.limit, seed, machine(threads),
        )  # fmt: skip

    # -- the search ------------------------------------------------------------------------

    def run(self, steps: dict[str, Step]) -> Model:
        self.original = self._original()
        self.report.candidates.append(self.original)
        for name, step in steps.items():
            candidate = self._try(name, step)
            self.report.candidates.append(candidate)
            self.progress.note(_line(candidate, self.report.headline))
        self._original_timings()
        best = self._confirmed()
        report = self.report
        report.chosen = best.name if best else None
        report.reason = self._why(best)
        report.seconds = self.clock.spent
        self.progress.note(report.reason)
        answer: Any = self.model
        if best is not None:
            answer = self.models[best.name].eval()
            answer.lineage = {**self.model.lineage, "optimization": report.to_json()}
        answer.optimization = report
        return answer

    def _original(self) -> Candidate:
        self.quality = judge(self.model, self.data)
        self.answers = Answers(self.model, self.some)
        precision = getattr(self.model.engine, "precision", "float32")
        return Candidate(
            "original", precision, self.quality.figures[self.report.headline],
            self.quality.interval, 0.0, [], megabytes(self.model), 1.0, 0.0, "original",
        )  # fmt: skip

    def _try(self, name: str, step: Step) -> Candidate:
        candidate = Candidate(name)
        candidate.reason = _unfit(step, self.model) or ""
        if candidate.reason:
            candidate.verdict = "unfit"
            return candidate
        if self.clock.left < self.longest:
            candidate.verdict = "skipped"
            candidate.reason = (
                f"{max(self.clock.left, 0):.0f} s of {self.clock.limit:.0f} s are left; the "
                f"longest so far took {self.longest:.0f} s. Raise budget=..."
            )
            return candidate
        began = time.monotonic()
        try:
            form = step.apply(self.model, self.bench)
            made = as_model(self.model, form).eval()
            self._measure(candidate, made)
            candidate.verdict, candidate.reason = self._verdict(candidate)
            if candidate.verdict == "good":
                self.models[name] = made
        except Exception as error:  # a form that cannot be made or run is no reason to stop
            candidate.verdict, candidate.reason = "failed", first_line(error)
        candidate.seconds = time.monotonic() - began
        self.longest = max(self.longest, candidate.seconds)
        return candidate

    def _measure(self, candidate: Candidate, made: Model) -> None:
        candidate.precision = getattr(made.engine, "precision", "float32")
        candidate.megabytes = megabytes(made)
        likeness = self.answers.compare(made)
        candidate.agreement, candidate.difference = likeness.agreement, likeness.difference
        quality = judge(made, self.data)
        candidate.figure = quality.figures[self.report.headline]
        candidate.interval = quality.interval
        candidate.drop = drop(
            self.quality.figures[self.report.headline], candidate.figure, self.metric
        )
        candidate.timings = self._race(made)

    def _race(self, made: Model) -> list[Timing]:
        return [
            race(
                answering(self.model), answering(made), batches_of(self.encoded, size, self.rng),
                batch_size=size, seconds=self.race_seconds,
            )[1]
            for size in self.bounds.sizes
        ]  # fmt: skip

    # -- the decision ----------------------------------------------------------------------

    def _verdict(self, candidate: Candidate) -> tuple[str, str]:
        """Whether a form may be returned, and why not."""
        precision = candidate.precision or "float32"
        agreement, difference = candidate.agreement or 0.0, candidate.difference or 0.0
        bound = AGREEMENT.get(precision, 0.9)
        if agreement < bound:
            return "refused", (
                f"it answers otherwise than the original: {agreement:.1%} of the decisions agree "
                f"(at least {bound:.0%} must), scores differ by up to {difference:.2g}"
            )
        if not difference <= CLOSE.get(precision, np.inf):
            return "refused", (
                f"its scores differ by up to {difference:.2g}, which {precision} does not explain"
            )
        if candidate.drop is None or np.isnan(candidate.drop):
            return "refused", f"{self.report.headline} is not a number on this data"
        if candidate.drop > self.bounds.max_drop:
            return "refused", (
                f"{self.report.headline} becomes worse by {candidate.drop:.4f}, more than "
                f"{self.bounds.max_drop:g}"
            )
        return self._fast_enough(candidate)

    def _fast_enough(self, candidate: Candidate) -> tuple[str, str]:
        slow = [t for t in candidate.timings if not t.speedup >= 1.0]
        if slow:
            return "refused", (
                f"slower than the original at batch {slow[0].batch_size}: "
                f"{slow[0].speedup:.2f} times as fast"
            )
        if candidate.speedup < self.bounds.min_speedup:
            return "refused", (
                f"only {candidate.speedup:.2f} times as fast, {self.bounds.min_speedup:g} wanted"
            )
        return "good", ""

    def _confirmed(self) -> Candidate | None:
        """The fastest that is still good when measured once more: the best of many was lucky."""
        order = [c for c in self.report.candidates if c.verdict == "good"]
        for candidate in sorted(order, key=lambda c: -c.speedup):
            made = self.models[candidate.name]
            candidate.timings = self._race(made)
            verdict, reason = self._fast_enough(candidate)
            if verdict == "good":
                candidate.verdict = "chosen"
                self.report.whole = self._whole(made)
                return candidate
            candidate.verdict, candidate.reason = verdict, f"measured again, {reason}"
        return None

    def _whole(self, made: Model) -> list[Timing]:
        """All of ``predict``: reading, encoding, the form, decoding."""
        inputs = self.some.select(list(self.model.task.inputs))
        timings = []
        for size in self.bounds.sizes:
            rows = [
                inputs.take(self.rng.choice(len(inputs), size, replace=len(inputs) < size))
                for _ in range(3)
            ]
            timings.append(race(
                lambda part: Model.predict(self.model, part),
                lambda part: Model.predict(made, part),
                rows, batch_size=size, seconds=self.race_seconds / 2,
            )[1])  # fmt: skip
        return timings

    def _original_timings(self) -> None:
        """Those of the original: the median over its turns with all the others."""
        measured = [c.timings for c in self.report.candidates if c.timings]
        for place, size in enumerate(self.bounds.sizes):
            if measured:
                median = float(np.median([timings[place].original for timings in measured]))
                p95 = float(np.median([timings[place].original_p95 for timings in measured]))
                rounds = sum(timings[place].rounds for timings in measured)
            else:
                batches = batches_of(self.encoded, size, self.rng)
                own = race(answering(self.model), answering(self.model), batches,
                           batch_size=size, seconds=self.race_seconds)[0]  # fmt: skip
                median, p95, rounds = own.median, own.p95, own.rounds
            self.original.timings.append(Timing(size, median, p95, median, p95, 1.0, rounds))

    def _why(self, best: Candidate | None) -> str:
        if best is not None:
            figure = self.quality.figures[self.report.headline]
            return (
                f"{best.name} is {best.speedup:.2f} times as fast as the original; "
                f"{self.report.headline} {best.figure:.4f} (was {figure:.4f})."
            )
        tried = [c for c in self.report.candidates if c.name != "original"]
        if not tried:
            return "The original is returned: there was no step to try."
        measured = [c for c in tried if c.timings]
        nearest = max(measured, key=lambda c: c.speedup) if measured else tried[0]
        return (
            f"The original is returned: none of {len(tried)} forms is faster within the bounds. "
            f"{nearest.name}: {nearest.reason}."
        )


def _unfit(step: Step, model: Model) -> str | None:
    if step.package is not None and not extras.installed(step.package):
        return f'{step.package} is not installed. Type: pip install "lepton-ai[{step.extra}]"'
    return step.applies(model)


def _steps(names: Sequence[str] | None) -> dict[str, Step]:
    """The steps by name, those of lower rank first."""
    if isinstance(names, str):
        names = [names]
    chosen = registry.names("steps") if names is None else [
        registry.canonical("steps", name) for name in names
    ]  # fmt: skip
    made = {name: registry.lookup("steps", name)() for name in chosen}
    ordered = dict(sorted(made.items(), key=lambda pair: pair[1].rank))
    lacking = [s for s in ordered.values() if s.package and not extras.installed(s.package)]
    if lacking and len(lacking) == len(ordered):
        extras.require(lacking[0].package or "", extra=lacking[0].extra, why="optimize(...)")
    return ordered


def _checked(
    model: Any, data: Any, max_drop: float, min_speedup: float, batch_sizes: Sequence[int],
    threads: int | None,
) -> tuple[int, ...]:  # fmt: skip
    if not isinstance(model, Model):
        raise ConfigError(
            f"Expected a model; received {type(model).__name__}. A service that was connected to "
            "is optimised where its model is: lai.optimize(lai.load(path), data=...)."
        )
    model.ready()
    if data is None:
        raise ConfigError("Expected data to measure on. Type: lai.optimize(model, data=test_data).")
    if not max_drop >= 0:
        raise ConfigError(f"Expected max_drop of 0 or more, such as 0.01; received {max_drop!r}.")
    if not min_speedup >= 1:
        raise ConfigError(
            f"Expected min_speedup of 1 or more, such as 1.2; received {min_speedup!r}."
        )
    sizes = tuple(batch_sizes) if isinstance(batch_sizes, Sequence) else (batch_sizes,)
    if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ConfigError(
            f"Expected batch sizes of 1 or more, such as (1, 32); received {batch_sizes!r}."
        )
    if threads is not None and threads < 1:
        raise ConfigError(f"Expected 1 thread or more; received {threads!r}.")
    return tuple(dict.fromkeys(sizes))


def machine(threads: int | None) -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return {
        "processor": name, "system": platform.system(),
        "threads": threads or torch.get_num_threads(), "torch": str(torch.__version__),
    }  # fmt: skip


def _line(candidate: Candidate, headline: str) -> str:
    if not candidate.timings:
        return f"{candidate.name}: {candidate.verdict}, {candidate.reason}"
    times = ", ".join(
        f"{t.median:.2f} ms at batch {t.batch_size} ({t.speedup:.2f} times as fast)"
        for t in candidate.timings
    )
    end = f"{candidate.verdict}, {candidate.reason}" if candidate.reason else candidate.verdict
    return f"{candidate.name}: {headline} {candidate.figure:.4f}, {times}: {end}"
