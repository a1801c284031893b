"""ONNX Runtime answers in the place of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lepton_ai.errors import ArtifactError
from lepton_ai.extras import require
from lepton_ai.models.engines.exported import Exported

variants = {"onnxruntime": "OnnxRuntime"}

FILE = "model.onnx"


class OnnxRuntime(Exported):
    """An ONNX graph in ONNX Runtime, on the processor.

    Args:
        graph: The bytes of an ONNX model, its weights inside.
        described: See :class:`~lepton_ai.models.engines.exported.Exported`.
    """

    def __init__(self, graph: bytes, **described: Any) -> None:
        super().__init__(**described)
        runtime = require("onnxruntime", extra="optimize", why="A model in the form 'onnxruntime'")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.thread_count
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong comes as an exception too
        # Threads that wait by spinning take the processor from everything else between two calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.graph = graph
        self.session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self.session.run(list(self.outputs), given)

    def save(self, folder: Path) -> None:
        (folder / FILE).write_bytes(self.graph)

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> OnnxRuntime:
        """Read the graph.

        Raises:
            ArtifactError: ONNX Runtime cannot run it.
        """
        runtime = require("onnxruntime", extra="optimize", why="A model in the form 'onnxruntime'")
        errors = runtime.capi.onnxruntime_pybind11_state
        try:
            return cls((folder / FILE).read_bytes(), **config)
        except (errors.Fail, errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument,
                errors.NotImplemented, TypeError, OSError) as error:  # fmt: skip
            raise ArtifactError(f"ONNX Runtime cannot run {folder / FILE}: {error}") from error

    def megabytes(self) -> float:
        return len(self.graph) / 1e6
