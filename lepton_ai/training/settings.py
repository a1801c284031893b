"""Settings: how a model is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers import schedules
from lepton_ai.registry import near_miss

PRECISIONS = ("auto", "float32", "bfloat16")
RESUMES = (None, False, True, "exact", "close")
HOW_IT_IS_SHOWN = ("verbose", "callbacks", "resume", "checkpoint_every", "breakdown")
"""Settings that do not change what comes out."""


@dataclass
class Settings:
    """How a model is trained.

    Attributes:
        clip_norm: Largest norm of the whole gradient; ``None`` does not clip.
        clip_value: Largest size of each number in the gradient.
        average_decay: Decay of a running mean of the weights that is used in the end (EMA);
            ``None`` keeps the last weights.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the processor or
            card has it and the network gains from it.
        replicas: Threads that share a batch on a processor; ``None`` takes one for each core where
            the network is large enough to gain.
        gradient_accumulation_steps: Batches whose gradients make one step.
        validation_freq: Validate after every so many epochs.
        steps_per_epoch: Steps after which an epoch ends; ``None`` goes through all the data.
        initial_epoch: Number of the first epoch, from 0; earlier ones count as done.
        shuffle: Whether each epoch has an order of its own.
        checkpoint_every: Steps between checkpoints; ``None`` takes one about every minute, so that
            short runs write none; 0 never.
        resume: ``True`` or ``"exact"``: go on where an interrupted run of the same model, data and
            settings was, bit for bit. ``"close"``: also where threads or versions differ.
        breakdown: Whether the time of each part of a step is taken (``run.metrics["breakdown"]``).
    """

    epochs: int = 1
    batch_size: int = 32
    optimizer: Any = "adam"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Any = None
    clip_norm: float | None = None
    clip_value: float | None = None
    average_decay: float | None = None
    precision: str = "auto"
    replicas: int | None = None
    gradient_accumulation_steps: int = 1
    validation_freq: int = 1
    steps_per_epoch: int | None = None
    initial_epoch: int = 0
    shuffle: bool = True
    checkpoint_every: int | None = None
    resume: bool | str | None = None
    breakdown: bool = False
    verbose: int | str = "auto"
    callbacks: Sequence[Callback] = field(default_factory=tuple)

    def check(self) -> None:
        """Refuse what cannot be, with what to type."""
        self._check_counts()
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and not (_number(value) and value > 0):
                raise ConfigError(f"Expected {name} above 0, or None; received {value!r}.")
        decay = self.average_decay
        if decay is not None and not (_number(decay) and 0 < decay < 1):
            raise ConfigError(
                f"Expected average_decay between 0 and 1 (0.999), or None; received {decay!r}."
            )
        if self.precision not in PRECISIONS:
            raise ConfigError(
                f"Expected precision 'auto', 'float32' or 'bfloat16'; received {self.precision!r}."
                f"{near_miss(str(self.precision), PRECISIONS)}"
            )
        if self.resume not in RESUMES:
            raise ConfigError(
                f"Expected resume=True ('exact'), 'close' or None; received {self.resume!r}."
            )
        schedules.get(self.schedule)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    f"Expected callbacks of lai.callbacks.Callback; received "
                    f"{type(callback).__name__}."
                )

    def _check_counts(self) -> None:
        least = {
            "epochs": 1, "batch_size": 1, "gradient_accumulation_steps": 1, "validation_freq": 1,
            "initial_epoch": 0, "replicas": 1, "steps_per_epoch": 1, "checkpoint_every": 0,
        }  # fmt: skip
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is None and smallest <= 1 and name not in ("epochs", "batch_size"):
                continue
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not whole or value < smallest:
                above = "above 0" if smallest == 1 else "of at least 0"
                raise ConfigError(f"Expected {name} as a whole number {above}; received {value!r}.")
        if self.initial_epoch >= self.epochs:
            raise ConfigError(
                f"Expected initial_epoch below epochs ({self.epochs}); received "
                f"{self.initial_epoch}. epochs counts from the very first epoch, as in Keras."
            )

    def deciding(self) -> dict[str, Any]:
        """The settings that decide what comes out, as JSON values."""
        told = {name: value for name, value in vars(self).items() if name not in HOW_IT_IS_SHOWN}
        return {name: value if _plain(value) else repr(value) for name, value in told.items()}


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
