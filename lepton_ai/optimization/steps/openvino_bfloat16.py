"""OpenVINO in bfloat16, where the processor computes in it."""

from __future__ import annotations

from typing import ClassVar

from lepton_ai.models.engines.openvino import OpenVino, runtime
from lepton_ai.models.model import Model
from lepton_ai.optimization.step import Bench, Step, described

variants = {"openvino_bfloat16": "OpenVinoBfloat16"}


class OpenVinoBfloat16(Step):
    """Export and run it in OpenVINO, with 8 bits of mantissa and the range of float32."""

    rank: ClassVar[int] = 30
    package: ClassVar[str | None] = "openvino"

    def applies(self, model: Model) -> str | None:
        able = runtime().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return None if "BF16" in able else "this processor does not compute in bfloat16"

    def apply(self, model: Model, bench: Bench) -> OpenVino:
        graph = bench.graph(model)
        more = {"precision": "bfloat16", "threads": bench.threads}
        return OpenVino(graph.data, **described(model, graph, **more))
