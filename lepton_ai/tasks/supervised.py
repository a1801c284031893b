"""Supervised: what ``compile(loss=..., metrics=...)`` asks, for programs written as in Keras."""

from __future__ import annotations

from typing import Any

from lepton_ai import losses
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.array import Array
from lepton_ai.heads.supervised import SupervisedHead
from lepton_ai.metrics.metric import Metric, get
from lepton_ai.tasks.task import Task

variants = {"supervised": "Supervised"}


class Supervised(Task):
    """Inputs to outputs by a loss of the user's choice; the network is whole, head included.

    Args:
        loss: Name of a loss, or a :class:`~lepton_ai.losses.loss.Loss`.
        metrics: Names of metrics, or metrics.
        activation: The activation at the network's end, which the loss takes into account.
    """

    def __init__(
        self, loss: Any = "mean_squared_error", metrics: Any = (), *,
        activation: str = "linear",
    ) -> None:  # fmt: skip
        super().__init__({"x": Array()}, {"y": Array()})
        self.loss = losses.get(loss)
        self.chosen = [get(metric) for metric in metrics]
        self.metric_names = [
            metric if isinstance(metric, str) else _snake(type(metric).__name__)
            for metric in metrics
        ]
        self.activation = activation
        self.plain: bool | None = True
        """Whether it was fitted on plain arrays: ``predict`` then returns a plain array."""

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        return 0.0  # asked for by compile() only

    @classmethod
    def needs(cls) -> str:
        return "raw"

    def adapt(self, data: Dataset) -> None:
        if self.plain is False:
            names = list(data.columns)
            self.inputs = {name: data.fields[name] for name in names[:-1]}
            self.outputs = {names[-1]: data.fields[names[-1]]}
        super().adapt(data)

    def metrics(self) -> dict[str, Metric]:
        fresh = {}
        for name, metric in zip(self.metric_names, self.chosen, strict=True):
            fresh[name] = type(metric)(**metric.config())
        return fresh

    @property
    def headline(self) -> str:
        return next(iter(self.metric_names), "loss")

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> SupervisedHead:
        return SupervisedHead(
            self.outputs[self.target], self.loss, name=self.target, activation=self.activation
        )

    @classmethod
    def example(cls) -> Supervised:
        task = cls("mean_squared_error", ["mean_absolute_error"])
        task.inputs = {"x": Array([4], False)}
        task.outputs = {"y": Array([1], False)}
        return task

    @classmethod
    def of(cls, inputs: dict[str, Field], outputs: dict[str, Field]) -> Supervised:
        task = cls()
        task.inputs, task.outputs = dict(inputs), dict(outputs)
        return task

    def settings(self) -> dict[str, Any]:
        return {
            "loss": self.loss.to_config(),
            "metrics": [
                [n, m.config()] for n, m in zip(self.metric_names, self.chosen, strict=True)
            ],
            "activation": self.activation,
            "plain": self.plain,
        }

    def restore(self, settings: dict[str, Any]) -> None:
        self.loss = losses.from_config(settings["loss"])
        self.metric_names = [name for name, _ in settings["metrics"]]
        self.chosen = [type(get(name))(**arguments) for name, arguments in settings["metrics"]]
        self.activation = settings["activation"]
        self.plain = settings["plain"]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
