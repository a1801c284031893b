"""Predicting: a data set through encoding, network and decoding, in batches."""

from __future__ import annotations

from typing import Any

import torch

from lepton_ai.data.column import concatenate, item
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.models import assembling, intake
from lepton_ai.models.gathering import gather
from lepton_ai.models.wiring import wire_inputs
from lepton_ai.registry import near_miss
from lepton_ai.tasks.supervised import Supervised


class Predicted:
    """``predict`` of models; mixed into :class:`~lepton_ai.models.model.Model`."""

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """Predict examples: columns named as in the data set, with scores beside them.

        Fitted on plain arrays it gives plain arrays, as Keras does.

        Args:
            examples: A data set, a mapping of columns, a frame, one example, a list of them, what
                gives batches, or plain values where the task has a single input.
            batch_size: Examples worked on at once, 256 when ``None``.
            options: What the head offers (a confidence, a beam width).

        Raises:
            NotReadyError: The model was not fitted.
            DataError: The examples are not what the task's fields expect.
        """
        model: Any = self
        options.pop("verbose", None)
        gathered = gather(examples)
        if not model.bound and model.module() is not None:
            model._stand(gathered.inputs)
        model.ready()
        data, single = intake.examples(model.task, gathered.inputs)
        columns = predict_columns(model, data, batch_size or 256, options)
        if single:
            columns = {name: item(column, 0) for name, column in columns.items()}
        task = model.task
        if isinstance(task, Supervised) and task.plain and model._plainly(gathered.inputs):
            return task.plain_answers(columns)
        return columns

    def _plainly(self, examples: Any) -> bool:
        """Whether plain arrays were asked, so that plain arrays are to be answered."""
        model: Any = self
        several = len(model.task.inputs) > 1
        return not isinstance(examples, Dataset) and (several or not isinstance(examples, dict))

    def _stand(self, examples: Any) -> None:
        """Build a network that was neither compiled nor fitted, to predict with it as it is."""
        model: Any = self
        task = model._task if isinstance(model._task, Supervised) else Supervised()
        if model._task is not None and not isinstance(model._task, Supervised):
            return
        if isinstance(examples, Dataset):
            raise NotReadyError(
                "Expected a fitted model for the columns of a Dataset; this one has not met any "
                "data. Type: model.fit(data)."
            )
        wire_inputs(task, examples, model.entries(), model.output_names())
        model._task = task
        data, _ = intake.examples(task, examples)
        fields = task.inputs
        entries = assembling.entries_of(model)
        model.specs = {
            name: field.learn(data[name], entries[name].wish(field))
            for name, field in fields.items()
        }
        model.specs |= {name: {} for name in task.outputs}
        model.build()


def predict_columns(
    model: Any, data: Dataset, batch_size: int, options: dict[str, Any]
) -> dict[str, Any]:
    """Columns of predictions for typed examples.

    Examples are encoded some thousands at a time, so that memory stays bounded.

    Raises:
        ConfigError: An option that the head does not offer.
    """
    known = model.head.options
    for name in options:
        if name not in known:
            raise ConfigError(
                f"Expected options out of {', '.join(known) or '(none)'}; received {name!r}."
                f"{near_miss(name, known)}"
            )
    pieces: dict[str, list[Any]] = {}
    was = model.training
    model.eval()
    window = max(batch_size * 16, 4096)
    try:
        with torch.inference_mode():
            for begin in range(0, len(data), window):
                stop = min(begin + window, len(data))
                part = data if stop - begin == len(data) else data.take(range(begin, stop))
                encoded = encode_inputs(model.task.inputs, model.specs, part.columns)
                for start in range(0, len(encoded), batch_size):
                    columns = encoded.slice(start, start + batch_size)
                    columns = {k: v.to(model.device) for k, v in columns.items()}
                    decoded = model.head.decode(model.outputs(columns), model.specs, **options)
                    for name, column in decoded.items():
                        pieces.setdefault(name, []).append(column)
    finally:
        model.train(was)
    return {name: concatenate(parts) for name, parts in pieces.items()}
