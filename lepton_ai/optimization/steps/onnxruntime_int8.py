"""ONNX Runtime with whole numbers: weights, and where it helps activations, in 8 bits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lepton_ai.errors import LeptonError
from lepton_ai.extras import require
from lepton_ai.models.engines.onnxruntime import OnnxRuntime
from lepton_ai.models.model import Model
from lepton_ai.optimization.quiet import quiet
from lepton_ai.optimization.step import Bench, Step, described

variants = {"onnxruntime_int8": "OnnxRuntimeInt8"}


class NothingToQuantize(LeptonError, ValueError):
    """A graph without an operator that gains from 8 bits."""


class OnnxRuntimeInt8(Step):
    """Weights of each channel in 8 bits.

    Convolutions get activations in 8 bits too, their ranges from the calibration data (static, with
    quantise and dequantise operators); recurrent and linear networks get theirs at run time
    (dynamic), since their ranges vary with the text.
    """

    rank: ClassVar[int] = 50
    package: ClassVar[str | None] = "onnxruntime"

    def apply(self, model: Model, bench: Bench) -> OnnxRuntime:
        graph = bench.graph(model)
        with quiet(), tempfile.TemporaryDirectory(prefix="lepton-") as folder:
            source, target = Path(folder, "model.onnx"), Path(folder, "int8.onnx")
            source.write_bytes(graph.data)
            source = _prepared(source)
            if "Conv" in graph.operators:
                _static(source, target, bench.feeds(model))
            elif graph.operators & {"MatMul", "Gemm", "LSTM", "GRU", "Attention"}:
                _dynamic(source, target)
            else:
                raise NothingToQuantize(
                    f"nothing to quantise among {', '.join(sorted(graph.operators))}"
                )
            data = target.read_bytes()
        more = {"precision": "int8", "threads": bench.threads}
        return OnnxRuntime(data, **described(model, graph, **more))


def _prepared(source: Path) -> Path:
    """The graph with its constants folded and its shapes known, where that can be done."""
    require("onnxruntime.quantization", extra="optimize", why="optimize(...)")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = source.with_name("prepared.onnx")
    try:
        quant_pre_process(str(source), str(target))
    except Exception:  # it gives up on some free shapes; quantising works without
        return source
    return target


def _static(source: Path, target: Path, feeds: list[dict[str, np.ndarray]]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(feeds)

        def get_next(self) -> Any:
            return next(self.left, None)

    quantize_static(
        str(source), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True
    )


def _dynamic(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True)
