"""What engines that run an exported graph share: named tensors in, named tensors out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.models.engines.engine import Engine


class Exported(Engine):
    """Runs a graph; what belongs to the inputs but not to the graph goes around it.

    Args:
        inputs: Names of the encoded columns that the graph reads, in its order.
        outputs: Names of what it returns, in its order.
        fields: Names of the task's inputs; their companions (``image.size``) go to the outputs.
        precision: ``"float32"``, ``"bfloat16"`` or ``"int8"``.
        threads: Threads inside one call; ``None`` takes as many as torch does.
    """

    def __init__(
        self, *, inputs: Sequence[str], outputs: Sequence[str], fields: Sequence[str],
        precision: str = "float32", threads: int | None = None,
    ) -> None:  # fmt: skip
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.fields, self.precision, self.threads = tuple(fields), precision, threads

    def __call__(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        around = {
            name: value for name, value in columns.items()
            if name.startswith(tuple(f"{field}." for field in self.fields))
        }  # fmt: skip
        given = {name: columns[name].detach().cpu().contiguous().numpy() for name in self.inputs}
        arrays = self.run(given)
        return {**around, **{
            name: torch.from_numpy(array) for name, array in zip(self.outputs, arrays, strict=True)
        }}  # fmt: skip

    @abstractmethod
    def run(self, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Arrays by name to the outputs, in order; the arrays belong to the caller."""

    def config(self) -> dict[str, Any]:
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "fields": list(self.fields),
            "precision": self.precision,
            "threads": self.threads,
        }

    @property
    def thread_count(self) -> int:
        """Threads inside one call."""
        return self.threads or torch.get_num_threads()

    def __deepcopy__(self, memo: dict[int, Any]) -> Exported:
        return self  # nothing in it changes, and a running session cannot be copied
