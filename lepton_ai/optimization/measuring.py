"""Measuring: how long forms of a model take, in turns with the original on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.encoding import Encoded
from lepton_ai.models.model import Model

FEWEST_ROUNDS, MOST_ROUNDS = 7, 200
VARIETY = 8
"""Batches that a race runs over: forms may remember the shapes of a few."""


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
    """

    batch_size: int
    median: float
    p95: float
    original: float
    original_p95: float
    speedup: float
    rounds: int

    @property
    def per_second(self) -> float:
        """Examples in a second."""
        return self.batch_size / self.median * 1e3


def race(
    original: Callable[[Any], Any], other: Callable[[Any], Any], given: Sequence[Any], *,
    batch_size: int, seconds: float,
) -> tuple[Timing, Timing]:  # fmt: skip
    """Call two functions in turns and compare them round by round.

    What the machine does besides hits both alike, so the ratio within a round is steadier than the
    times are. Who begins changes from round to round. The first call after a change is not counted:
    it pays for the caches and threads of the one before.

    Returns:
        The timing of the original (its speed-up is 1) and that of the other.
    """
    runners = (original, other)
    calls = _calls_in_a_turn(runners, given)
    times: tuple[list[float], list[float]] = ([], [])
    ratios: list[float] = []
    began = time.perf_counter()
    while len(ratios) < FEWEST_ROUNDS or (
        len(ratios) < MOST_ROUNDS and time.perf_counter() - began < seconds
    ):
        medians = [0.0, 0.0]
        for place in (0, 1) if len(ratios) % 2 == 0 else (1, 0):
            spent = _turn(runners[place], given, calls, len(ratios))
            times[place].extend(spent)
            medians[place] = float(np.median(spent))
        ratios.append(medians[0] / medians[1])
    first, second = (np.asarray(part) * 1e3 for part in times)
    base = (float(np.median(first)), float(np.quantile(first, 0.95)))
    own = (float(np.median(second)), float(np.quantile(second, 0.95)))
    return (
        Timing(batch_size, *base, *base, 1.0, len(ratios)),
        Timing(batch_size, *own, *base, float(np.median(ratios)), len(ratios)),
    )


def _turn(run: Callable[[Any], Any], given: Sequence[Any], calls: int, offset: int) -> list[float]:
    run(given[offset % len(given)])
    spent = []
    for number in range(calls):
        value = given[(offset + number) % len(given)]
        start = time.perf_counter()
        run(value)
        spent.append(time.perf_counter() - start)
    return spent


def _calls_in_a_turn(runners: Sequence[Callable[[Any], Any]], given: Sequence[Any]) -> int:
    """Warm both up, then as many calls as take the faster about 5 milliseconds, 3 to 20."""
    fastest = float("inf")
    for run in runners:
        for value in given:
            run(value)
        start = time.perf_counter()
        for value in given[:3]:
            run(value)
        fastest = min(fastest, (time.perf_counter() - start) / len(given[:3]))
    return int(np.clip(0.005 / max(fastest, 1e-6), 3, 20))


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
