"""Progress in the terminal and the notebook, in the lines that Keras users know."""

from __future__ import annotations

import sys
import time
from typing import TextIO

BAR = 30


class Progress:
    """Lines of progress.

    Args:
        verbose: 0 prints nothing, 1 a live line, 2 one line per epoch; ``"auto"`` is 1.
        total: Training samples in an epoch.
        epochs: Epochs in the run.
        stream: Where to; ``None`` takes standard output.
    """

    def __init__(
        self, verbose: int | str, *, total: int, epochs: int, stream: TextIO | None = None
    ) -> None:
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.total, self.epochs = total, epochs
        self.stream = stream or sys.stdout
        self.live = self.verbose == 1 and hasattr(self.stream, "isatty") and self.stream.isatty()
        self.shown = 0.0

    def begin(self, validating: int | None) -> None:
        """The first line: how many samples."""
        if self.verbose:
            text = f"Train on {self.total} samples"
            self._write(text + (f", validate on {validating} samples\n" if validating else "\n"))

    def epoch(self, number: int) -> None:
        """``Epoch 1/10``."""
        self.started = time.perf_counter()
        if self.verbose:
            self._write(f"Epoch {number + 1}/{self.epochs}\n")

    def step(self, done: int, logs: dict[str, float]) -> None:
        """The live line, at most ten times a second."""
        if self.live and time.perf_counter() - self.shown > 0.1:
            self.shown = time.perf_counter()
            self._write("\r" + self._line(done, logs))

    @property
    def due(self) -> bool:
        """Whether the live line wants new figures."""
        return self.live and time.perf_counter() - self.shown > 0.1

    def end(self, steps: int, logs: dict[str, float]) -> None:
        """The line that stays: ``50000/50000 [====] - 39s 0ms/step - loss: 2.3065 - ...``."""
        if self.verbose:
            line = self._line(self.total, logs, steps)
            self._write(("\r" if self.live else "") + line + "\n")

    def note(self, text: str) -> None:
        """A line of its own."""
        if self.verbose:
            self._write(text + "\n")

    def _line(self, done: int, logs: dict[str, float], steps: int | None = None) -> str:
        spent = time.perf_counter() - self.started
        filled = int(BAR * done / max(self.total, 1))
        arrow = ">" if filled < BAR else ""
        bar = "=" * (filled - len(arrow) * (filled > 0)) + arrow
        per_step = f" {spent / steps * 1000:.0f}ms/step" if steps else ""
        figures = "".join(f" - {name}: {value:.4f}" for name, value in logs.items())
        return f"{done}/{self.total} [{bar:.<{BAR}}] - {spent:.0f}s{per_step}{figures}"

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
