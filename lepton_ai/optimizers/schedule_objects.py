"""Schedules as objects, with Keras's names and arguments: from a step to a learning rate.

One is given as the learning rate of an optimiser (``Adam(CosineDecay(1e-3, 10_000))``) or as
``schedule=`` of ``fit``. Steps are steps of the optimiser, counted from 0.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real
from typing import Any

from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.registry import near_miss


class LearningRateSchedule(ABC):
    """The learning rate of each step; a schedule of your own overrides ``__call__``.

    Example:
        >>> class Halving(LearningRateSchedule):
        ...     def __init__(self, initial_learning_rate):
        ...         self.initial_learning_rate = initial_learning_rate
        ...     def __call__(self, step):
        ...         return self.initial_learning_rate * 0.5**step
        >>> schedule = Halving(0.1)
        >>> schedule(1), schedule.at(1), schedule.reference
        (0.05, 0.5, 0.1)
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The learning rate of a step."""

    @property
    def reference(self) -> float:
        """The rate that a share of 1 stands for: that of step 0, or 1 when that is 0."""
        start = float(self(0))
        return start if start > 0 and math.isfinite(start) else 1.0

    def at(self, step: int, progress: float = 0.0) -> float:
        """The rate of a step as a share of :attr:`reference`, whatever the progress is."""
        return float(self(step)) / self.reference

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def to_config(self) -> dict[str, Any]:
        """The schedule as JSON: its name and its arguments."""
        return {"schedule": type(self).__name__, **self.config()}

    def __repr__(self) -> str:
        stored = [
            (p.name, getattr(self, p.name), p.default)
            for p in inspect.signature(type(self)).parameters.values()
            if hasattr(self, p.name)
        ]
        shown = [f"{n}={v!r}" for n, v, usual in stored if n != "name" or v != usual]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _number(self, name: str, value: Any, *, above_0: bool, example: float) -> float:
        """A finite number of at least 0, or above 0."""
        fits = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not (fits and (value > 0 if above_0 else value >= 0)):
            raise ConfigError(
                f"Expected {name} of {type(self).__name__} {'above' if above_0 else 'of at least'}"
                f" 0; received {value!r}. Type {name}={example!r}, for example."
            )
        return int(value) if isinstance(value, int) else float(value)

    def _rate(self, name: str, value: Any) -> float:
        return self._number(name, value, above_0=False, example=0.001)

    def _steps(self, name: str, value: Any) -> float:
        return self._number(name, value, above_0=True, example=1000)


class ExponentialDecay(LearningRateSchedule):
    """Multiplied by ``decay_rate`` over each ``decay_steps``, evenly or (``staircase``) at its end.

    Example:
        >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(200)
        0.025
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float,
        staircase: bool = False, name: str = "ExponentialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = self._rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate, above_0=False, example=0.96)
        self.staircase, self.name = bool(staircase), name

    def __call__(self, step: int) -> float:
        passed = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (
            math.floor(passed) if self.staircase else passed
        )


class InverseTimeDecay(LearningRateSchedule):
    """Divided by ``1 + decay_rate`` for each ``decay_steps``, evenly or (``staircase``) at its end.

    Example:
        >>> InverseTimeDecay(0.1, decay_steps=100, decay_rate=1.0)(300)
        0.025
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float,
        staircase: bool = False, name: str = "InverseTimeDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = self._rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.decay_rate = self._number("decay_rate", decay_rate, above_0=False, example=0.5)
        self.staircase, self.name = bool(staircase), name

    def __call__(self, step: int) -> float:
        passed = step / self.decay_steps
        passed = math.floor(passed) if self.staircase else passed
        return self.initial_learning_rate / (1 + self.decay_rate * passed)


class PolynomialDecay(LearningRateSchedule):
    """Down to ``end_learning_rate`` in ``decay_steps``, along a power of what is left.

    With ``cycle`` it starts again, lower, over a multiple of ``decay_steps``.

    Example:
        >>> PolynomialDecay(0.1, decay_steps=100, end_learning_rate=0.0, power=2.0)(50)
        0.025
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, end_learning_rate: float = 0.0001,
        power: float = 1.0, cycle: bool = False, name: str = "PolynomialDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = self._rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.end_learning_rate = self._rate("end_learning_rate", end_learning_rate)
        self.power = self._number("power", power, above_0=True, example=1.0)
        self.cycle, self.name = bool(cycle), name

    def __call__(self, step: int) -> float:
        whole = self.decay_steps
        if self.cycle:
            whole *= max(math.ceil(step / self.decay_steps), 1)
        left = 1 - min(step, whole) / whole
        between = self.initial_learning_rate - self.end_learning_rate
        return between * left**self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Down along half a cosine, after a warm-up if wished (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: The rate of step 0.
        decay_steps: Steps of the way down, which come after those of the warm-up.
        alpha: Where it ends, as a share of where it comes down from.
        name: A name of your own; changes nothing.
        warmup_target: Where a straight line leads first; ``None`` goes down at once.
        warmup_steps: Steps of that line.

    Example:
        >>> schedule = CosineDecay(0.0, 100, warmup_target=0.1, warmup_steps=10)
        >>> [round(schedule(step), 6) for step in (0, 5, 10, 60, 110)]
        [0.0, 0.05, 0.1, 0.05, 0.0]
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, alpha: float = 0.0,
        name: str = "CosineDecay", warmup_target: float | None = None, warmup_steps: float = 0,
    ) -> None:  # fmt: skip
        self.initial_learning_rate = self._rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = self._steps("decay_steps", decay_steps)
        self.alpha = self._number("alpha", alpha, above_0=False, example=0.01)
        self.name = name
        self.warmup_target = (
            None if warmup_target is None else self._rate("warmup_target", warmup_target)
        )
        self.warmup_steps = self._number("warmup_steps", warmup_steps, above_0=False, example=500)

    @property
    def reference(self) -> float:
        return self.initial_learning_rate or self.warmup_target or 1.0

    def __call__(self, step: int) -> float:
        start, passed = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if passed < self.warmup_steps:
                return start + (self.warmup_target - start) * passed / self.warmup_steps
            start, passed = self.warmup_target, passed - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(passed / self.decay_steps, 1.0)))
        return start * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Down along half a cosine, again and again (Loshchilov and Hutter 2017).

    Args:
        initial_learning_rate: The rate of step 0.
        first_decay_steps: Steps of the first way down.
        t_mul: How many times longer each way is than the one before; 1 or more.
        m_mul: Where each way starts, as a share of where the one before did.
        alpha: Where each way ends, as a share of ``initial_learning_rate``.
        name: A name of your own; changes nothing.

    Example:
        >>> schedule = CosineDecayRestarts(0.1, 10, t_mul=2.0)
        >>> [round(schedule(step), 6) for step in (0, 5, 10, 20, 30)]
        [0.1, 0.05, 0.1, 0.05, 0.1]
    """

    def __init__(
        self, initial_learning_rate: float, first_decay_steps: float, t_mul: float = 2.0,
        m_mul: float = 1.0, alpha: float = 0.0, name: str = "SGDRDecay",
    ) -> None:  # fmt: skip
        self.initial_learning_rate = self._rate("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = self._steps("first_decay_steps", first_decay_steps)
        self.t_mul = self._number("t_mul", t_mul, above_0=True, example=2.0)
        if self.t_mul < 1:
            raise ConfigError(
                f"Expected t_mul of at least 1; received {t_mul!r}: shorter and shorter ways end "
                "before training does. Type t_mul=1.0 for ways of one length."
            )
        self.m_mul = self._number("m_mul", m_mul, above_0=False, example=1.0)
        self.alpha = self._number("alpha", alpha, above_0=False, example=0.01)
        self.name = name

    def __call__(self, step: int) -> float:
        start, length, way = 0.0, float(self.first_decay_steps), 0
        if self.t_mul == 1:
            way = math.floor(step / length)
            start = way * length
        else:
            while step - start >= length:
                start, length, way = start + length, length * self.t_mul, way + 1
        cosine = 0.5 * self.m_mul**way * (1 + math.cos(math.pi * (step - start) / length))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to and with each boundary, and the last one after it.

    Example:
        >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
        >>> schedule(100), schedule(101), schedule(201)
        (0.1, 0.01, 0.001)
    """

    def __init__(
        self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"
    ) -> None:
        boundaries, values = list(boundaries), list(values)
        if len(boundaries) != len(values) - 1 or not boundaries:
            raise ConfigError(
                f"Expected one value more than boundaries; received {len(values)} values and "
                f"{len(boundaries)} boundaries. Type PiecewiseConstantDecay([1000], [0.1, 0.01])."
            )
        if any(
            later <= earlier for earlier, later in zip(boundaries, boundaries[1:], strict=False)
        ):
            raise ConfigError(
                f"Expected boundaries that rise; received {boundaries}. Type "
                f"{sorted(set(boundaries))}, with a value before each and one after."
            )
        self.boundaries = [
            self._number("boundaries", b, above_0=False, example=1) for b in boundaries
        ]
        self.values = [self._rate("values", value) for value in values]
        self.name = name

    @property
    def reference(self) -> float:
        return self.values[0] or max(self.values) or 1.0

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


OBJECTS: dict[str, type[LearningRateSchedule]] = {
    kind.__name__: kind
    for kind in (
        ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, InverseTimeDecay, CosineDecay,
        CosineDecayRestarts,
    )
}  # fmt: skip


def from_config(config: dict[str, Any]) -> LearningRateSchedule:
    """The schedule that ``to_config`` described.

    Raises:
        UnknownNameError: No schedule object has that name; the near miss is offered.
        ConfigError: Its arguments do not fit.

    Example:
        >>> from_config(PiecewiseConstantDecay([100], [0.1, 0.01]).to_config())
        PiecewiseConstantDecay(boundaries=[100], values=[0.1, 0.01])
    """
    arguments = dict(config)
    name = arguments.pop("schedule", None)
    if name not in OBJECTS:
        raise UnknownNameError(
            f"Expected a schedule out of {', '.join(OBJECTS)}; received {name!r}."
            f"{near_miss(str(name), OBJECTS)}"
        )
    known = inspect.signature(OBJECTS[name]).parameters
    needed = [n for n, p in known.items() if p.default is p.empty and n not in arguments]
    strange = [n for n in arguments if n not in known]
    if needed or strange:
        told = [f"no {n!r}" for n in needed] + [repr(n) for n in strange]
        meant = near_miss(strange[0], known) if strange else ""
        raise ConfigError(
            f"Expected the arguments of {name} ({', '.join(known)}); received "
            f"{', '.join(told)}.{meant}"
        )
    return OBJECTS[name](**arguments)
