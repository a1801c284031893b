"""The exported graph: a model's pre-processing, network and head as one ONNX model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.column import Ragged
from lepton_ai.data.encoding import Encoded
from lepton_ai.extras import require
from lepton_ai.models.model import Model
from lepton_ai.optimization.quiet import quiet
from lepton_ai.optimization.recurrence import Standing, translations

OPSET = 20
SHORTEST = 5
"""Examples of differing length are shown to the exporter at least this long: it takes lengths of
one, and those equal to the batch, for fixed."""


@dataclass(frozen=True)
class Graph:
    """An ONNX model in memory.

    Attributes:
        data: The bytes of the model, weights inside.
        inputs: Names of the encoded columns that it reads.
        outputs: Names of the outputs, sorted.
        operators: Kinds of the operators in it (``"Conv"``, ``"Gemm"`` ...).
    """

    data: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: frozenset[str]


class Flat(nn.Module):
    """A model that takes its encoded columns as a tuple and returns its outputs as one."""

    def __init__(self, model: Model, inputs: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.model, self.inputs, self.outputs = model, inputs, outputs

    def forward(self, *columns: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(dict(zip(self.inputs, columns, strict=True)))
        return tuple(outputs[name] for name in self.outputs)


def export(model: Model, encoded: Encoded) -> Graph:
    """Export a model with free batch size, and free length where examples differ in it.

    Args:
        model: A fitted model on the processor.
        encoded: Some encoded inputs, at least two examples.
    """
    script = require("onnxscript", extra="optimize", why="optimize(...)")
    onnx = require("onnx", extra="optimize", why="optimize(...)")
    shown, free = example_batch(encoded)
    twin = exportable(model)
    with torch.no_grad():
        answered = twin({name: value.clone() for name, value in shown.items()})
    outputs = sorted(name for name in answered if name not in shown)
    flat = Flat(twin, list(shown), outputs).eval()
    with quiet(), torch.no_grad(), Standing():
        program: Any = torch.onnx.export(
            flat, tuple(shown.values()), dynamo=True, dynamic_shapes=(tuple(free.values()),),
            input_names=list(shown), output_names=outputs, opset_version=OPSET,
            external_data=False, verbose=False,
            custom_translation_table=translations(getattr(script, f"opset{OPSET}")),
        )  # fmt: skip
        proto = program.model_proto
    read = {name for node in proto.graph.node for name in node.input}
    read |= _read_inside(proto.graph) | {value.name for value in proto.graph.output}
    for value in [value for value in proto.graph.input if value.name not in read]:
        proto.graph.input.remove(value)
    onnx.checker.check_model(proto)
    return Graph(
        proto.SerializeToString(),
        tuple(value.name for value in proto.graph.input),
        tuple(value.name for value in proto.graph.output),
        frozenset(_operators(proto.graph)),
    )


def example_batch(encoded: Encoded) -> tuple[dict[str, Tensor], dict[str, dict[int, Any]]]:
    """Two examples as tensors, and which axes of each are free."""
    dynamic = torch.export.Dim.DYNAMIC
    chosen = list(range(min(2, len(encoded)))) or [0]
    lengths = encoded.lengths()
    if lengths is not None:
        chosen = lengths.argsort(kind="stable")[-2:].tolist()
    chosen = (chosen * 2)[:2]
    batch = encoded.batch(np.asarray(chosen))
    free: dict[str, dict[int, Any]] = {name: {0: dynamic} for name in batch}
    for name, column in encoded.columns.items():
        if isinstance(column, Ragged):
            free[name][1] = dynamic
            value = batch[name]
            short = SHORTEST - value.shape[1]
            if short > 0:
                pads = [0, 0] * (value.ndim - 2) + [0, short]
                batch[name] = F.pad(value, pads, value=encoded.fills.get(name, 0))
    return {name: value.contiguous() for name, value in batch.items()}, free


def exportable(model: Model) -> Model:
    """A copy on the processor, in inference mode, its weights in the plain memory layout."""
    from lepton_ai.optimization.form import twin

    copied = twin(model).to("cpu").eval()
    for holder in copied.modules():
        for name, value in list(holder._parameters.items()):
            if value is not None:
                holder._parameters[name] = nn.Parameter(
                    value.detach().clone(memory_format=torch.contiguous_format), False
                )
    copied.engine = None
    return copied


def _operators(graph: Any) -> set[str]:
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _operators(attribute.g)
    return found


def _read_inside(graph: Any) -> set[str]:
    """Names that the bodies of loops and branches read."""
    found: set[str] = set()
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                inner = attribute.g
                found |= {name for own in inner.node for name in own.input}
                found |= {value.name for value in inner.output} | _read_inside(inner)
    return found
