"""Run: the record of something done to a model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_ai.errors import DataError
from lepton_ai.workspace import Workspace, as_workspace
from lepton_ai.workspace.files import replace_text, to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Run:
    """The record of something done to a model: settings, data, figures by epoch.

    Attributes:
        history: Name to one figure per epoch, as in Keras (``history["val_accuracy"]``).
        config: What was asked for, defaults filled in.
        seed: All draws follow from it.
        data: Digest and size of the training data.
        metrics: Single figures (``"seconds"``, ``"images_per_second"``).
        parent: The run whose model this one went on from.
        folder: Where it is kept.
    """

    id: str
    kind: str = "fit"
    history: dict[str, list[float]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    parent: str | None = None
    folder: Path | None = None
    started: str = ""
    status: str = "running"
    logs: list[dict[str, float]] = field(default_factory=list, repr=False)

    @property
    def epochs(self) -> int:
        """How many epochs are recorded."""
        return max((len(values) for values in self.history.values()), default=0)

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, as Keras's ``History`` has them."""
        return list(range(self.epochs))

    def record(self, logs: dict[str, float]) -> None:
        """Add the figures of one epoch; on the disk they are one line of ``history.jsonl``."""
        self.logs.append(dict(logs))
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        if self.folder is not None:
            with (self.folder / "history.jsonl").open("a", encoding="utf8") as file:
                file.write(_line(logs))

    def rewrite(self, logs: list[dict[str, float]]) -> None:
        """Take over the figures of the epochs that a checkpoint knows; later ones are undone."""
        self.logs = [dict(one) for one in logs]
        self.history = {}
        for one in logs:
            for name, value in one.items():
                self.history.setdefault(name, []).append(value)
        if self.folder is not None:
            replace_text(self.folder / "history.jsonl", "".join(map(_line, logs)))

    def save(self) -> None:
        """Write the record; without a folder nothing is written."""
        if self.folder is None:
            return
        record = {
            "id": self.id, "kind": self.kind, "config": self.config, "seed": self.seed,
            "data": self.data, "parent": self.parent, "started": self.started,
            "status": self.status,
            "metrics": {k: _json_number(v) for k, v in self.metrics.items()},
        }  # fmt: skip
        replace_text(self.folder / "run.json", to_json(record))

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a record back.

        Raises:
            DataError: The folder holds no run.
        """
        try:
            record = json.loads((folder / "run.json").read_text(encoding="utf8"))
            run = cls(**record, folder=folder)
            lines = folder / "history.jsonl"
            for line in lines.read_text(encoding="utf8").splitlines() if lines.exists() else []:
                logs = {k: math.nan if v is None else v for k, v in json.loads(line).items()}
                run.logs.append(logs)
                for name, value in logs.items():
                    run.history.setdefault(name, []).append(value)
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"Expected a run in {folder}; it cannot be read: {error}.") from error
        return run

    def plot(self, *, path: str | Path | None = None) -> Figure:
        """Draw the curves: one panel for each figure, training and validation together.

        Args:
            path: Where to save the picture; ``None`` only returns the figure.
        """
        from lepton_ai.training.curves import draw_curves

        return draw_curves(self, path=path)


def start_run(
    workspace: Workspace | str | Path | None, *, kind: str = "fit", keep: bool = True, **record: Any
) -> Run:
    """A new run, with a folder of its own when it is to be kept."""
    import time

    space = as_workspace(workspace)
    run = Run(id=space.new_id(), kind=kind, **record)
    run.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if keep:
        run.folder = space.folder("runs", run.id)
        run.save()
    return run


def list_runs(workspace: Workspace | str | Path | None = None) -> list[Run]:
    """All runs of a workspace, the newest first; folders that cannot be read are left out."""
    folder = as_workspace(workspace).path / "runs"
    found = []
    for path in sorted(folder.glob("*/run.json"), reverse=True) if folder.is_dir() else []:
        try:
            found.append(Run.open(path.parent))
        except DataError:
            continue
    return found


def _line(logs: dict[str, float]) -> str:
    return json.dumps({name: _json_number(value) for name, value in logs.items()}) + "\n"


def _json_number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
