"""OpenVINO with weights and activations in 8 bits, calibrated by NNCF."""

from __future__ import annotations

import io
from typing import Any, ClassVar

from lepton_ai.extras import require
from lepton_ai.models.engines.openvino import OpenVino, runtime, without_telemetry
from lepton_ai.models.model import Model
from lepton_ai.optimization.quiet import quiet
from lepton_ai.optimization.step import Bench, Step, described

variants = {"openvino_int8": "OpenVinoInt8"}


class OpenVinoInt8(Step):
    """Post-training quantisation, the ranges of the activations from the calibration data."""

    rank: ClassVar[int] = 40
    package: ClassVar[str | None] = "nncf"

    def applies(self, model: Model) -> str | None:
        runtime()  # before NNCF, which would import it with its telemetry
        return None

    def apply(self, model: Model, bench: Bench) -> OpenVino:
        graph = bench.graph(model)
        feeds = bench.feeds(model)
        openvino = runtime()
        with quiet(), without_telemetry():
            nncf = require("nncf", extra="optimize", why="optimize(...) to int8")
            whole = openvino.Core().read_model(io.BytesIO(graph.data))
            more: dict[str, Any] = {}
            if "Softmax" in graph.operators:  # attention wants its own scheme
                more["model_type"] = nncf.ModelType.TRANSFORMER
            small = nncf.quantize(whole, nncf.Dataset(feeds), subset_size=len(feeds), **more)
        told = {"precision": "int8", "threads": bench.threads}
        return OpenVino(small, **described(model, graph, **told))
