"""The figures of a run for MLflow."""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError
from lepton_ai.extras import require

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"mlflow": "MLflow"}

_LONGEST = 6000
_AT_ONCE = 100


class MLflow(Callback):
    """Write settings and figures of a run to an MLflow tracking server.

    A run that is resumed goes on in the same MLflow run.

    Args:
        experiment: The experiment; it is made when it is missing.
        run_name: What MLflow calls the run; the run's own name when ``None``.
        tracking_uri: The server (``"http://localhost:5000"``); MLflow's own setting
            (``MLFLOW_TRACKING_URI``) when ``None``.
        tags: Further tags of the run.

    Raises:
        MissingExtraError: The package ``mlflow`` is not installed.

    Example:
        >>> MLflow("flowers", tracking_uri="http://localhost:5000").experiment
        'flowers'
    """

    def __init__(
        self, experiment: str = "lepton", run_name: str | None = None, *,
        tracking_uri: str | None = None, tags: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        if not isinstance(experiment, str) or not experiment:
            raise ConfigError(f"Expected the name of an experiment; received {experiment!r}.")
        self.experiment, self.run_name = experiment, run_name
        self.tracking_uri, self.tags = tracking_uri, dict(tags or {})

    def on_train_begin(self, trainer: Trainer) -> None:
        client = require("mlflow", extra="mlflow", why="MLflow(...)").MlflowClient
        self._client = client(tracking_uri=self.tracking_uri)
        self._id: str | None = None

    def _run(self, trainer: Trainer) -> str:
        """The MLflow run, begun when it is first needed: a restored state comes before."""
        if self._id is None:
            found = self._client.get_experiment_by_name(self.experiment)
            experiment = (
                found.experiment_id if found else self._client.create_experiment(self.experiment)
            )
            tags = {"lepton.run": trainer.run.id, "lepton.seed": str(trainer.run.seed), **self.tags}
            name = self.run_name or trainer.run.id
            begun = self._client.create_run(experiment, run_name=name, tags=tags)
            self._id = str(begun.info.run_id)
            for key, value in trainer.run.config.items():
                self._client.log_param(self._id, key, str(value)[:_LONGEST])
        return self._id

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        entities = require("mlflow.entities", extra="mlflow", why="MLflow(...)")
        now = int(time.time() * 1000)
        figures = {**logs, "learning_rate": trainer.learning_rate}
        metrics = [
            entities.Metric(name, float(value), now, epoch)
            for name, value in figures.items()
            if math.isfinite(value)
        ]
        run = self._run(trainer)
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(run, metrics=metrics[start : start + _AT_ONCE])

    def on_train_end(self, trainer: Trainer) -> None:
        if self._id is not None:
            self._client.set_terminated(self._id, "FINISHED")

    def state(self) -> dict[str, Any]:
        return {"id": self._id}

    def restore(self, state: dict[str, Any]) -> None:
        self._id = state["id"]
        if self._id is not None:
            self._client.update_run(self._id, status="RUNNING")

    def __repr__(self) -> str:
        return re.sub(r"//[^@/]*@", "//...@", super().__repr__())  # a server may hold a password
