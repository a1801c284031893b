"""ONNX Runtime: the same numbers from an engine made for inference."""

from __future__ import annotations

from typing import ClassVar

from lepton_ai.models.engines.onnxruntime import OnnxRuntime
from lepton_ai.models.model import Model
from lepton_ai.optimization.step import Bench, Step, described

variants = {"onnxruntime": "OnnxRuntimeStep"}


class OnnxRuntimeStep(Step):
    """Export to ONNX and run it in ONNX Runtime, float32."""

    rank: ClassVar[int] = 10
    package: ClassVar[str | None] = "onnxruntime"

    def apply(self, model: Model, bench: Bench) -> OnnxRuntime:
        graph = bench.graph(model)
        return OnnxRuntime(graph.data, **described(model, graph, threads=bench.threads))
