"""Stop when a figure no longer gets better, and keep the best weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"early_stopping": "EarlyStopping"}


class EarlyStopping(Callback):
    """Stop when a figure no longer gets better.

    Args:
        monitor: The figure, as in the history (``"val_loss"``).
        min_delta: What counts as better.
        patience: Epochs without anything better that are borne.
        mode: ``"min"``, ``"max"``, or ``"auto"`` (losses and errors are to be small).
        restore_best_weights: Whether the model ends with the weights of its best epoch.
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0, *,
        mode: str = "auto", restore_best_weights: bool = False,
    ) -> None:  # fmt: skip
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"Expected mode 'auto', 'min' or 'max'; received {mode!r}.")
        self.monitor, self.min_delta, self.patience = monitor, min_delta, patience
        self.mode, self.restore_best_weights = mode, restore_best_weights

    def on_train_begin(self, trainer: Trainer) -> None:
        small = self.mode == "min" or (
            self.mode == "auto" and any(word in self.monitor for word in ("loss", "error"))
        )
        self.sign_ = -1.0 if small else 1.0
        self.best_: float | None = None
        self.best_epoch_ = -1
        self.weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if self.monitor not in logs:
            raise ConfigError(
                f"Expected to monitor one of {', '.join(logs)}; received {self.monitor!r}."
                f"{near_miss(self.monitor, logs)} Figures of validation need validation_data."
            )
        value = self.sign_ * logs[self.monitor]
        if self.best_ is None or value > self.best_ + self.min_delta:
            self.best_, self.best_epoch_ = value, epoch
            if self.restore_best_weights:
                self.weights_ = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        elif epoch - self.best_epoch_ > self.patience - 1 and self.patience >= 0:
            trainer.stop(f"{self.monitor} has not got better for {epoch - self.best_epoch_} epochs")

    def on_train_end(self, trainer: Trainer) -> None:
        if self.weights_ is not None:
            trainer.model.load_state_dict(self.weights_)
            trainer.run.metrics["best_epoch"] = self.best_epoch_ + 1

    def state(self) -> dict[str, Any]:
        return {"best": self.best_, "best_epoch": self.best_epoch_}
