"""Evaluation: the same function for a model, an optimised form and a remote service."""

from __future__ import annotations

import warnings
from typing import Any, Protocol, cast, runtime_checkable

import torch

from lepton_ai.data.column import take
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.encoding import Encoded, encode_inputs, encode_targets
from lepton_ai.data.transform import EpochTransforms
from lepton_ai.errors import LeptonWarning
from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.tasks.task import Task


@runtime_checkable
class Predictor(Protocol):
    """Whatever predicts: a model in memory, an int8 copy, an ONNX file, a remote service."""

    task: Task

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """Columns of predictions for examples."""


def evaluate(
    predictor: Predictor, data: Any, *, batch_size: int = 256,
    metrics: dict[str, Metric] | None = None,
) -> dict[str, float]:  # fmt: skip
    """How good a predictor is on data: its loss, where it can be reached, and its metrics.

    Args:
        predictor: A model, or what ``lai.connect`` gives.
        data: Examples with their expected outputs.
        batch_size: Examples predicted at once.
        metrics: Metrics to gather in, by name; they can be asked for their interval afterwards.
            ``None`` takes fresh ones of the task.

    Raises:
        DataError: The data lacks a column of the task, or has no example.
    """
    task = predictor.task
    typed = task.typed(as_dataset(data).require())
    if hasattr(predictor, "outputs"):
        figures = _evaluate_model(predictor, typed, batch_size, metrics)
        if cast("Any", predictor).head.exact_in_columns and not typed.transforms:  # type: ignore[attr-defined]
            figures |= _evaluate_columns(predictor, typed, batch_size, metrics)
        return figures
    return _evaluate_columns(predictor, typed, batch_size, metrics)


def _evaluate_model(
    model: Any, data: Dataset, batch_size: int, metrics: dict[str, Metric] | None = None
) -> dict[str, float]:
    inputs = encode_inputs(model.task.inputs, model.specs, data.columns)
    encoded = inputs.merged(encode_targets(model.head, model.specs, data.columns))
    transforms = None
    warn_of_random_transforms(data)
    if data.transforms:
        fields = {**model.task.inputs, **model.task.outputs}
        transforms = EpochTransforms(
            data.transforms, fields, count=len(data), seed=model.seed, epoch=-1
        )
    return evaluate_encoded(
        model, encoded, transforms=transforms, batch_size=batch_size, metrics=metrics
    )


def evaluate_encoded(
    model: Any, encoded: Encoded, *, transforms: EpochTransforms | None = None,
    batch_size: int = 256, metrics: dict[str, Metric] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Loss and metrics of a model over encoded examples."""
    metrics = _emptied(model.task, metrics)
    loss = Mean()
    was = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(encoded), batch_size):
            columns = encoded.slice(start, start + batch_size)
            if transforms is not None:
                stop = min(start + batch_size, len(encoded))
                columns = transforms(columns, torch.arange(start, stop))
            columns = {name: value.to(model.device) for name, value in columns.items()}
            outputs = model.outputs(columns)
            sums, counts = model.head.loss(outputs, columns)
            if "sample_weight" in columns:
                sums = sums * columns["sample_weight"]
            loss.update(sums.sum(), counts.sum())
            for want in dict.fromkeys(metric.wants for metric in metrics.values()):
                predicted, expected = model.head.measured(outputs, columns, want)
                for metric in metrics.values():
                    if metric.wants == want:
                        metric.update(predicted, expected)
    model.train(was)
    return {"loss": loss.compute(), **computed(metrics)}


def _evaluate_columns(
    predictor: Predictor, data: Dataset, batch_size: int,
    metrics: dict[str, Metric] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Metrics from columns alone, through the fields of the task's outputs."""
    task = predictor.task
    metrics = _emptied(task, metrics)
    inputs = data.select(list(task.inputs))
    for start in range(0, len(data), batch_size):
        indices = range(start, min(start + batch_size, len(data)))
        predictions = predictor.predict(inputs.take(list(indices)), batch_size=batch_size)
        expected = {name: take(data[name], list(indices)) for name in task.outputs}
        for metric in metrics.values():
            metric.update(*task.compared(predictions, expected, metric.wants))
    return computed(metrics)


def _emptied(task: Task, metrics: dict[str, Metric] | None) -> dict[str, Metric]:
    """The metrics given, empty, or fresh ones of the task."""
    if metrics is None:
        return task.metrics()
    for metric in metrics.values():
        metric.reset()
    return metrics


def warn_of_random_transforms(data: Dataset) -> None:
    """Say once what random transforms do to the figures of an evaluation."""
    drawn = [repr(transform) for transform in data.transforms if transform.random]
    if drawn:
        warnings.warn(
            f"{data.name!r} is evaluated with random transforms, as asked ({', '.join(drawn)}): "
            "each example is changed once, the same way every time, so the figures are those of "
            "changed examples, usually a little lower than without the transforms.",
            LeptonWarning,
            stacklevel=3,
        )


def computed(metrics: dict[str, Metric]) -> dict[str, float]:
    """The figures of some metrics."""
    return {name: metric.compute() for name, metric in metrics.items()}
