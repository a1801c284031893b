"""Monitor: the figure that a callback watches, and what counts as better."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

MODES = ("auto", "min", "max")
_SMALL = ("loss", "error", "perplexity", "crossentropy", "hinge", "deviance", "divergence")


class Monitor:
    """A figure of the history, and what counts as better.

    Args:
        name: The figure (``"val_loss"``).
        mode: ``"min"``, ``"max"``, or ``"auto"``, which asks the metric of that name; what is no
            metric of the task is to be small when it is called a loss or an error.
        min_delta: By how much it must change to count.

    Example:
        >>> monitor = Monitor("val_loss", "min", 0.1)
        >>> monitor.better(1.0, None), monitor.better(0.95, 1.0), monitor.better(0.8, 1.0)
        (True, False, True)
    """

    def __init__(self, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in MODES:
            raise ConfigError(
                f"Expected mode 'auto', 'min' or 'max'; received {mode!r}."
                f"{near_miss(str(mode), MODES)}"
            )
        if not isinstance(name, str):
            raise ConfigError(f"Expected the name of a figure to monitor; received {name!r}.")
        self.name, self.mode, self.min_delta = name, mode, abs(min_delta)
        self.small = mode == "min" or (mode == "auto" and any(word in name for word in _SMALL))

    def begin(self, trainer: Trainer) -> None:
        """Find out which direction is better."""
        if self.mode != "auto":
            return
        task = getattr(trainer.model, "task", None)
        metrics = task.metrics() if task is not None else {}
        metric = metrics.get(self.name.removeprefix("val_"))
        if metric is not None:
            self.small = not metric.higher_is_better

    def value(self, trainer: Trainer, logs: dict[str, float]) -> float | None:
        """The figure of this epoch; ``None`` in epochs without validation.

        Raises:
            ConfigError: There is no such figure.
        """
        if self.name in logs:
            return float(logs[self.name])
        skipping = getattr(trainer.settings, "validation_freq", 1) > 1
        plain = self.name.removeprefix("val_")
        known = plain != self.name and plain in logs or self.name in trainer.run.history
        if skipping and known and getattr(trainer, "validation", None) is not None:
            return None
        raise ConfigError(
            f"Expected to monitor one of {', '.join(logs)}; received {self.name!r}."
            f"{near_miss(self.name, logs)} Figures of validation need validation_data."
        )

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far; NaN never is."""
        if best is None:
            return not math.isnan(value)
        return value + self.min_delta < best if self.small else value - self.min_delta > best


def whole(name: str, value: Any, least: int = 0) -> int:
    """A whole number of at least ``least``.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(
            f"Expected {name} as a whole number of at least {least}; received {value!r}."
        )
    return value


@contextmanager
def judged(trainer: Trainer) -> Generator[None]:
    """The weights that validation judges: their running mean, where there is one.

    Whoever keeps or saves the weights of an epoch wants those that its figures belong to.
    """
    average = getattr(trainer, "average", None)
    stepper = getattr(trainer, "stepper", None)
    if stepper is not None:
        stepper.for_evaluation()
    try:
        with average.swapped() if average is not None else nullcontext():
            yield
    finally:
        if stepper is not None:
            stepper.for_training()
