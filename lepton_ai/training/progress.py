"""Progress in the terminal, the notebook and log files, in the lines that Keras users know."""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
import unicodedata
from typing import Any, TextIO

BAR = 30
OFTEN, SELDOM = 0.1, 60.0
"""Seconds between two pictures of a live line, and between two lines in a log file."""
SHARE = 0.01
"""Share of the time that showing progress may take: slow terminals get fewer pictures."""
KEPT = 60
"""Lines that a notebook shows while training goes on."""

_WORDS = {
    "train": ("Train on {count} samples", "训练样本 {count} 个"),
    "validate": (", validate on {count} samples", "，验证样本 {count} 个"),
    "epoch": ("Epoch {number}/{epochs}", "第 {number}/{epochs} 轮"),
    "earlier": (
        "... {count} earlier lines; run.history holds every figure",
        "……已省略前面 {count} 行；全部数值见 run.history",
    ),
}


class Progress:
    """Lines of progress: a live line in a terminal, one display in a notebook, plain lines else.

    The words are Chinese where ``LEPTON_LANGUAGE`` begins with ``zh``.

    Args:
        verbose: 0 prints nothing, 1 a live line, 2 one line per epoch; ``"auto"`` is 1.
        total: Training samples in an epoch.
        epochs: Epochs in the run.
        stream: Where to; ``None`` takes the notebook's display, else standard output.
        every: Seconds between two lines within an epoch where the stream is no terminal.

    Example:
        >>> progress = Progress(1, total=64, epochs=2)
        >>> progress.begin(16)
        Train on 64 samples, validate on 16 samples
        >>> progress.epoch(0)
        Epoch 1/2
    """

    def __init__(
        self, verbose: int | str, *, total: int, epochs: int, stream: TextIO | None = None,
        every: float = SELDOM,
    ) -> None:  # fmt: skip
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self.total, self.epochs = total, epochs
        self.stream = stream or sys.stdout
        self.chinese = os.environ.get("LEPTON_LANGUAGE", "").lower().startswith("zh")
        live = self.verbose == 1
        self.notebook = Notebook() if live and stream is None and in_notebook() else None
        self.live = live and (self.notebook is not None or _is_terminal(self.stream))
        self.pause = OFTEN if self.live else every if live else math.inf
        self.next = math.inf
        """When the next picture is due; infinity while there is none to come."""
        self.started = time.perf_counter()
        self.width = 0

    def begin(self, validating: int | None) -> None:
        """The first line: how many samples."""
        text = self._say("train", count=self.total)
        self._put(text + (self._say("validate", count=validating) if validating else ""))

    def epoch(self, number: int) -> None:
        """``Epoch 1/10``."""
        self.started = time.perf_counter()
        self.next = self.started + self.pause if self.verbose == 1 else math.inf
        self._put(self._say("epoch", number=number + 1, epochs=self.epochs))

    @property
    def due(self) -> bool:
        """Whether new figures are wanted; cheap enough to be asked after every batch."""
        return time.perf_counter() > self.next

    def step(self, done: int, logs: dict[str, float]) -> None:
        """Show where the epoch is, when it is due: ten times a second at most."""
        before = time.perf_counter()
        if before <= self.next:
            return
        line = self._line(done, logs)
        if self.live:
            self._redraw(line if self.notebook else fitting(line, _columns()))
        else:
            self._put(line)
        now = time.perf_counter()
        self.next = now + max(self.pause, (now - before) / SHARE)

    def end(self, steps: int, logs: dict[str, float]) -> None:
        """The line that stays: ``50000/50000 [====] - 39s 0ms/step - loss: 2.3065 - ...``."""
        self.next = math.inf
        self._put(self._line(self.total, logs, steps))

    def note(self, text: str) -> None:
        """A line of its own."""
        self._put(text)

    def _say(self, key: str, **values: object) -> str:
        return _WORDS[key][self.chinese].format(**values)

    def _line(self, done: int, logs: dict[str, float], steps: int | None = None) -> str:
        spent = time.perf_counter() - self.started
        filled = min(int(BAR * done / max(self.total, 1)), BAR)
        arrow = ">" if filled < BAR else ""
        bar = "=" * (filled - len(arrow) * (filled > 0)) + arrow
        per_step = f" {spent / steps * 1000:.0f}ms/step" if steps else ""
        figures = "".join(f" - {name}: {shown(value)}" for name, value in logs.items())
        return f"{done}/{self.total} [{bar:.<{BAR}}] - {spent:.0f}s{per_step}{figures}"

    def _redraw(self, line: str) -> None:
        """The live line, in the place of the one before."""
        if self.notebook is not None:
            self.notebook.show(line, self._say)
            return
        width = columns_of(line)
        self._write("\r" + line + " " * max(self.width - width, 0))
        self.width = width

    def _put(self, line: str) -> None:
        """A line that stays; what is left of a live line is covered."""
        if not self.verbose:
            return
        if self.notebook is not None:
            self.notebook.keep(line, self._say)
            return
        cover = " " * max(self.width - columns_of(line), 0)
        self._write(("\r" if self.width else "") + line + cover + "\n")
        self.width = 0

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:  # a log file in an encoding without these characters
            plain = getattr(self.stream, "encoding", None) or "ascii"
            self.stream.write(text.encode(plain, "replace").decode(plain))
        self.stream.flush()


class Notebook:
    """One display of a notebook, brought up to date in its place; its text needs no widgets."""

    def __init__(self) -> None:
        from IPython.display import display  # there: it was found among the loaded modules

        self.lines: list[str] = []
        self.handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def keep(self, line: str, say: Any) -> None:
        """Add a line that stays."""
        self.lines.append(line)
        self.show(None, say)

    def show(self, live: str | None, say: Any) -> None:
        """The lines that stay, and the live one below them."""
        lines = [*self.lines, live] if live is not None else self.lines
        if len(lines) > KEPT:
            left = len(lines) - KEPT
            lines = [lines[0], say("earlier", count=left), *lines[1 + left :]]
        self.handle.update({"text/plain": "\n".join(lines)}, raw=True)


def in_notebook() -> bool:
    """Whether a notebook runs this; IPython is not imported for that.

    Example:
        >>> in_notebook()
        False
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


def shown(value: float) -> str:
    """A figure with four decimals; small ones as 1.2e-05, so that they do not read 0.0000.

    Example:
        >>> shown(2.30654), shown(0.000012), shown(0.0)
        ('2.3065', '1.2e-05', '0.0000')
    """
    return f"{value:.1e}" if 0 < abs(value) < 5e-5 else f"{value:.4f}"


def columns_of(text: str) -> int:
    """Columns that a text takes in a terminal: a Chinese character takes two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitting(line: str, columns: int) -> str:
    """A line that fits into a terminal: first the bar gets shorter, then the end is left out.

    Example:
        >>> fitting("8/9 [========>.] - 1s - loss: 1.2", 28)
        '8/9 [====>] - 1s - loss: 1.2'
    """
    over = columns_of(line) - columns
    start, stop = line.find("["), line.find("]")
    if over > 0 and 0 <= start < stop:
        bar = line[start + 1 : stop]
        size = max(len(bar) - over, 5)
        filled = round(size * bar.count("=") / len(bar))
        short = ("=" * filled + ">" * (filled < size)).ljust(size, ".")
        line = f"{line[: start + 1]}{short}{line[stop:]}"
    while columns_of(line) > columns:
        line = line[:-1]
    return line


def _columns() -> int:
    return max(shutil.get_terminal_size().columns - 1, 10)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no such method, or a closed stream
        return False
