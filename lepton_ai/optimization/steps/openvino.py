"""OpenVINO: the same numbers from an engine made for inference."""

from __future__ import annotations

from typing import ClassVar

from lepton_ai.models.engines.openvino import OpenVino
from lepton_ai.models.model import Model
from lepton_ai.optimization.step import Bench, Step, described

variants = {"openvino": "OpenVinoStep"}


class OpenVinoStep(Step):
    """Export and run it in OpenVINO, float32."""

    rank: ClassVar[int] = 20
    package: ClassVar[str | None] = "openvino"

    def apply(self, model: Model, bench: Bench) -> OpenVino:
        graph = bench.graph(model)
        return OpenVino(graph.data, **described(model, graph, threads=bench.threads))
