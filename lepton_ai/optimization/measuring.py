"""Measuring: how long forms of a model take, in turns with the original on the same machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.encoding import Encoded
from lepton_ai.models.model import Model

FEWEST_ROUNDS, ROUNDS = 15, 31
"""Rounds of a race: 31 where they fit into its time, never fewer than 15."""
CONFIDENCE = 0.99
VARIETY = 8
"""Batches that a race runs over: forms may remember the shapes of a few."""
TURN, MOST_CALLS, LONG_CALL = 0.005, 20, 0.05
"""Seconds of a turn, the most calls in one, and seconds from which a call pays for no caches."""
MOST_WARM, STEADY = 8, 1.2
"""Rounds thrown away at most, and how far three in a row may be apart to be called steady."""
PATIENCE = 3.0
"""A race that takes so many times as long as planned ends after the fewest rounds."""


@dataclass(frozen=True)
class Watch:
    """Two clocks: the one on the wall, and the processor time of all threads of this process."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


WATCH = Watch()


@dataclass(frozen=True)
class Timing:
    """How long one call takes.

    Attributes:
        batch_size: Examples in a call.
        median: Median milliseconds of a call.
        p95: Milliseconds that 95 % of the calls stay below.
        original: Median milliseconds of the original, called in turns with it.
        original_p95: And what 95 % of its calls stay below.
        speedup: How many times as fast as the original: the median over the rounds.
        rounds: How many rounds there were.
        low: Lower end of the 99 % interval of ``speedup``, and ``high`` the upper one.
        cpu: Median milliseconds of processor time of a call, and ``original_cpu`` the original's.
        cpu_speedup: ``speedup`` in processor time; ``None`` where the clock is too coarse for it.
        noise: How many times as fast as itself the original seemed to be on this machine.
        repeats: How often it was measured again because the two clocks contradicted each other.
        stalled: Whether they still do: the lead was waiting, not work.
    """

    batch_size: int
    median: float
    p95: float
    original: float
    original_p95: float
    speedup: float
    rounds: int
    low: float | None = None
    high: float | None = None
    cpu: float | None = None
    original_cpu: float | None = None
    cpu_speedup: float | None = None
    noise: tuple[float, float] | None = None
    repeats: int = 0
    stalled: bool = False

    @property
    def per_second(self) -> float:
        """Examples in a second."""
        return self.batch_size / self.median * 1e3

    @property
    def interval(self) -> tuple[float, float]:
        """The 99 % interval of the speed-up; the speed-up itself where none was recorded."""
        low = self.speedup if self.low is None else self.low
        return low, self.speedup if self.high is None else self.high


@dataclass(frozen=True)
class Plan:
    """How a race is run: the same for the original against itself and against every form.

    Attributes:
        calls: Calls in a turn that count.
        warms: Whether a call that does not count comes before them.
        rounds: Rounds, in each of which both have a turn.
        seconds: How long that should take with two that are as fast as the original.
    """

    calls: int
    warms: bool
    rounds: int
    seconds: float


def planned(
    run: Callable[[Any], Any], given: Sequence[Any], *, seconds: float, watch: Watch | None = None
) -> Plan:
    """Warm a function up and see how many calls and rounds fit.

    Args:
        run: The original.
        given: What it is called with.
        seconds: How long a race may take, as far as 15 rounds allow it.
        watch: The clocks.
    """
    watch = watch or WATCH
    for value in given:
        run(value)
    spent = []
    for value in given[:5]:
        start = watch.wall()
        run(value)
        spent.append(watch.wall() - start)
    call = max(median(spent), 1e-6)
    calls = int(np.clip(TURN / call, 1, MOST_CALLS))
    warms = call < LONG_CALL
    one = 2 * call * (calls + warms)
    rounds = int(np.clip(seconds / one, FEWEST_ROUNDS, ROUNDS))
    return Plan(calls, warms, rounds, rounds * one)


def race(
    original: Callable[[Any], Any], other: Callable[[Any], Any], given: Sequence[Any], *,
    batch_size: int, plan: Plan, rng: np.random.Generator, watch: Watch | None = None,
) -> Timing:  # fmt: skip
    """Call two functions in turns and compare them round by round.

    What the machine does besides hits both alike, so the ratio within a round is steadier than the
    times are, and its median forgets the rounds that were disturbed. Who begins is drawn, each as
    often as the other. The first call after a change is not counted: it pays for the caches and
    threads of the one before; nor are the first rounds, until both are steady.

    Returns:
        The timing of the other.
    """
    turns = _Turns((original, other), given, plan, watch or WATCH)
    turns.warm()
    clock = turns.watch.wall
    began, ratios, cpus = clock(), [], []
    walls: tuple[list[float], list[float]] = ([], [])
    first = 0
    while len(ratios) < plan.rounds:
        late = clock() - began > PATIENCE * plan.seconds
        if late and len(ratios) >= min(FEWEST_ROUNDS, plan.rounds):
            break
        first = int(rng.integers(2)) if len(ratios) % 2 == 0 else 1 - first
        medians, spent = [0.0, 0.0], [0.0, 0.0]
        for place in (first, 1 - first):
            taken, spent[place] = turns.turn(place, len(ratios))
            walls[place].extend(taken)
            medians[place] = max(median(taken), 1e-12)
        ratios.append(medians[0] / medians[1])
        cpus.append(spent)
    return _timing(batch_size, walls, ratios, cpus)


class _Turns:
    """The two that race, and how one has a turn."""

    def __init__(
        self, runners: Sequence[Callable[[Any], Any]], given: Sequence[Any], plan: Plan,
        watch: Watch,
    ) -> None:  # fmt: skip
        self.runners, self.given, self.plan, self.watch = runners, given, plan, watch

    def warm(self) -> None:
        """All batches once, then rounds that are thrown away until both are steady."""
        for run in self.runners:
            for value in self.given:
                run(value)
        recent: tuple[list[float], list[float]] = ([], [])
        for number in range(MOST_WARM):
            for place in (0, 1):
                recent[place].append(median(self.turn(place, number)[0]))
            if number >= 2 and all(max(r[-3:]) <= STEADY * min(r[-3:]) for r in recent):
                break

    def turn(self, place: int, offset: int) -> tuple[list[float], float]:
        """Seconds of each call, and seconds of processor time a call."""
        run, given, watch = self.runners[place], self.given, self.watch
        if self.plan.warms:
            run(given[offset % len(given)])
        spent = []
        began = watch.cpu()
        for number in range(self.plan.calls):
            value = given[(offset + number) % len(given)]
            start = watch.wall()
            run(value)
            spent.append(watch.wall() - start)
        return spent, (watch.cpu() - began) / self.plan.calls


def _timing(
    batch_size: int, walls: tuple[list[float], list[float]], ratios: list[float],
    cpus: list[list[float]],
) -> Timing:  # fmt: skip
    first, second = (np.asarray(part) * 1e3 for part in walls)
    low, high = median_interval(ratios)
    timing = Timing(
        batch_size, float(np.median(second)), float(np.quantile(second, 0.95)),
        float(np.median(first)), float(np.quantile(first, 0.95)), float(np.median(ratios)),
        len(ratios), low, high,
    )  # fmt: skip
    counted = np.asarray([pair for pair in cpus if min(pair) > 0]) * 1e3
    if 2 * len(counted) <= len(cpus):  # too coarse a clock
        return timing
    base, own = np.median(counted, axis=0)
    share = float(np.median(counted[:, 0] / counted[:, 1]))
    return replace(timing, cpu=float(own), original_cpu=float(base), cpu_speedup=share)


def median_interval(
    values: Sequence[float], *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """An interval of the median that asks nothing of the distribution: the sign test, inverted.

    Args:
        values: Independent draws, in any order.
        confidence: How often the interval holds the median, at least; with fewer than eight values
            the smallest and the largest have to do.

    Example:
        >>> median_interval(range(15))
        (2.0, 12.0)
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    count, cut, tail = len(ordered), 0, 0.5 ** len(ordered)
    while tail + math.comb(count, cut + 1) * 0.5**count <= (1 - confidence) / 2:
        cut += 1
        tail += math.comb(count, cut) * 0.5**count
    return float(ordered[cut]), float(ordered[count - 1 - cut])


def batches_of(
    encoded: Encoded, batch_size: int, rng: np.random.Generator
) -> list[dict[str, Tensor]]:
    """Some batches of one size, drawn from the data; with repeats where it holds too few."""
    count = len(encoded)
    return [
        encoded.batch(rng.choice(count, batch_size, replace=count < batch_size))
        for _ in range(VARIETY)
    ]


def answering(model: Model) -> Callable[[dict[str, Tensor]], Any]:
    """The call that is timed: encoded columns to outputs."""

    def run(columns: dict[str, Tensor]) -> dict[str, Tensor]:
        with torch.inference_mode():
            return model.outputs(columns)

    return run


@contextmanager
def torch_threads(count: int | None) -> Generator[None]:
    """As many threads inside torch's operators, for the length of a block."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
