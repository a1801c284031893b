"""A trainer for tests of callbacks: figures are given, nothing is computed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch


class Stage:
    """What a callback sees of a trainer; the weights are the number of the epoch."""

    def __init__(self, metrics: dict[str, Any] | None = None) -> None:
        self.model = torch.nn.Linear(1, 1, bias=False)
        task = SimpleNamespace(metrics=lambda: metrics or {})
        object.__setattr__(self.model, "task", task)
        self.run = SimpleNamespace(
            id="run", seed=0, config={"epochs": 9}, history={}, metrics={}, folder=None
        )
        self.settings = SimpleNamespace(validation_freq=1, epochs=9)
        self.validation: Any = object()
        self.learning_rate = 1.0
        self.last_loss = 0.5
        self.steps, self.step_number, self.epoch = 2, 0, 0
        self.stopped: str | None = None
        self.notes: list[str] = []

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def weight(self) -> float:
        return float(self.model.weight.detach())

    def play(self, callback: Any, figures: list[dict[str, float]]) -> Stage:
        """Epochs with these figures, until the callback stops them."""
        callback.on_train_begin(self)
        for epoch, logs in enumerate(figures):
            self.epoch = epoch
            with torch.no_grad():
                self.model.weight.fill_(epoch)
            callback.on_epoch_begin(self, epoch)
            for _ in range(self.steps):
                self.step_number += 1
                callback.on_batch_end(self, self.step_number - 1)
            for name, value in logs.items():
                self.run.history.setdefault(name, []).append(value)
            callback.on_epoch_end(self, epoch, dict(logs))
            if self.stopped:
                break
        callback.on_train_end(self)
        return self


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def make_stage() -> type[Stage]:
    return Stage
