"""Narrator: tells what is being done, a line at a time, and keeps what it told."""

from __future__ import annotations

import sys
from typing import TextIO


class Narrator:
    """Writes lines, and keeps them.

    Args:
        verbose: 0 keeps the lines without writing them; everything else writes.
        stream: Where to; ``None`` takes standard output at the time of writing.

    Example:
        >>> narrator = Narrator(0)
        >>> narrator.say("3 classes")
        >>> narrator.text
        '3 classes'
    """

    def __init__(self, verbose: int | str = "auto", stream: TextIO | None = None) -> None:
        self.silent = verbose in (0, "0", False)
        self.stream = stream
        self.lines: list[str] = []

    def say(self, line: object) -> None:
        """Tell one thing; a text of several lines counts as told at once."""
        self.lines.append(str(line))
        if not self.silent:
            stream = self.stream or sys.stdout
            stream.write(f"{line}\n")
            stream.flush()

    @property
    def text(self) -> str:
        """All that was told."""
        return "\n".join(self.lines)
