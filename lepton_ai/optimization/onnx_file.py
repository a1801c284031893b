"""ONNX files of models, checked against the model itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.encoding import Encoded, encode_inputs
from lepton_ai.errors import CertificateError, ConfigError
from lepton_ai.models.engines.onnxruntime import OnnxRuntime
from lepton_ai.models.model import Model
from lepton_ai.optimization.graph import Graph, example_batch, export

TOLERANCE = 1e-4


def to_onnx(
    model: Model, path: str | os.PathLike[str], *, data: Any = None, tolerance: float = TOLERANCE
) -> Graph:
    """Write a model as an ONNX file with any batch size, checked against the model itself.

    What goes in are encoded columns (pictures as bytes ``[N, height, width, channels]``, numbers,
    class or word numbers), since pre-processing, network and head are all in the graph; what comes
    out are the head's outputs, before decoding.

    Args:
        model: A fitted model.
        path: The file to write, usually ``.onnx``.
        data: Some examples to export and compare with; the model's golden ones, else samples of
            its fields, when ``None``.
        tolerance: Largest difference from the model's own outputs that is accepted.

    Returns:
        The graph that was written: its inputs, outputs and operators.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        NotReadyError: The model was not fitted.
        CertificateError: The file does not answer like the model; nothing is written then.
    """
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise ConfigError(
            f"Expected the path of a file in a folder that exists; received {target}. "
            "Type: to_onnx(model, 'model.onnx')."
        )
    encoded = _examples(model.ready(), data)
    graph = export(model, encoded)
    _compare(model, graph, encoded, tolerance)
    part = target.with_name(target.name + ".part")
    part.write_bytes(graph.data)
    part.replace(target)
    return graph


def _examples(model: Model, data: Any) -> Encoded:
    """Encoded inputs of at least two examples."""
    fields = model.task.inputs
    if data is not None:
        chosen: Dataset = as_dataset(data)
    elif model.golden is not None:
        chosen = model.golden
    else:
        rng = np.random.default_rng(0)
        sampled = {name: [f.sample(rng) for _ in range(3)] for name, f in fields.items()}
        chosen = Dataset(sampled, fields)
    typed = model.task.typed(chosen.require(), targets=False)
    places = np.resize(np.arange(min(len(typed), 64)), max(2, min(len(typed), 64)))
    return encode_inputs(fields, model.specs, typed.take(places).columns)


def _compare(model: Model, graph: Graph, encoded: Encoded, tolerance: float) -> None:
    """Refuse a graph that answers otherwise, for another batch size than it was exported with."""
    engine = OnnxRuntime(
        graph.data, inputs=graph.inputs, outputs=graph.outputs, fields=tuple(model.task.inputs)
    )
    columns = encoded.batch(np.arange(min(len(encoded), 3)))
    shown = example_batch(encoded)[0]
    for given in (columns, shown):
        was = model.training
        model.eval()
        with torch.no_grad():
            expected = model({name: value.to(model.device) for name, value in given.items()})
        model.train(was)
        received = engine(given)
        for name in graph.outputs:
            gap = (expected[name].cpu().double() - received[name].double()).abs()
            scale = max(1.0, float(expected[name].abs().max()))
            if float(gap.max()) > tolerance * scale:
                raise CertificateError(
                    f"Expected ONNX Runtime to answer like the model within {tolerance}; "
                    f"{name!r} differs by {float(gap.max()):.2g}. Nothing was written."
                )
