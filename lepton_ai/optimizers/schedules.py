"""Schedules: the learning rate as a share of its peak, from the progress of training.

A schedule is one of three things, and :func:`get` takes them all:

- a name, such as ``"cosine"``, of a function here, or such a function of your own: from the
  progress of training, 0 to 1, to a share of the learning rate;
- an object with Keras's names and arguments, such as :class:`CosineDecay`: from the step to the
  rate itself;
- what ``to_config`` of such an object gave.

:func:`share` asks any of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.optimizers.schedule_objects import (
    OBJECTS,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
    from_config,
)
from lepton_ai.registry import near_miss

__all__ = [
    "OBJECTS", "SCHEDULES", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay",
    "InverseTimeDecay", "LearningRateSchedule", "PiecewiseConstantDecay", "PolynomialDecay",
    "Schedule", "from_config", "get", "share",
]  # fmt: skip

Schedule = Callable[[float], float]

_WARM_UP = 0.05
_LEAST = 0.04
"""Where warm-ups begin: a first step at a rate of nothing would be lost."""


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
        return _warm_up(progress, up)
    return cosine((progress - up) / (1 - up))


def exponential(progress: float) -> float:
    """From the peak to a hundredth of it, by the same factor in each step."""
    return 0.01**progress


def polynomial(progress: float) -> float:
    """From the peak down to nothing along the power 0.9 of what is left (Chen et al. 2018)."""
    return max(1 - progress, 0.0) ** 0.9


def cosine_warmup(progress: float) -> float:
    """Up for the first twentieth, then down to nothing along half a cosine."""
    if progress < _WARM_UP:
        return _warm_up(progress, _WARM_UP)
    return cosine((progress - _WARM_UP) / (1 - _WARM_UP))


def warmup_constant(progress: float) -> float:
    """Up for the first twentieth, then always the peak."""
    return _warm_up(progress, _WARM_UP)


def cosine_restarts(progress: float) -> float:
    """Down along half a cosine three times, each twice as long (Loshchilov and Hutter 2017)."""
    for start, length in ((3 / 7, 4 / 7), (1 / 7, 2 / 7), (0.0, 1 / 7)):
        if progress >= start:
            return cosine((progress - start) / length)
    return 1.0


def warmup_stable_decay(progress: float) -> float:
    """Up, long at the peak, and down to nothing in the last fifth (Hägele et al. 2024)."""
    down = 0.8
    if progress < down:
        return _warm_up(progress, _WARM_UP)
    return 1 - math.sqrt(min((progress - down) / (1 - down), 1.0))


def inverse_sqrt(progress: float) -> float:
    """Up for the first twentieth, then down with the root of the steps (Vaswani et al. 2017)."""
    if progress < _WARM_UP:
        return _warm_up(progress, _WARM_UP)
    return math.sqrt(_WARM_UP / progress)


def _warm_up(progress: float, until: float) -> float:
    return _LEAST + (1 - _LEAST) * min(progress / until, 1.0)


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "one_cycle": one_cycle,
    "exponential": exponential,
    "polynomial": polynomial,
    "cosine_warmup": cosine_warmup,
    "warmup_constant": warmup_constant,
    "cosine_restarts": cosine_restarts,
    "warmup_stable_decay": warmup_stable_decay,
    "wsd": warmup_stable_decay,
    "inverse_sqrt": inverse_sqrt,
}


def get(schedule: Any) -> Any:
    """A schedule from its name or description, or itself; ``None`` is constant.

    Args:
        schedule: A name, a function from progress to share, an object of this module, or what its
            ``to_config`` gave.

    Raises:
        UnknownNameError: No schedule has that name; the near miss is offered.
        ConfigError: It is nothing of that kind.

    Example:
        >>> get("linear")(0.5), share(get(CosineDecay(0.1, 100)), 50, 0.2)
        (0.5, 0.5)
    """
    if schedule is None:
        return constant
    if isinstance(schedule, str):
        return _named(schedule)
    if isinstance(schedule, dict):
        return from_config(schedule)
    if isinstance(schedule, type):
        raise ConfigError(
            f"Expected a schedule; received the class {schedule.__name__}. Type "
            f"schedule={schedule.__name__}(...) with its arguments."
        )
    if not (callable(schedule) or callable(getattr(schedule, "at", None))):
        raise ConfigError(
            f"Expected a schedule out of {', '.join(SCHEDULES)}, a function from progress to "
            f"share, or an object of lai.optimizers.schedules; received {schedule!r:.80}. Type "
            "schedule='cosine', for example."
        )
    return schedule


def _named(name: str) -> Schedule:
    if name in SCHEDULES:
        return SCHEDULES[name]
    if name in OBJECTS:
        raise UnknownNameError(
            f"Expected arguments for the schedule {name}; received its name alone. Type "
            f"schedule=lai.optimizers.schedules.{name}(...)."
        )
    raise UnknownNameError(
        f"Expected a schedule out of {', '.join(SCHEDULES)}; received {name!r}."
        f"{near_miss(name, [*SCHEDULES, *OBJECTS])}"
    )


def share(schedule: Any, step: int, progress: float) -> float:
    """What a schedule that :func:`get` gave says: a share of the learning rate.

    Args:
        schedule: A function of the progress, or an object with ``at(step, progress)``.
        step: Steps done so far.
        progress: Share of the training that is done; above 1 counts as 1.
    """
    progress = min(max(progress, 0.0), 1.0)
    at = getattr(schedule, "at", None)
    return float(schedule(progress) if at is None else at(step, progress))
