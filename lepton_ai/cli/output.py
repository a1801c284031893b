"""What the commands print: lines for people, or exactly one JSON document for machines.

Exit codes: 0 done, 1 a :class:`~lepton_ai.errors.LeptonError`, 2 a command that cannot be (typer
says so), 3 data that the quality gate stopped.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Generator
from contextvars import ContextVar
from typing import Any, TextIO

import typer

from lepton_ai.errors import GateError, LeptonError

FAILED, GATE_BLOCKED = 1, 3
debugging: ContextVar[bool] = ContextVar("debugging", default=False)


class Output:
    """The output of one command.

    Args:
        as_json: Whether a machine reads it.
        stream: Standard output.
    """

    def __init__(self, as_json: bool, stream: TextIO) -> None:
        self.as_json, self.stream = as_json, stream
        self.answered = False

    def say(self, line: object = "") -> None:
        """A line for people; machines do not get it."""
        if not self.as_json:
            self.stream.write(f"{line}\n")
            self.stream.flush()

    def answer(self, document: Any, text: object | None = None) -> None:
        """The result: the document for machines, the text (if any) for people."""
        self.answered = True
        if self.as_json:
            self.stream.write(json.dumps(_plain(document), ensure_ascii=False) + "\n")
            self.stream.flush()
        elif text is not None:
            self.say(text)


@contextlib.contextmanager
def answering(as_json: bool) -> Generator[Output]:
    """Run a command's body: errors become one line and an exit code.

    While a machine reads, whatever libraries print goes to standard error.
    """
    output = Output(as_json, sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            yield output
    except LeptonError as error:
        if debugging.get():
            raise
        _refuse(output, type(error).__name__, str(error))
        raise typer.Exit(GATE_BLOCKED if isinstance(error, GateError) else FAILED) from None
    except (typer.Exit, KeyboardInterrupt):
        raise
    except Exception as error:
        if debugging.get():
            raise
        told = f"{type(error).__name__}: {error} (lepton --debug ... shows where)"
        _refuse(output, type(error).__name__, told)
        raise typer.Exit(FAILED) from None


def _refuse(output: Output, kind: str, message: str) -> None:
    line = " ".join(message.split())
    if output.as_json and not output.answered:
        output.answer({"error": {"type": kind, "message": line}})
    red = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    sys.stderr.write(("\x1b[31merror:\x1b[0m " if red else "error: ") + line + "\n")


def _plain(value: Any) -> Any:
    """JSON values only: numbers that are none become null, paths become text."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return str(value)


def table(titles: list[str], rows: list[list[Any]]) -> str:
    """Columns side by side, as wide as their longest cell.

    Example:
        >>> print(table(["name", "size"], [["a", 1]]))
        name  size
        a     1
    """
    cells = [[str(cell) for cell in row] for row in [titles, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(titles))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
