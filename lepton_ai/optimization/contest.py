"""Contest: races against the original, and what of their outcome this machine lets one believe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lepton_ai.optimization import measuring
from lepton_ai.optimization.measuring import Plan, Timing, Watch, planned, race
from lepton_ai.optimization.wording import Said

WIDEST = 1.25
"""How far from 1 the original may seem to be beside itself; beyond that nothing can be told."""
MORE = 3
"""How many times as many rounds are run where the first race of the original was wider."""
LATE = 4.0
"""How many times the seconds of a race may be gone for a further try."""
STALL = 2.5
"""How far the clock and the processor time may contradict each other, for one thread."""


class Contest:
    """Races of forms against one original, on the same batches and with the same plan.

    First the original races itself (:meth:`itself`): the interval of that ratio, which ought to be
    1, is the noise of the machine. Then each form races the original. Two clocks have to agree: a
    lead on the wall that is none in processor time was a stall (threads of a pool that waited for
    a processor), and is measured again.

    Args:
        original: The call that all are compared with.
        batches: What it is called with, by batch size.
        seconds: How long one race may take, as far as 15 rounds allow it.
        seed: Seed of who begins in a round.
        threads: Threads inside a call: with more, less time on the wall may be more work.
        watch: The clocks.

    Example:
        >>> contest = Contest(sorted, {1: [[3, 1, 2]] * 4}, seconds=0.01, seed=0)
        >>> low, high = noise(contest.itself()[0])
        >>> low <= 1 <= high
        True
    """

    def __init__(
        self, original: Callable[[Any], Any], batches: Mapping[int, Sequence[Any]], *,
        seconds: float, seed: int, threads: int = 1, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self.original, self.batches, self.seconds = original, dict(batches), seconds
        self.threads, self.watch = threads, watch or measuring.WATCH
        self.rng = np.random.default_rng([seed, 1])
        self.plans: dict[int, Plan] = {}
        self.calm: dict[int, Timing] = {}
        self.work: dict[int, float] = {}

    def itself(self) -> list[Timing]:
        """Race the original against itself, with more rounds where it seems noisy.

        Several threads get no more rounds: with one there is less noise. After a batch size that is
        too noisy the others are not raced.
        """
        for size in self.batches:
            self._calm(size)
            if is_wide(self.calm[size]):
                break
        return list(self.calm.values())

    @property
    def noisy(self) -> Timing | None:
        """The race of the original against itself from which nothing can be told, if there is."""
        wide = [timing for timing in self.calm.values() if is_wide(timing)]
        return max(wide, key=lambda timing: _width(noise(timing))) if wide else None

    def calmer(self) -> bool:
        """Whether all can be told, after a further try where a race became too wide meanwhile."""
        for size in [size for size, timing in self.calm.items() if is_wide(timing)]:
            self._calm(size)
        return self.noisy is None

    def against(self, form: Callable[[Any], Any]) -> list[Timing]:
        """Race a form against the original, at each batch size."""
        return [self._believed(form, size) for size in self.batches]

    def _calm(self, size: int) -> None:
        given, began = self.batches[size], self.watch.wall()
        plan = planned(self.original, given, seconds=self.seconds, watch=self.watch)
        for times in (1, MORE, MORE) if self.threads == 1 else (1,):
            if times > 1 and self.watch.wall() - began > LATE * self.seconds:
                return
            self.plans[size] = replace(
                plan, rounds=plan.rounds * times, seconds=plan.seconds * times
            )
            timing = self._once(self.original, size)
            self.calm[size] = replace(timing, noise=noise(timing))
            if timing.original_cpu is not None:
                least = self.work.get(size, timing.original_cpu)
                self.work[size] = min(least, timing.original_cpu)
            if not is_wide(timing):
                return

    def _believed(self, form: Callable[[Any], Any], size: int) -> Timing:
        if size not in self.plans:
            self._calm(size)
        timing = self._witnessed(form, size)
        if self._contradicted(timing):
            self._calm(size)
            timing = self._witnessed(form, size)
            led = timing.cpu_speedup is not None and timing.speedup > timing.cpu_speedup
            stalled = led and self._contradicted(timing)
            timing = replace(timing, repeats=1, stalled=stalled)
        return replace(timing, noise=noise(self.calm[size]))

    def _once(self, form: Callable[[Any], Any], size: int) -> Timing:
        return race(
            self.original, form, self.batches[size],
            batch_size=size, plan=self.plans[size], rng=self.rng, watch=self.watch,
        )  # fmt: skip

    def _witnessed(self, form: Callable[[Any], Any], size: int) -> Timing:
        """A race, its processor time held against what the original took beside itself too.

        Threads that wait by spinning burn processor time: then only the original's earlier races
        can tell that its work did not grow.
        """
        timing, least = self._once(form, size), self.work.get(size)
        if timing.cpu is None or timing.cpu_speedup is None or least is None:
            return timing
        return replace(timing, cpu_speedup=min(timing.cpu_speedup, least / timing.cpu))

    def _contradicted(self, timing: Timing) -> bool:
        if timing.cpu_speedup is None:
            return False
        apart = abs(math.log(timing.speedup / timing.cpu_speedup))
        return apart > math.log(STALL * self.threads)


def noise(timing: Timing) -> tuple[float, float]:
    """How many times as fast as itself the original seems to be, 1 within."""
    low, high = timing.interval
    return min(low, 1.0), max(high, 1.0)


def is_wide(timing: Timing) -> bool:
    """Whether a race of the original against itself is too wide to tell anything."""
    return _width(noise(timing)) > WIDEST


def _width(band: tuple[float, float]) -> float:
    return max(1 / band[0], band[1])


def mean(values: Sequence[float]) -> float:
    """The geometric mean, that of ratios."""
    return math.exp(sum(math.log(max(value, 1e-12)) for value in values) / len(values))


def shortfall(timings: Sequence[Timing], min_speedup: float) -> Said | None:
    """Why a form is not fast enough, or nothing: the rule by which forms win.

    A form wins when the clocks agree, the machine is quiet enough to tell, it is slower than the
    original at no batch size, its mean speed-up is what was wanted, and the lower end of that
    mean's interval is above the upper end of what the original reaches beside itself.

    Args:
        timings: One per batch size, from :meth:`Contest.against`.
        min_speedup: How many times as fast it has to be.
    """
    for timing in timings:
        size, speedup = f"{timing.batch_size}", f"{timing.speedup:.2f}"
        low, high = timing.noise or (1.0, 1.0)
        if timing.stalled:
            cpu = f"{timing.cpu_speedup or 0.0:.2f}"
            return Said("stalled", {"size": size, "speedup": speedup, "cpu": cpu})
        if _width((low, high)) > WIDEST:
            return Said("noisy", {"size": size, "low": f"{low:.2f}", "high": f"{high:.2f}"})
        if not timing.speedup >= 1.0:
            return Said("slower", {"size": size, "speedup": speedup})
    speedup = mean([timing.speedup for timing in timings])
    if speedup < min_speedup:
        return Said("too_slow", {"speedup": f"{speedup:.2f}", "wanted": f"{min_speedup:g}"})
    low = mean([timing.interval[0] for timing in timings])
    high = mean([(timing.noise or (1.0, 1.0))[1] for timing in timings])
    if not low > high:
        return Said(
            "within_noise",
            {"speedup": f"{speedup:.2f}", "low": f"{low:.2f}", "high": f"{high:.2f}"},
        )
    return None
