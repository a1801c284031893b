"""TensorFlow's models for inference, without TensorFlow: OpenVINO reads and runs them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lepton_ai.errors import ArtifactError, DataError, IntegrityError, ShapeError
from lepton_ai.models.engines.openvino import runtime
from lepton_ai.registry import mistaken

_TFLITE = b"TFL3"
_GRAPH = "saved_model.pb"


@dataclass(frozen=True)
class Port:
    """An input or output of a model.

    Attributes:
        name: What it is called.
        shape: Its sizes with the batch; None where any size will do.
        dtype: The type of its numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name} [{sizes}] {self.dtype}"


class TensorFlowModel:
    """A model of TensorFlow's that answers arrays; it cannot be trained.

    Args:
        graph: An ``openvino.Model``.
        path: Where it was read from.
        threads: Threads inside one call; ``None`` takes as many as torch does.

    Attributes:
        inputs: What goes in.
        outputs: What comes out.
    """

    def __init__(self, graph: Any, path: Path, *, threads: int | None = None) -> None:
        self.path = path
        self.inputs = [_port(port, f"input_{n}") for n, port in enumerate(graph.inputs)]
        self.outputs = [_port(port, f"output_{n}") for n, port in enumerate(graph.outputs)]
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        }
        try:
            self.compiled = runtime().Core().compile_model(graph, "CPU", settings)
        except RuntimeError as error:
            raise ArtifactError(f"OpenVINO cannot run {path}: {_first_line(error)}.") from error

    def predict(self, examples: Any, *, batch_size: int = 256) -> Any:
        """Answers to arrays: an array, or a dict by name where there are several outputs.

        Args:
            examples: An array ``[N, ...]``; a list of them in the order of ``inputs``, or a dict by
                name, where there are several inputs.
            batch_size: Examples answered at once, where the model does not fix their number.

        Raises:
            DataError: An input is missing, or holds other than numbers.
            ShapeError: An array is not of the shape that the model takes.
        """
        arrays = self._arrays(examples)
        count = len(arrays[0])
        if not count:
            raise DataError("Expected at least one example; received none.")
        fixed = next((port.shape[0] for port in self.inputs if port.shape), None)
        step = fixed or batch_size
        pieces: list[list[np.ndarray]] = [[] for _ in self.outputs]
        for start in range(0, count, step):
            part = [array[start : start + step] for array in arrays]
            size = len(part[0])
            if fixed and size < fixed:  # filled up with the last example
                part = [np.concatenate([a, np.repeat(a[-1:], fixed - size, 0)]) for a in part]
            results = self.compiled(dict(enumerate(part)))
            for place, found in enumerate(pieces):
                found.append(np.array(results[place])[:size])
        answers = [np.concatenate(found) for found in pieces]
        if len(answers) == 1:
            return answers[0]
        return {port.name: answer for port, answer in zip(self.outputs, answers, strict=True)}

    def _arrays(self, examples: Any) -> list[np.ndarray]:
        if isinstance(examples, Mapping):
            missing = [port.name for port in self.inputs if port.name not in examples]
            if missing:
                raise DataError(
                    f"Expected the inputs {self._told()}; {missing[0]!r} is missing from "
                    f"{', '.join(map(str, examples)) or 'nothing'}."
                    f"{mistaken(missing[0], map(str, examples))}"
                )
            given: Sequence[Any] = [examples[port.name] for port in self.inputs]
        elif len(self.inputs) == 1:
            given = [examples]
        elif isinstance(examples, (list, tuple)):
            given = examples
        else:
            given = [examples]
        if len(given) != len(self.inputs):
            raise DataError(f"Expected the inputs {self._told()}; received {len(given)} arrays.")
        arrays = [self._checked(p, a) for p, a in zip(self.inputs, given, strict=True)]
        if len({len(array) for array in arrays}) > 1:
            counts = ", ".join(str(len(array)) for array in arrays)
            raise ShapeError(f"Expected as many examples in each input; received {counts}.")
        return arrays

    def _checked(self, port: Port, value: Any) -> np.ndarray:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise DataError(f"Expected an array for {port}; {error}.") from error
        if array.dtype.kind not in "fiub":
            raise DataError(f"Expected numbers for {port}; received {array.dtype}.")
        fits = array.ndim == len(port.shape) and all(
            want is None or want == size
            for want, size in zip(port.shape[1:], array.shape[1:], strict=True)
        )
        if not fits:
            hint = (
                " Type x[None] for a single example." if array.ndim == len(port.shape) - 1 else ""
            )
            raise ShapeError(f"Expected {port}; received the shape {list(array.shape)}.{hint}")
        return np.ascontiguousarray(array, dtype=port.dtype)

    def _told(self) -> str:
        return "; ".join(map(str, self.inputs))

    def __repr__(self) -> str:
        outputs = "; ".join(map(str, self.outputs))
        return f"TensorFlowModel({self._told()} -> {outputs})"


def load_tensorflow(path: str | os.PathLike[str], *, threads: int | None = None) -> TensorFlowModel:
    """Read a model of TensorFlow's for inference: a ``.tflite`` file or a SavedModel's folder.

    TensorFlow itself is not needed; OpenVINO reads the graph and runs it on the processor.

    Args:
        path: The file or the folder.
        threads: Threads inside one call; ``None`` takes as many as torch does.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        ArtifactError: It is neither, or has operators that OpenVINO does not know.
        IntegrityError: It is missing or cut off.
    """
    place = Path(path)
    if not place.exists():
        raise IntegrityError(
            f"Expected a .tflite file or the folder of a SavedModel; {place} is missing."
        )
    if place.is_dir():
        _check_folder(place)
    else:
        with place.open("rb") as opened:
            head = opened.read(8)
        if head[4:8] != _TFLITE:
            raise ArtifactError(
                f"Expected a .tflite file or the folder of a SavedModel; {place} begins with "
                f"{head!r} and is neither. For .keras and .h5 type lai.models.load_keras(path)."
            )
    try:
        graph = runtime().Core().read_model(place)
    except RuntimeError as error:
        raise ArtifactError(
            f"OpenVINO cannot read {place}: it is cut off, or has operators that OpenVINO does not "
            f"know ({_first_line(error)})."
        ) from error
    return TensorFlowModel(graph, place, threads=threads)


def _check_folder(place: Path) -> None:
    if not (place / _GRAPH).is_file():
        raise ArtifactError(
            f"Expected the folder of a SavedModel; {place} has no {_GRAPH}. In Keras type: "
            "model.export(folder)."
        )
    inside = place.resolve()
    for part in place.rglob("*"):
        if part.is_symlink() and not part.resolve().is_relative_to(inside):
            raise IntegrityError(f"Expected files inside {place}; {part.name!r} leads out of it.")


def _port(port: Any, usual: str) -> Port:
    names = sorted(port.get_names(), key=lambda name: (len(name), name))
    name = names[0].removesuffix(":0") if names else usual
    for prefix in ("serving_default_", "serve_"):
        name = name.removeprefix(prefix)
    sizes = tuple(s.get_length() if s.is_static else None for s in port.get_partial_shape())
    return Port(name, sizes, np.dtype(port.get_element_type().to_dtype()))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
