"""Step: one way to make a model faster. Read this first.

A step never judges itself: :func:`~lepton_ai.optimization.optimize.optimize` measures what it
made, beside the original, and keeps it only when it is faster and answers alike.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from lepton_ai.data.encoding import Encoded
from lepton_ai.errors import LeptonError
from lepton_ai.models.engines.engine import Engine
from lepton_ai.models.model import Model
from lepton_ai.optimization.graph import Graph, export

_PLACES = ("Exception from ", "Check '", "While executing ")
"""How lines begin that only say where in a converter an error was found."""


class CannotExport(LeptonError, RuntimeError):
    """A network that does not fit into an exported graph; the message says what stands against."""


class Bench:
    """What a step works with; the exported graph is made once and shared by all steps.

    Args:
        calibration: Encoded inputs that a quantised form may be calibrated on.
        threads: Threads inside one call of the form; ``None`` takes as many as torch does.

    Attributes:
        seconds: How long the export took, which no further step has to wait for.
    """

    def __init__(self, calibration: Encoded, *, threads: int | None = None) -> None:
        self.calibration, self.threads = calibration, threads
        self.seconds = 0.0
        self._made: dict[int, Graph | str] = {}

    def graph(self, model: Model) -> Graph:
        """The model's network and head as an ONNX graph, pre-processing inside.

        Raises:
            CannotExport: Some operator or shape does not fit into a graph.
        """
        if id(model) not in self._made:
            began = time.monotonic()
            try:
                self._made[id(model)] = export(model, self.calibration)
            except Exception as error:  # whatever torch.export stumbles over
                self._made[id(model)] = f"not exportable: {first_line(error)}"
            self.seconds += time.monotonic() - began
        made = self._made[id(model)]
        if isinstance(made, str):
            raise CannotExport(made)
        return made

    def batches(self, size: int = 8) -> Iterator[dict[str, Tensor]]:
        """The calibration data in batches."""
        for start in range(0, len(self.calibration), size):
            yield self.calibration.slice(start, start + size)

    def feeds(self, model: Model, size: int = 8) -> list[dict[str, np.ndarray]]:
        """The calibration data as arrays for the inputs of the exported graph."""
        names = self.graph(model).inputs
        return [
            {name: batch[name].contiguous().numpy() for name in names}
            for batch in self.batches(size)
        ]


class Step(ABC):
    """One way to make a model faster.

    Attributes:
        rank: Steps of lower rank are tried first, since the time may not reach for all.
        package: The package that it cannot do without, and ``extra`` which brings it.
    """

    rank: ClassVar[int] = 50
    package: ClassVar[str | None] = None
    extra: ClassVar[str] = "optimize"

    def applies(self, model: Model) -> str | None:
        """Why the step cannot be used on this model or machine; ``None`` when it can."""
        return None

    @abstractmethod
    def apply(self, model: Model, bench: Bench) -> Engine | Model:
        """Another form of the model: an engine, or a model of the same task.

        The model itself must stay as it is.
        """


def first_line(error: BaseException) -> str:
    """The first words of an error that say something, at most 200 characters."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_PLACES)]
    text = telling[0] if telling else ""
    if not isinstance(cause, LeptonError):
        text = f"{type(cause).__name__}: {text}" if text else type(cause).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def described(model: Model, graph: Graph, **more: Any) -> dict[str, Any]:
    """What an engine has to know about a graph."""
    return {
        "inputs": graph.inputs, "outputs": graph.outputs, "fields": list(model.task.inputs), **more,
    }  # fmt: skip
