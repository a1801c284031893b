"""Callback: looks on while a model is trained, and may stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer


class Callback:
    """Override any of the ``on_...`` methods; none is required.

    ``trainer`` offers ``trainer.model``, ``trainer.run`` (config and history so far),
    ``trainer.learning_rate`` (which can be set), ``trainer.last_loss``, ``trainer.step_number``,
    ``trainer.note(text)`` and ``trainer.stop(reason)``. ``logs`` holds the figures by name, as in
    the history. What a callback needs from one epoch to the next goes through :meth:`state` and
    :meth:`restore`, so that a run that was interrupted goes on as if it had not been.

    Example:
        >>> class Notes(Callback):
        ...     def on_epoch_end(self, trainer, epoch, logs):
        ...         trainer.note(f"{logs['loss']:.1f} after epoch {epoch + 1}")
    """

    def on_train_begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        """Before the first step of an epoch, counted from 0."""

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        """After each step, counted from 0 over the whole run."""

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch and its validation."""

    def on_train_end(self, trainer: Trainer) -> None:
        """After the last step."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold for the callback to go on as if nothing had happened.

        JSON values and tensors; dicts and lists of them may be nested.
        """
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave; called after :meth:`on_train_begin`."""

    def __repr__(self) -> str:
        told = {k: v for k, v in vars(self).items() if not (k.startswith("_") or k.endswith("_"))}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in told.items())})"
