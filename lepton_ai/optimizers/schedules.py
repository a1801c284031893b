"""Schedules: the learning rate as a share of its peak, from the progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable

from lepton_ai.errors import UnknownNameError
from lepton_ai.registry import near_miss

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Always the peak."""
    return 1.0


def cosine(progress: float) -> float:
    """From the peak down to nothing along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """From the peak down to nothing in a straight line, after a short warm-up."""
    return min(progress / 0.06, 1.0) * (1 - progress) if progress < 0.06 else 1 - progress


def one_cycle(progress: float) -> float:
    """Up for the first fifth, then down along half a cosine (Smith and Topin 2018)."""
    up = 0.2
    if progress < up:
        return 0.04 + 0.96 * progress / up
    return 0.5 * (1 + math.cos(math.pi * (progress - up) / (1 - up)))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "one_cycle": one_cycle,
}


def get(schedule: str | Schedule | None) -> Schedule:
    """A schedule from its name, or itself; ``None`` is constant."""
    if schedule is None:
        return constant
    if not isinstance(schedule, str):
        return schedule
    if schedule not in SCHEDULES:
        raise UnknownNameError(
            f"Expected a schedule out of {', '.join(SCHEDULES)}; received {schedule!r}."
            f"{near_miss(schedule, SCHEDULES)}"
        )
    return SCHEDULES[schedule]
