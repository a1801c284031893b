"""What is gathered over the training batches of one epoch, and a mean of the weights."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.metrics.metric import Mean, Metric


class Tally:
    """Loss and metrics of the training batches of one epoch."""

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self.metrics = {n: m for n, m in metrics.items() if m.while_training}
        self.loss = Mean()
        self.wanted = tuple(dict.fromkeys(metric.wants for metric in self.metrics.values()))

    def measured(self, head: Any, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Any:
        """Predicted and expected values, once for each kind that the metrics want."""
        return {want: head.measured(outputs, targets, want) for want in self.wanted}

    def add(self, total: Tensor, count: Tensor, parts: Sequence[Any]) -> None:
        """Add one batch."""
        self.loss.update(total, count)
        for kept in parts:
            for metric in self.metrics.values():
                metric.update(*kept[metric.wants])

    def logs(self) -> dict[str, float]:
        """The figures so far."""
        return {"loss": self.loss.compute(), **{n: m.compute() for n, m in self.metrics.items()}}

    def state(self) -> dict[str, Any]:
        """What was gathered so far."""
        return {
            "loss": self.loss.state(),
            "metrics": {name: metric.state() for name, metric in self.metrics.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.loss.restore(state["loss"])
        for name, metric in self.metrics.items():
            metric.restore(state["metrics"][name])


class Average:
    """A running mean of the weights (EMA), which is often better than the last weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        floats = [b for b in model.buffers() if b.is_floating_point()]
        self.live = [p for p in model.parameters() if p.requires_grad] + floats
        self.mean = [p.detach().clone() for p in self.live]
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights; early on the mean forgets faster."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.live], 1 - decay)

    @torch.no_grad()
    def keep(self) -> None:
        """Put the mean into the model."""
        torch._foreach_copy_([p.detach() for p in self.live], self.mean)

    @contextmanager
    def swapped(self) -> Generator[None]:
        """The mean in the model while a block runs."""
        with torch.no_grad():
            kept = [p.detach().clone() for p in self.live]
            self.keep()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_([p.detach() for p in self.live], kept)

    def state(self) -> dict[str, Any]:
        """The mean and how many steps it has followed."""
        return {"mean": self.mean, "steps": self.steps}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        torch._foreach_copy_(self.mean, state["mean"])
        self.steps = state["steps"]
