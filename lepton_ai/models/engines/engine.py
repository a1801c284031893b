"""Engine: answers in the place of the network. Encoded columns go in, outputs come out.

Everything else of a model (reading, encoding, decoding, scores) stays as it is, so whatever
predicts with an engine is still the same model of the same task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor


class Engine(ABC):
    """A compiled, quantised or exported form of a model's network and head.

    Attributes:
        precision: ``"float32"``, ``"bfloat16"`` or ``"int8"``.
    """

    precision: str = "float32"

    @abstractmethod
    def __call__(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded columns of a batch (as ``Encoded.slice`` gives them) to outputs."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the form into an empty folder: no pickle, no code."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> Engine:
        """Read what :meth:`save` wrote; the artifact has verified every hash by then."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Plain JSON values that :meth:`load` needs (names of inputs and outputs, precision)."""

    @abstractmethod
    def megabytes(self) -> float:
        """Size of the form."""
