"""Replicas: on a processor a batch is split over threads, not its operators.

At batches of 64 an operator gains almost nothing from a second thread. Here each thread works on
its own part of the batch with its own copy of the network (the parameters are shared, the gradients
are not) and one thread inside its operators.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Columns = dict[str, Tensor]
Part = Callable[[nn.Module, np.ndarray, Columns | None], tuple[Tensor, Tensor, Any]]
"""Works on some of a batch's examples (whose columns may be there already): sum of losses, their
count, and anything to keep."""


def splits_well(module: nn.Module) -> bool:
    """Whether a batch can be split: no batch statistics, no draws from the global generator."""
    from torch.nn.modules.batchnorm import _BatchNorm

    for part in module.modules():
        if isinstance(part, (_BatchNorm, nn.modules.dropout._DropoutNd)) or getattr(
            part, "uses_batch_statistics", False
        ):
            return False
        if isinstance(part, nn.RNNBase) and part.dropout > 0:
            return False
    return True


class Replicas:
    """Copies of a network that share its parameters and work on parts of a batch at once.

    Args:
        module: The network; it is the first replica itself.
        count: How many replicas, one thread each.
    """

    def __init__(self, module: nn.Module, count: int) -> None:
        self.modules = [module]
        for _ in range(count - 1):
            twin = copy.deepcopy(module)
            for own, shared in zip(twin.parameters(), module.parameters(), strict=True):
                own.data = shared.data
            self.modules.append(twin)
        self.parameters = [
            [p for p in replica.parameters() if p.requires_grad] for replica in self.modules
        ]
        self.pool = ThreadPoolExecutor(max(count - 1, 1), "lepton-replica") if count > 1 else None
        self.threads = torch.get_num_threads()

    def __enter__(self) -> Replicas:
        if self.pool is not None:
            torch.set_num_threads(1)
        return self

    def __exit__(self, *error: object) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            torch.set_num_threads(self.threads)

    def train(self) -> None:
        """Put all replicas into training mode."""
        for module in self.modules:
            module.train()

    def step(
        self, batches: Sequence[tuple[np.ndarray, Columns | None]], part: Part
    ) -> tuple[Tensor, Tensor, Sequence[Any]]:
        """Work on one or more batches; then the first replica holds the gradient of the mean loss.

        Returns:
            Sum of the losses, their count, and what each part kept.
        """
        for own in self.parameters:
            for parameter in own:
                parameter.grad = None
        if self.pool is None and len(batches) == 1:
            indices, columns = batches[0]
            total, count, kept = part(self.modules[0], indices, columns)
            (total / count).backward()
            return total.detach(), count, [kept]
        results: list[tuple[Tensor, Tensor, Any]] = []
        for indices, columns in batches:
            results += self._one(indices, columns, part)
        total = torch.stack([result[0] for result in results]).sum()
        count = torch.stack([result[1] for result in results]).sum()
        self._gather(count)
        return total, count, [result[2] for result in results]

    def _one(
        self, indices: np.ndarray, columns: Columns | None, part: Part
    ) -> list[tuple[Tensor, Tensor, Any]]:
        if self.pool is None or len(indices) < 2 * len(self.modules):
            return [self._part(0, indices, columns, part)]
        pieces = np.array_split(indices, len(self.modules))
        waiting = [
            self.pool.submit(self._part, place, piece, None, part)
            for place, piece in enumerate(pieces[1:], 1)
        ]
        return [self._part(0, pieces[0], None, part), *(w.result() for w in waiting)]

    def _part(
        self, place: int, indices: np.ndarray, columns: Columns | None, part: Part
    ) -> tuple[Tensor, Tensor, Any]:
        if self.pool is not None:
            torch.set_num_threads(1)
        total, count, kept = part(self.modules[place], indices, columns)
        total.backward()
        return total.detach(), count.detach(), kept

    def _gather(self, count: Tensor) -> None:
        """Add the gradients of the replicas and divide by the count of what the loss sums over."""
        first = self.parameters[0]
        live = [p for p in first if p.grad is not None]
        own = [p.grad for p in live if p.grad is not None]
        for others in self.parameters[1:]:
            pairs = zip(first, others, strict=True)
            grads = [q.grad for p, q in pairs if p.grad is not None and q.grad is not None]
            if grads:
                torch._foreach_add_(own, grads)
        torch._foreach_mul_(own, 1.0 / max(float(count), 1.0))
