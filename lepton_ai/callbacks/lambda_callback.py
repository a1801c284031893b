"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"lambda_callback": "LambdaCallback"}

_NAMES = (
    "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin",
    "on_train_batch_end",
)  # fmt: skip


class LambdaCallback(Callback):
    """A callback made of functions, with the arguments that Keras gives them.

    Args:
        on_epoch_begin: Takes the epoch, counted from 0, and an empty dict.
        on_epoch_end: Takes the epoch and its figures.
        on_train_begin: Takes an empty dict.
        on_train_end: Takes the last epoch's figures.
        on_train_batch_begin: Takes the batch, counted from 0 in its epoch, and an empty dict.
        on_train_batch_end: Takes the batch and its loss (``{"loss": 0.3}``).

    Example:
        >>> seen = []
        >>> notes = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_epoch_end: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_begin: Callable[[dict[str, float]], Any] | None = None,
        on_train_end: Callable[[dict[str, float]], Any] | None = None,
        on_train_batch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_batch_end: Callable[[int, dict[str, float]], Any] | None = None,
        **others: Any,
    ) -> None:
        given = (
            on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin,
            on_train_batch_end,
        )  # fmt: skip
        for name in others:
            raise ConfigError(
                f"LambdaCallback does not take {name!r}.{near_miss(name, _NAMES)} It takes: "
                f"{', '.join(_NAMES)}."
            )
        self.functions = {
            name: function
            for name, function in zip(_NAMES, given, strict=True)
            if function is not None
        }
        for name, function in self.functions.items():
            if not callable(function):
                raise ConfigError(f"Expected {name} as a function; received {function!r}.")
        self._batch = 0
        self._logs: dict[str, float] = {}

    def _call(self, name: str, *arguments: Any) -> None:
        function = self.functions.get(name)
        if function is not None:
            function(*arguments)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._batch, self._logs = 0, {}
        self._call("on_train_begin", {})

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        self._batch = 0
        self._call("on_epoch_begin", epoch, {})
        self._call("on_train_batch_begin", 0, {})

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        if "on_train_batch_end" in self.functions:
            self._call("on_train_batch_end", self._batch, {"loss": trainer.last_loss})
        self._batch += 1
        if self._batch < trainer.steps:
            self._call("on_train_batch_begin", self._batch, {})

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        self._logs = dict(logs)
        self._call("on_epoch_end", epoch, dict(logs))

    def on_train_end(self, trainer: Trainer) -> None:
        self._call("on_train_end", self._logs)

    def state(self) -> dict[str, Any]:
        return {"batch": self._batch, "logs": self._logs}

    def restore(self, state: dict[str, Any]) -> None:
        self._batch, self._logs = state["batch"], dict(state["logs"])
