"""Scoring: the one number of an answer that is explained, for any examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.column import item, take
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

BATCH = 64


class Scorer:
    """Examples to the score of one answer: the predicted one, or the class asked for.

    A model gives ``head.score`` of its outputs; whatever else predicts gives the score that it
    returns beside its class, or minus the distance from its first answer.

    Args:
        predictor: Whatever predicts.
        example: The example whose answer is explained.
        target: A class to explain in the place of the predicted one.

    Attributes:
        prediction: What was predicted for the example, by name, scores included.
        target: The class asked for, or ``None``.
    """

    def __init__(self, predictor: Any, example: dict[str, Any], target: Any = None) -> None:
        self.predictor = predictor
        self.task = predictor.task
        self.local = hasattr(predictor, "outputs") and hasattr(predictor, "head")
        self.columns = predictor.predict(self.dataset([example]))
        self.prediction = {name: item(column, 0) for name, column in self.columns.items()}
        self.target = None if target is None else self._checked(target)
        if self.target is not None:
            name = self.task.target
            self.columns = {**self.columns, name: self.task.outputs[name].read([self.target])}

    def _checked(self, target: Any) -> str:
        name = self.task.target
        classes = getattr(self.task.outputs[name], "classes", None)
        if not classes or not isinstance(self.prediction[name], str):
            raise ConfigError(
                "Expected target=None: a target is one of the classes of an output that is a "
                f"class, and {name!r} is {type(self.task.outputs[name]).__name__}."
            )
        if str(target) not in classes:
            raise ConfigError(
                f"Expected a target out of {', '.join(classes[:20])}; received {target!r}."
                f"{near_miss(str(target), classes)}"
            )
        return str(target)

    def dataset(self, examples: Sequence[dict[str, Any]]) -> Dataset:
        """Examples as a data set of the task's inputs."""
        fields = self.task.inputs
        return Dataset({name: [row[name] for row in examples] for name in fields}, fields)

    def __call__(self, examples: Sequence[dict[str, Any]]) -> np.ndarray:
        """The scores of examples, ``[examples]``."""
        found = []
        for start in range(0, len(examples), BATCH):
            data = self.dataset(examples[start : start + BATCH])
            found.append(self._of_model(data) if self.local else self._of_columns(data))
        return np.concatenate(found) if found else np.zeros(0)

    def of_outputs(self, outputs: dict[str, Tensor], count: int) -> Tensor:
        """The scores of a model's outputs, ``[count]``; gradients flow through."""
        places = np.zeros(count, dtype=np.int64)
        wanted = {name: take(column, places) for name, column in self.columns.items()}
        return self.predictor.head.score(outputs, wanted)

    def _of_model(self, data: Dataset) -> np.ndarray:
        model = self.predictor
        encoded = encode_inputs(model.task.inputs, model.specs, data.columns)
        was = model.training
        model.eval()
        with torch.inference_mode():
            batch = {k: v.to(model.device) for k, v in encoded.slice(0, len(data)).items()}
            scores = self.of_outputs(model.outputs(batch), len(data))
        model.train(was)
        return scores.detach().double().cpu().numpy()

    def _of_columns(self, data: Dataset) -> np.ndarray:
        answers = self.predictor.predict(data, batch_size=BATCH)
        total = np.zeros(len(data))
        for name, field in self.task.outputs.items():
            first = self.prediction[name]
            if self.target is not None and name == self.task.target:
                first = self.target
            scores = answers.get(f"{name}.scores")
            classes = getattr(field, "classes", None)
            if classes and isinstance(first, str) and np.ndim(scores) == 2:
                total += np.asarray(scores, dtype=float)[:, classes.index(first)]
            else:
                total -= [field.distance(first, item(answers[name], i)) for i in range(len(data))]
        return total / len(self.task.outputs)
