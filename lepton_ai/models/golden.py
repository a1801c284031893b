"""Golden examples: raw inputs with all that the model made of them, replayed against every form.

They hold the raw input, the encoded tensors, the outputs and the predictions, so that the first
stage at which a form differs can be named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.column import as_column, item
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.data.field import Field
from lepton_ai.errors import CertificateError


@dataclass
class Golden:
    """What a model answered to some raw inputs.

    Attributes:
        inputs: Rows of raw inputs, as JSON.
        encoded: Encoded columns by name.
        outputs: Outputs by name, float32.
        predictions: Rows of predictions, as JSON.
    """

    inputs: list[dict[str, Any]]
    encoded: dict[str, Tensor]
    outputs: dict[str, Tensor]
    predictions: list[dict[str, Any]]


@dataclass
class Replay:
    """How far a form is from the golden answers.

    Attributes:
        stage: The first stage that differs (``"encoding"``, ``"outputs"``, ``"decoding"``), or
            ``None`` when all agree.
        difference: Largest distance between scores.
        agreement: Share of equal decisions.
    """

    stage: str | None
    difference: float
    agreement: float

    def require(self, form: str) -> None:
        """Refuse a form that does not answer like the original.

        Raises:
            CertificateError: Some stage differs; the message names the first.
        """
        if self.stage is not None:
            raise CertificateError(
                f"Expected {form} to answer like the model that was saved; the {self.stage} "
                f"differs first (agreement {self.agreement:.1%}, largest difference of scores "
                f"{self.difference:.2g}). Save the model again from the run that made it."
            )


def rows_as_json(columns: dict[str, Any], fields: dict[str, Field]) -> list[dict[str, Any]]:
    """Columns to rows of JSON; companions such as ``label.scores`` become lists."""
    count = len(next(iter(columns.values())))
    rows = []
    for index in range(count):
        row = {}
        for name, column in columns.items():
            value = item(column, index)
            if name in fields:
                row[name] = fields[name].to_json(value)
            else:
                row[name] = np.asarray(value).tolist()
        rows.append(row)
    return rows


def columns_from_json(rows: list[dict[str, Any]], fields: dict[str, Field]) -> dict[str, Any]:
    """Rows of JSON to columns of fields."""
    return {
        name: field.read(as_column([field.from_json(row[name]) for row in rows]))
        for name, field in fields.items()
    }


def _stages(model: Any, columns: dict[str, Any]) -> tuple[dict, dict, list[dict[str, Any]]]:
    was = model.training
    model.eval()
    with torch.inference_mode():
        encoded = encode_inputs(model.task.inputs, model.specs, columns)
        batch = encoded.slice(0, len(encoded))
        outputs = model.outputs({k: v.to(model.device) for k, v in batch.items()})
        outputs = {k: v.detach().float().cpu().contiguous() for k, v in outputs.items()}
        decoded = model.head.decode(outputs, model.specs)
    model.train(was)
    return batch, outputs, rows_as_json(decoded, model.task.outputs)


def record(model: Any) -> Golden:
    """What the model answers to its golden examples."""
    inputs = rows_as_json(model.golden.select(list(model.task.inputs)).columns, model.task.inputs)
    batch, outputs, predictions = _stages(model, columns_from_json(inputs, model.task.inputs))
    return Golden(inputs, {k: v.contiguous() for k, v in batch.items()}, outputs, predictions)


def replay(
    model: Any, golden: Golden, *, tolerance: float = 1e-4, agreement: float = 1.0
) -> Replay:
    """Put the golden inputs through a form of the model, raw, and compare every stage.

    Args:
        model: The model or the form, with its own reading and encoding.
        golden: What the original answered.
        tolerance: Largest difference of outputs, relative to their size.
        agreement: Smallest share of equal decisions.
    """
    batch, outputs, predictions = _stages(
        model, columns_from_json(golden.inputs, model.task.inputs)
    )
    difference = _furthest(outputs, golden.outputs)
    same = [
        all(_apart(field, a[n], b[n]) <= 1e-3 for n, field in model.task.outputs.items())
        for a, b in zip(predictions, golden.predictions, strict=True)
    ]
    share = sum(same) / max(len(same), 1)
    stage = None
    if _furthest(batch, golden.encoded) > 1e-6:
        stage = "encoding"
    elif difference > tolerance:
        stage = "outputs"
    elif share < agreement:
        stage = "decoding"
    return Replay(stage, difference, share)


def _apart(field: Field, a: Any, b: Any) -> float:
    """Distance of two values given as JSON."""
    return field.distance(field.from_json(a), field.from_json(b))


def _furthest(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """Largest difference of tensors by name, relative to the larger of 1 and their size."""
    if set(a) != set(b):
        return float("inf")
    furthest = 0.0
    for name, first in a.items():
        second = b[name]
        if first.shape != second.shape:
            return float("inf")
        if first.numel():
            size = max(1.0, float(second.double().nan_to_num().abs().max()))
            gap = (first.double().nan_to_num() - second.double().nan_to_num()).abs().max()
            furthest = max(furthest, float(gap) / size)
    return furthest
