"""Learning rates that follow the epochs or a figure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.callbacks.monitor import Monitor, whole
from lepton_ai.errors import ConfigError

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {
    "reduce_lr_on_plateau": "ReduceLROnPlateau",
    "learning_rate_scheduler": "LearningRateScheduler",
}


class ReduceLROnPlateau(Callback):
    """Lower the learning rate when a figure no longer gets better.

    Args:
        monitor: The figure, as in the history (``"val_loss"``).
        factor: What the learning rate is multiplied by.
        patience: Epochs without anything better that are borne.
        verbose: 1 says so when the rate is lowered.
        mode: ``"min"``, ``"max"``, or ``"auto"`` (losses and errors are to be small).
        min_delta: What counts as better.
        cooldown: Epochs after a lowering that are not counted.
        min_lr: The rate is not made lower than this.

    Example:
        >>> ReduceLROnPlateau("loss", factor=0.5, patience=2).factor
        0.5
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0,
        mode: str = "auto", min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0,
    ) -> None:  # fmt: skip
        if not 0 < factor < 1:
            raise ConfigError(
                f"Expected a factor between 0 and 1; received {factor!r}. Type: factor=0.1"
            )
        if not min_lr >= 0:
            raise ConfigError(f"Expected min_lr of at least 0; received {min_lr!r}.")
        self._monitor = Monitor(monitor, mode, min_delta)
        self.monitor, self.mode, self.min_delta = monitor, mode, min_delta
        self.factor, self.verbose, self.min_lr = factor, verbose, min_lr
        self.patience, self.cooldown = whole("patience", patience), whole("cooldown", cooldown)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._monitor.begin(trainer)
        self.best_: float | None = None
        self.waited_ = self.cooling_ = 0

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        value = self._monitor.value(trainer, logs)
        if value is None:
            return
        if self.cooling_ > 0:
            self.cooling_ -= 1
            self.waited_ = 0
        if self._monitor.better(value, self.best_):
            self.best_, self.waited_ = value, 0
        elif self.cooling_ <= 0:
            self.waited_ += 1
            if self.waited_ >= self.patience and trainer.learning_rate > self.min_lr:
                self._lower(trainer)

    def _lower(self, trainer: Trainer) -> None:
        trainer.learning_rate = max(trainer.learning_rate * self.factor, self.min_lr)
        self.waited_, self.cooling_ = 0, self.cooldown
        if self.verbose:
            trainer.note(
                f"{self.monitor} has not got better: the learning rate is "
                f"{trainer.learning_rate:.4g} from now on."
            )

    def state(self) -> dict[str, Any]:
        return {"best": self.best_, "waited": self.waited_, "cooling": self.cooling_}

    def restore(self, state: dict[str, Any]) -> None:
        self.best_, self.waited_ = state["best"], state["waited"]
        self.cooling_ = state["cooling"]


class LearningRateScheduler(Callback):
    """The learning rate of each epoch from a function of your own.

    Args:
        schedule: Takes the epoch, counted from 0, and the learning rate; returns the new one.
        verbose: 1 says the rate of each epoch.

    Raises:
        ConfigError: What the function returns is no learning rate.

    Example:
        >>> halved = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else rate / 2)
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise ConfigError(
                f"Expected a function of the epoch and the learning rate; received {schedule!r}. "
                "Type: LearningRateScheduler(lambda epoch, rate: rate * 0.9); a named schedule is "
                "asked for by fit(schedule='cosine')."
            )
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        rate = self.schedule(epoch, trainer.learning_rate)
        try:
            value = float(rate)
        except (TypeError, ValueError):
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(
                f"Expected a learning rate of at least 0 from the schedule for epoch {epoch}; "
                f"received {rate!r}."
            )
        trainer.learning_rate = value
        if self.verbose:
            trainer.note(f"The learning rate of epoch {epoch + 1} is {value:.4g}.")
