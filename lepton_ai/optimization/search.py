"""Search: try the steps, measure each beside the original, keep the best within the bounds."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lepton_ai import extras
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import Encoded, encode_inputs, subset
from lepton_ai.metrics.metric import Metric
from lepton_ai.models.model import Model
from lepton_ai.optimization.budget import Budget
from lepton_ai.optimization.comparing import AGREEMENT, CLOSE, Answers, drop, judge
from lepton_ai.optimization.contest import WIDEST, Contest, noise, shortfall
from lepton_ai.optimization.form import as_model, megabytes
from lepton_ai.optimization.measuring import Timing, answering, batches_of, planned, race
from lepton_ai.optimization.report import Candidate, Report
from lepton_ai.optimization.step import Bench, Step, first_line
from lepton_ai.optimization.wording import Said
from lepton_ai.training.progress import Progress

CALIBRATION, COMPARED = 128, 256
"""Examples that quantised forms are calibrated on, and that answers are compared on, at most."""
RACES, SHORTEST_RACE, LONGEST_RACE = 30, 0.5, 3.0
"""Races that the budget is split into, and seconds of one."""
WAITING = 2.0
"""How many times as fast one thread may be as several before they are said to wait."""


@dataclass(frozen=True)
class Bounds:
    """What a form must keep to."""

    max_drop: float
    min_speedup: float
    sizes: tuple[int, ...]


class Search:
    """One search for a faster form.

    Args:
        model: The original, in inference mode.
        data: Examples with their expected outputs, typed by the task.
        bounds: What a form must keep to.
        clock: The time that it may take, running.
        threads: Threads inside one call; torch is set to them.
        seed: All draws follow from it.
        progress: Where lines go.
    """

    def __init__(
        self, model: Model, data: Dataset, bounds: Bounds, clock: Budget, threads: int,
        seed: int, progress: Progress,
    ) -> None:  # fmt: skip
        self.model, self.data, self.bounds, self.clock = model, data, bounds, clock
        self.threads, self.seed, self.progress = threads, seed, progress
        self.rng = np.random.default_rng(seed)
        some = self.rng.choice(len(data), min(len(data), COMPARED), replace=False)
        self.some = data.take(np.sort(some))
        self.encoded: Encoded = encode_inputs(model.task.inputs, model.specs, self.some.columns)
        self.batches = {size: batches_of(self.encoded, size, self.rng) for size in bounds.sizes}
        self.metric: Metric | None = model.task.metrics().get(model.task.headline)
        self.race_seconds = float(np.clip(clock.limit / RACES, SHORTEST_RACE, LONGEST_RACE))
        self.longest = 0.0
        self.models: dict[str, Model] = {}
        self.report = Report(
            repr(model.task), model.task.headline,
            self.metric is not None and self.metric.higher_is_better, len(data),
            bounds.max_drop, bounds.min_speedup, clock.limit, seed, machine(threads),
        )  # fmt: skip

    def run(self, steps: dict[str, Step]) -> Model:
        """Try the steps in their order; the model that is returned carries the report."""
        self.original = self._original()
        self.report.candidates.append(self.original)
        self.original.timings = self._calm()
        self.measurable = self.contest.noisy is None
        first = np.arange(min(len(self.some), CALIBRATION))
        self.bench = Bench(subset(self.encoded, first), threads=self.threads)
        for name, step in steps.items():
            candidate = self._try(name, step)
            self.report.candidates.append(candidate)
            self.progress.note(_line(candidate, self.report.headline))
        best = self._confirmed()
        self.original.timings = list(self.contest.calm.values())
        report = self.report
        report.chosen = best.name if best else None
        report.said = self._why(best)
        report.reason = report.said.text()
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

    # -- the machine -----------------------------------------------------------------------

    def _calm(self) -> list[Timing]:
        """The original against itself, with one thread where several only wait or make noise."""
        timings = self._contest().itself()
        if self.threads == 1:
            return timings
        told: Said | None = None
        if self.contest.noisy is not None:
            told = Said("one_thread", {"threads": str(self.threads)})
        else:
            alone = max(self.contest.against(self._alone()), key=lambda timing: timing.speedup)
            if alone.speedup > WAITING:
                told = Said("threads_wait", {
                    "threads": str(self.threads), "size": str(alone.batch_size),
                    "speedup": f"{alone.speedup:.1f}",
                })  # fmt: skip
        if told is None:
            return list(self.contest.calm.values())
        self.report.notes.append(told)
        self.progress.note(told.text())
        self.threads = 1
        torch.set_num_threads(1)
        self.report.machine = machine(1)
        return self._contest().itself()

    def _contest(self) -> Contest:
        self.contest = Contest(
            answering(self.model), self.batches, seconds=self.race_seconds, seed=self.seed,
            threads=self.threads,
        )  # fmt: skip
        return self.contest

    def _alone(self) -> Callable[[Any], Any]:
        """The original with one thread."""
        run = answering(self.model)

        def alone(columns: Any) -> Any:
            torch.set_num_threads(1)
            try:
                return run(columns)
            finally:
                torch.set_num_threads(self.threads)

        return alone

    # -- the forms -------------------------------------------------------------------------

    def _try(self, name: str, step: Step) -> Candidate:
        candidate = Candidate(name)
        told = _unfit(step, self.model)
        if told is not None:
            return candidate.because("unfit", told)
        if not (self.measurable and self.contest.calmer()):
            return candidate.because("skipped", Said("not_tried"))
        if self.clock.left < self.longest:
            left, limit = f"{max(self.clock.left, 0):.0f}", f"{self.clock.limit:.0f}"
            values = {"left": left, "limit": limit, "longest": f"{self.longest:.0f}"}
            return candidate.because("skipped", Said("no_time", values))
        began, exported = time.monotonic(), self.bench.seconds
        try:
            form = step.apply(self.model, self.bench)
            made = as_model(self.model, form).eval()
            self._measure(candidate, made)
            told = self._shortcoming(candidate)
            candidate.because("good" if told is None else "refused", told)
            if told is None:
                self.models[name] = made
        except Exception as error:  # a form that cannot be made or run is no reason to stop
            candidate.because("failed", Said("as_told", {"text": first_line(error)}))
        candidate.seconds = time.monotonic() - began
        shared = self.bench.seconds - exported
        self.longest = max(self.longest, candidate.seconds - shared)
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
        candidate.timings = self.contest.against(answering(made))

    # -- the decision ----------------------------------------------------------------------

    def _shortcoming(self, candidate: Candidate) -> Said | None:
        """Why a form may not be returned, or nothing."""
        precision = candidate.precision or "float32"
        agreement, difference = candidate.agreement or 0.0, candidate.difference or 0.0
        bound, metric = AGREEMENT.get(precision, 0.9), self.report.headline
        if agreement < bound:
            return Said("otherwise", {
                "agreement": f"{agreement:.1%}", "bound": f"{bound:.0%}",
                "difference": f"{difference:.2g}",
            })  # fmt: skip
        if not difference <= CLOSE.get(precision, np.inf):
            values = {"difference": f"{difference:.2g}", "precision": precision}
            return Said("scores_differ", values)
        if candidate.drop is None or np.isnan(candidate.drop):
            return Said("no_figure", {"metric": metric})
        if candidate.drop > self.bounds.max_drop:
            bound_text = f"{self.bounds.max_drop:g}"
            return Said(
                "drops", {"metric": metric, "drop": f"{candidate.drop:.4f}", "bound": bound_text}
            )
        return shortfall(candidate.timings, self.bounds.min_speedup)

    def _confirmed(self) -> Candidate | None:
        """The fastest that is still good when measured once more: the best of many was lucky."""
        order = [c for c in self.report.candidates if c.verdict == "good"]
        for candidate in sorted(order, key=lambda c: -c.speedup):
            made = self.models[candidate.name]
            self.contest.calmer()
            candidate.timings = self.contest.against(answering(made))
            told = shortfall(candidate.timings, self.bounds.min_speedup)
            if told is None:
                candidate.verdict = "chosen"
                self.report.whole = self._whole(made)
                return candidate
            candidate.because("refused", Said("again", {"reason": told}))
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

            def original(part: Dataset) -> Any:
                return Model.predict(self.model, part)

            timings.append(race(
                original, lambda part: Model.predict(made, part), rows, batch_size=size,
                plan=planned(original, rows, seconds=self.race_seconds / 2),
                rng=self.contest.rng,
            ))  # fmt: skip
        return timings

    def _why(self, best: Candidate | None) -> Said:
        if best is not None:
            return self._won(best)
        loud = self.contest.noisy
        if loud is not None:
            low, high = noise(loud)
            return Said("stays_noisy", {
                "size": str(loud.batch_size), "low": f"{low:.2f}", "high": f"{high:.2f}",
                "rounds": str(loud.rounds), "threads": str(self.threads),
                "least": f"{1 / WIDEST:.2f}", "most": f"{WIDEST:.2f}",
            })  # fmt: skip
        tried = [c for c in self.report.candidates if c.name != "original"]
        if not tried:
            return Said("nothing_to_try")
        measured = [c for c in tried if c.timings]
        nearest = max(measured, key=lambda c: c.speedup) if measured else tried[0]
        return Said("none_faster", {
            "count": str(len(tried)), "name": nearest.name,
            "reason": nearest.said or Said("as_told", {"text": nearest.reason}),
        })  # fmt: skip

    def _won(self, best: Candidate) -> Said:
        (low, high), calm = best.range, best.noise
        return Said("chosen", {
            "name": best.name, "speedup": f"{best.speedup:.2f}", "low": f"{low:.2f}",
            "high": f"{high:.2f}", "calm_low": f"{calm[0]:.2f}", "calm_high": f"{calm[1]:.2f}",
            "metric": self.report.headline, "figure": f"{best.figure:.4f}",
            "before": f"{self.quality.figures[self.report.headline]:.4f}",
        })  # fmt: skip


def _unfit(step: Step, model: Model) -> Said | None:
    if step.package is not None and not extras.installed(step.package):
        return Said("not_installed", {"package": step.package, "extra": step.extra})
    reason = step.applies(model)
    return None if reason is None else Said("as_told", {"text": reason})


def machine(threads: int) -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        for line in told.read_text(encoding="utf8", errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return {
        "processor": name, "system": platform.system(), "threads": threads,
        "torch": str(torch.__version__),
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
