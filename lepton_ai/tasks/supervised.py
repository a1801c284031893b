"""Supervised: what ``compile(loss=..., metrics=...)`` asks, for programs written as in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.array import Array
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError
from lepton_ai.heads.supervised import SupervisedHead
from lepton_ai.metrics.metric import Metric
from lepton_ai.tasks.judging import (
    Judge,
    OutputLoss,
    OutputMetric,
    as_loss,
    asked_of,
    for_classes,
    fresh,
    named_metrics,
    spread,
)
from lepton_ai.tasks.task import Task

variants = {"supervised": "Supervised"}


class Supervised(Task):
    """Inputs to outputs by losses of the user's choice; the network is whole, head included.

    What is given for several outputs is one for all, a list in their order, or a dict by name.

    Args:
        loss: Names of losses, objects of ``lai.losses``, or functions ``(expected, predicted)``.
        metrics: Names of metrics, or metrics.
        loss_weights: How much each output's loss counts in the sum, 1 where it is not said.
        weighted_metrics: Metrics that count examples by their ``sample_weight``.
        activation: The activation at the network's end, where it has one output.

    Raises:
        UnknownNameError: A name that no loss or metric has; the near miss is offered.
    """

    def __init__(
        self, loss: Any = "mean_squared_error", metrics: Any = (), *, loss_weights: Any = None,
        weighted_metrics: Any = (), activation: str = "linear",
    ) -> None:  # fmt: skip
        super().__init__({"x": Array()}, {"y": Array()})
        self.asked = {
            "loss": _mapped(loss, as_loss), "loss_weights": loss_weights,
            "metrics": metrics, "weighted_metrics": weighted_metrics,
        }  # fmt: skip
        for kind in ("metrics", "weighted_metrics"):  # a wrong name is told before any data is
            _mapped(self.asked[kind], lambda one: named_metrics(one) if one is not None else None)
        self.judges: dict[str, Judge] = {}
        self.activations: list[str] = [activation]
        self.plain: bool | None = True
        """Whether it was fitted on plain arrays: ``predict`` then returns plain arrays."""
        self.form: str = "single"
        """How plain answers are given: ``"single"``, ``"list"`` or ``"dict"``."""
        self.wired = False
        """Whether inputs and outputs are those of data that was met."""

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        return 0.0  # asked for by compile() only

    @classmethod
    def needs(cls) -> str:
        return "raw"

    def wire(
        self, inputs: dict[str, Field], outputs: dict[str, Field], *, plain: bool,
        form: str = "single",
    ) -> None:  # fmt: skip
        """Say which columns go in and come out, once data or a network has been met."""
        self.inputs, self.outputs, self.plain, self.form = inputs, outputs, plain, form
        self.wired = True
        self.judges = {}
        self.judge()

    def judge(self, names: Sequence[str] | None = None) -> dict[str, Judge]:
        """How each output is judged.

        Raises:
            ConfigError: Losses, weights or metrics do not match the outputs.
        """
        names = list(names or self.outputs)
        if list(self.judges) == names:
            return self.judges
        chosen = {kind: spread(self.asked[kind], names, kind) for kind in ("loss", "loss_weights")}
        wanted = {
            kind: spread(self.asked[kind], names, kind, several=True)
            for kind in ("metrics", "weighted_metrics")
        }
        missing = [name for name in names if chosen["loss"][name] is None]
        if missing:
            raise ConfigError(
                f"Expected a loss for each output; {', '.join(missing)} has none. Type: "
                f"loss={{{missing[0]!r}: 'mean_squared_error', ...}}."
            )
        ends = [*self.activations, *["linear"] * len(names)]
        self.judges = {
            name: Judge(
                chosen["loss"][name], _weight(name, chosen["loss_weights"][name]),
                named_metrics(wanted["metrics"][name]),
                named_metrics(wanted["weighted_metrics"][name], weighted=True), ends[place],
            )
            for place, name in enumerate(names)
        }  # fmt: skip
        return self.judges

    def end(self, activations: Sequence[str], names: Sequence[str] | None = None) -> None:
        """Take the activations at the network's ends, in the order of its outputs.

        Raises:
            ConfigError: A loss or a metric does not fit what comes out.
        """
        self.activations = list(activations)
        for (name, judge), activation in zip(self.judge(names).items(), activations, strict=True):
            judge.activation = activation
            self._check_loss(name, judge)
            if self.wired:
                self._check_metrics(name, judge)

    def _check_loss(self, name: str, judge: Judge) -> None:
        if judge.activation in ("softmax", "sigmoid") and judge.loss.__dict__.get("from_logits"):
            kind = type(judge.loss).__name__
            raise ConfigError(
                f"Expected outputs without an activation, as from_logits=True says; the layer of "
                f"{name!r} ends in {judge.activation}, which would be applied twice. Type: "
                f"loss=lai.losses.{kind}(), or leave the activation out."
            )

    def _check_metrics(self, name: str, judge: Judge) -> None:
        classes = judge.loss.__dict__.get("classes", getattr(judge.loss, "classes", False))
        ends = judge.activation in ("softmax", "sigmoid")
        if classes or ends or isinstance(self.outputs.get(name), Label):
            return
        for label, metric in {**judge.metrics, **judge.weighted}.items():
            if for_classes(metric) and not hasattr(judge.loss, "function"):
                raise ConfigError(
                    f"Expected metrics of quantities for {name!r}, which is judged by "
                    f"{type(judge.loss).__name__}; {label!r} needs probabilities of classes. Type: "
                    "metrics=['mean_absolute_error'], or a loss of classes."
                )

    def adapt(self, data: Dataset) -> None:
        if not self.wired and self.plain is not True:
            names = list(data.columns)
            self.wire(
                {name: data.fields[name] for name in names[:-1]},
                {names[-1]: data.fields[names[-1]]}, plain=False,
            )  # fmt: skip
        super().adapt(data)

    def metrics(self) -> dict[str, Metric]:
        judges = self.judge()
        found: dict[str, Metric] = {}
        if len(judges) > 1:
            found = {f"{name}_loss": OutputLoss(name) for name in judges}
        for name, judge in judges.items():
            before = f"{name}_" if len(judges) > 1 else ""
            classes = isinstance(self.outputs[name], Label) or judge.loss.classes
            for label, metric in judge.metrics.items():
                bare = len(judges) == 1 and (classes or not for_classes(metric))
                one = fresh(metric)
                found[before + label] = one if bare else OutputMetric(one, name)
            for label, metric in judge.weighted.items():
                key = before + label
                key = f"weighted_{key}" if key in found else key
                found[key] = OutputMetric(fresh(metric), name, weighing=True)
        return found

    @property
    def headline(self) -> str:
        judges = self.judge()
        losses_first = len(judges) if len(judges) > 1 else 0
        return next(iter(list(self.metrics())[losses_first:]), "loss")

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> SupervisedHead:
        return SupervisedHead(self.outputs, self.judge())

    def learned(self, specs: dict[str, Spec]) -> dict[str, Spec]:
        """The specs with quantities that come out in their own unit, as Keras programs have them.

        Losses and predictions are then those of the numbers in the data.
        """
        plain = {name: dict(spec) for name, spec in specs.items()}
        for name, field in self.outputs.items():
            if isinstance(field, Number):
                plain[name] |= {"mean": 0.0, "deviation": 1.0}
            if isinstance(field, Array):
                field.shape = None  # a class is expected as one number and answered as several
        return plain

    def plain_answers(self, columns: dict[str, Any]) -> Any:
        """Predictions as Keras programs have them: arrays, in the form of the outputs."""
        arrays = {
            name: columns[f"{name}.scores" if isinstance(field, Label) else name]
            for name, field in self.outputs.items()
        }
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        return arrays if self.form == "dict" else list(arrays.values())

    def compared(
        self, predictions: dict[str, Any], expected: dict[str, Any], wants: str
    ) -> tuple[Tensor, Any]:
        kind, name, weighted = asked_of(wants, self.target)
        field, judge = self.outputs[name], self.judge()[name]
        values = predictions[f"{name}.scores" if isinstance(field, Label) else name]
        answers = torch.as_tensor(values)
        targets = torch.as_tensor(field.to_tensor(field.read(expected[name]), _spec(field)))
        if kind == "loss":
            return judge.loss(answers.float(), targets, "linear")
        head = SupervisedHead({name: field}, {name: judge})
        found = head.compared(name, answers, targets, kind)
        return (found[0], (found[1], torch.ones(len(answers)))) if weighted else found

    @classmethod
    def example(cls) -> Supervised:
        task = cls("mean_squared_error", ["mean_absolute_error"])
        task.wire({"x": Array([4], False)}, {"y": Array([1], False)}, plain=True)
        return task

    @classmethod
    def of(cls, inputs: dict[str, Field], outputs: dict[str, Field]) -> Supervised:
        task = cls()
        task.wire(dict(inputs), dict(outputs), plain=True)
        return task

    def settings(self) -> dict[str, Any]:
        return {
            "judges": {name: judge.to_config() for name, judge in self.judge().items()},
            "plain": self.plain, "form": self.form,
        }  # fmt: skip

    def restore(self, settings: dict[str, Any]) -> None:
        self.judges = {name: Judge.from_config(c) for name, c in settings["judges"].items()}
        self.asked = {
            "loss": {name: judge.loss for name, judge in self.judges.items()},
            "loss_weights": {name: judge.weight for name, judge in self.judges.items()},
            "metrics": {name: list(j.metrics.values()) for name, j in self.judges.items()},
            "weighted_metrics": {n: list(j.weighted.values()) for n, j in self.judges.items()},
        }
        self.activations = [judge.activation for judge in self.judges.values()]
        self.plain, self.form, self.wired = settings["plain"], settings["form"], True


def _mapped(asked: Any, change: Any) -> Any:
    """A function of each value in one, a list or a dict of them."""
    if isinstance(asked, dict):
        return {name: _mapped(value, change) for name, value in asked.items()}
    if isinstance(asked, (list, tuple)):
        return [_mapped(value, change) for value in asked]
    return None if asked is None else change(asked)


def _weight(name: str, given: Any) -> float:
    if given is None:
        return 1.0
    if isinstance(given, bool) or not isinstance(given, (int, float)) or given < 0:
        raise ConfigError(
            f"Expected loss_weights of at least 0; received {given!r} for {name!r}. Type: "
            f"loss_weights={{{name!r}: 1.0}}."
        )
    return float(given)


def _spec(field: Field) -> Spec:
    return {"classes": field.known} if isinstance(field, Label) else {}
