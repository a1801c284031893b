"""The figures of each epoch as a line of a file."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"csv_logger": "CSVLogger"}


class CSVLogger(Callback):
    """Write the figures of each epoch as a line of a CSV file.

    A run that is resumed goes on after the line of its checkpoint: lines of epochs that are
    trained again are not in the file twice.

    Args:
        filename: The file; its folder is made when it is missing.
        separator: What stands between two values.
        append: Whether to go on in a file that exists; its columns stay as they are.

    Raises:
        ConfigError: ``separator`` is not one character.

    Example:
        >>> import tempfile
        >>> CSVLogger(tempfile.mkdtemp() + "/history.csv").separator
        ','
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ConfigError(
                f"Expected one character as the separator; received {separator!r}. Type: "
                "separator=','"
            )
        self.filename, self.separator, self.append = os.fspath(filename), separator, append

    def on_train_begin(self, trainer: Trainer) -> None:
        self._columns: list[str] | None = None
        self._size: int | None = None  # None: nothing was written in this run

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        path = Path(self.filename)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._size is None and self.append and path.exists():
            self._columns = self._columns_of(path)
            self._size = _whole_lines(path)
        start = min(self._size or 0, path.stat().st_size if path.exists() else 0)
        values: dict[str, Any] = {"epoch": epoch, **logs}
        rows: list[list[Any]] = []
        if self._columns is None or not start:
            self._columns = self._columns or list(values)
            rows.append(self._columns)
        rows.append([values.get(name, "") for name in self._columns])
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerows(rows)
        with path.open("r+b" if path.exists() else "xb") as file:
            file.truncate(start)
            file.seek(start)
            file.write(text.getvalue().encode())
            self._size = file.tell()

    def _columns_of(self, path: Path) -> list[str] | None:
        """The columns of a file that exists, ``None`` when it is empty."""
        with path.open(encoding="utf8", newline="") as file:
            return next(csv.reader(file, delimiter=self.separator), None)

    def state(self) -> dict[str, Any]:
        return {"columns": self._columns, "size": self._size}

    def restore(self, state: dict[str, Any]) -> None:
        self._columns, self._size = state["columns"], state["size"]


def _whole_lines(path: Path) -> int:
    """The size of a file, its last line closed where it was not."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.write(b"\n")
        return file.tell()
