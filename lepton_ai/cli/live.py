"""Live progress in a terminal; where there is none, a line now and then."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from typing import Any

from lepton_ai.callbacks.callback import Callback


class LiveBar(Callback):
    """A bar that moves with every batch and vanishes in the end.

    Args:
        title: What is being done.
        say: Gets a line after every third epoch where standard error is no terminal.
    """

    def __init__(self, title: str, say: Callable[[str], None]) -> None:
        self.title, self.say = title, say
        self.bar: Any = None

    def on_train_begin(self, trainer: Any) -> None:
        self.epochs = trainer.settings.epochs
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(), TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task(
            self.title, total=trainer.steps * trainer.settings.epochs, figures=""
        )
        self.bar.start()

    def on_batch_end(self, trainer: Any, step: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step + 1)

    def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
        shown = [n for n in ("loss", "accuracy", "val_accuracy") if n in logs]
        figures = ", ".join(f"{name} {logs[name]:.3f}" for name in shown)
        if self.bar is not None:
            self.bar.update(self.task, figures=figures)
        elif (epoch + 1) % 3 == 0 or epoch + 1 == self.epochs:
            self.say(f"     epoch {epoch + 1}/{self.epochs}: {figures}")

    def on_train_end(self, trainer: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


@contextlib.contextmanager
def waiting(title: str) -> Generator[None]:
    """A turning sign while something is done that has no steps to count."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(title):
        yield
