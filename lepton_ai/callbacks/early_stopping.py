"""Stop when a figure no longer gets better, and keep the best weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from lepton_ai.callbacks.callback import Callback
from lepton_ai.callbacks.monitor import Monitor, judged, whole

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"early_stopping": "EarlyStopping"}


class EarlyStopping(Callback):
    """Stop when a figure no longer gets better.

    Args:
        monitor: The figure, as in the history (``"val_loss"``).
        min_delta: What counts as better.
        patience: Epochs without anything better that are borne.
        verbose: 1 says which epoch's weights are put back.
        mode: ``"min"``, ``"max"``, or ``"auto"`` (losses and errors are to be small).
        baseline: What must be beaten; patience runs while it is not.
        restore_best_weights: Whether the model ends with the weights of its best epoch.
        start_from_epoch: Epochs at the beginning that are not judged.

    Example:
        >>> stop = EarlyStopping("val_accuracy", patience=3, restore_best_weights=True)
        >>> stop.patience
        3
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0.0, patience: int = 0,
        verbose: int = 0, mode: str = "auto", baseline: float | None = None,
        restore_best_weights: bool = False, start_from_epoch: int = 0,
    ) -> None:  # fmt: skip
        self._monitor = Monitor(monitor, mode, min_delta)
        self.monitor, self.min_delta, self.mode = monitor, min_delta, mode
        self.patience = whole("patience", patience)
        self.verbose, self.baseline = verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = whole("start_from_epoch", start_from_epoch)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._monitor.begin(trainer)
        self.best_: float | None = None
        self.best_epoch_ = -1
        self.waited_ = 0
        self.weights_: dict[str, Tensor] | None = None

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        value = self._monitor.value(trainer, logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.best_epoch_ < 0:
            self._keep(trainer, epoch)
        self.waited_ += 1
        if self._monitor.better(value, self.best_):
            self.best_ = value
            if self.best_epoch_ != epoch:
                self._keep(trainer, epoch)
            if self.baseline is None or self._monitor.better(value, self.baseline):
                self.waited_ = 0
        elif self.waited_ >= self.patience and epoch > 0:
            many = "epoch" if self.waited_ == 1 else "epochs"
            trainer.stop(f"{self.monitor} has not got better for {self.waited_} {many}")

    def _keep(self, trainer: Trainer, epoch: int) -> None:
        self.best_epoch_ = epoch
        if self.restore_best_weights:
            with judged(trainer):
                state = trainer.model.state_dict()
                self.weights_ = {name: value.detach().clone() for name, value in state.items()}

    def on_train_end(self, trainer: Trainer) -> None:
        if self.weights_ is not None:
            trainer.model.load_state_dict(self.weights_)
            trainer.run.metrics["best_epoch"] = self.best_epoch_ + 1
            if self.verbose:
                trainer.note(f"The weights of epoch {self.best_epoch_ + 1} are put back.")

    def state(self) -> dict[str, Any]:
        return {
            "best": self.best_, "best_epoch": self.best_epoch_, "waited": self.waited_,
            "weights": self.weights_,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self.best_, self.best_epoch_ = state["best"], state["best_epoch"]
        self.waited_, self.weights_ = state["waited"], state["weights"]
