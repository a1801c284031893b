"""OpenVINO answers in the place of the network."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lepton_ai.errors import ArtifactError
from lepton_ai.extras import require
from lepton_ai.models.engines.exported import Exported

variants = {"openvino": "OpenVino"}

FILE, WEIGHTS = "model.xml", "model.bin"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
_UNSAFE = re.compile(rb"\x80[\x00-\x06]|PK|\x93NUMPY")
_SHIFT = 64


@contextmanager
def without_telemetry() -> Generator[None]:
    """Import OpenVINO and its tools without the part that reports their use over the network."""
    name = "openvino_telemetry"
    modules: dict[str, Any] = sys.modules
    absent = name not in modules
    if absent:
        modules[name] = None  # importing it fails then, as if it were not installed
    try:
        yield
    finally:
        if absent:
            modules.pop(name, None)


def runtime() -> ModuleType:
    """The module ``openvino``, which calls nobody."""
    with without_telemetry():
        return require("openvino", extra="optimize", why="A model in the form 'openvino'")


class OpenVino(Exported):
    """A graph in OpenVINO, on the processor.

    Args:
        model: An ``openvino.Model``, or the bytes of an ONNX model.
        described: See :class:`~lepton_ai.models.engines.exported.Exported`.
    """

    def __init__(self, model: Any, **described: Any) -> None:
        super().__init__(**described)
        core = runtime().Core()
        self.model = core.read_model(io.BytesIO(model)) if isinstance(model, bytes) else model
        settings = {
            # Left to itself OpenVINO computes in bfloat16 wherever the processor can.
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": self.thread_count,
        }
        self.compiled = core.compile_model(self.model, "CPU", settings)
        self._requests = threading.local()

    def run(self, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        request = getattr(self._requests, "request", None)
        if request is None:  # a request serves one thread at a time
            request = self._requests.request = self.compiled.create_infer_request()
        results = request.infer(given, share_inputs=True)
        return [results[place] for place in range(len(self.outputs))]

    def save(self, folder: Path) -> None:
        runtime().save_model(self.model, folder / FILE, compress_to_fp16=False)
        shift_weights(folder / FILE, folder / WEIGHTS)

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> OpenVino:
        """Read the graph and its weights.

        Raises:
            ArtifactError: OpenVINO cannot run them.
        """
        core = runtime().Core()
        try:
            return cls(core.read_model(folder / FILE), **config)
        except (RuntimeError, TypeError, KeyError) as error:
            raise ArtifactError(f"OpenVINO cannot run {folder / FILE}: {error}") from error

    def megabytes(self) -> float:
        constants = (op for op in self.model.get_ops() if op.get_type_name() == "Constant")
        return sum(op.get_byte_size() for op in constants) / 1e6


def shift_weights(graph: Path, weights: Path) -> None:
    """Begin the weights with zeros where their first bytes would look like a pickle or archive.

    A saved model refuses such files, and numbers may begin with any bytes.
    """
    with weights.open("rb") as opened:
        if not _UNSAFE.match(opened.read(8)):
            return
    text = graph.read_text(encoding="utf8")
    shifted = re.sub(
        r'(<data\b[^>]*?\boffset=")(\d+)("[^>]*?\bsize=")',
        lambda found: f"{found[1]}{int(found[2]) + _SHIFT}{found[3]}", text,
    )  # fmt: skip
    graph.write_text(shifted, encoding="utf8")
    weights.write_bytes(bytes(_SHIFT) + weights.read_bytes())
