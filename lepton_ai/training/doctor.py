"""Doctor: looks a model over before or after training, and says what is wrong and what to type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lepton_ai.data.encoding import Encoded, encode_inputs, encode_targets
from lepton_ai.training.diagnosis import Diagnosis, diagnose
from lepton_ai.training.finding import Checkup, Finding, sorted_findings
from lepton_ai.training.habits import label_leak, loss_trend, shared_rows, untrained_weights
from lepton_ai.training.meeting import as_data, met
from lepton_ai.training.run import Run
from lepton_ai.training.symptoms import (
    Patient,
    dead_units,
    gradient_sizes,
    loss_scale,
    not_finite,
    softmax_twice,
)
from lepton_ai.training.trial import run_trial, sample_of

__all__ = ["Checkup", "Diagnosis", "Finding", "diagnose", "doctor", "examine"]

LOOKS: dict[str, Callable[[Patient], Iterator[Finding]]] = {
    "not finite": not_finite,
    "dead units": dead_units,
    "softmax twice": softmax_twice,
    "scale of the loss": loss_scale,
    "sizes of gradients": gradient_sizes,
    "untrained weights": untrained_weights,
    "trend of the loss": loss_trend,
    "label leak": label_leak,
    "shared rows": shared_rows,
}
"""What is looked for, in this order."""


def doctor(
    model: Any, data: Any, *, validation_data: Any = None, run: Run | None = None, seed: int = 0
) -> Checkup:
    """Look a model over, before or after training; it is left as it is.

    A few hundred examples are run forwards and back. Found are: a loss that is not a number, dead
    units, a softmax of a softmax, a loss that starts far from guessing, gradients that vanish or
    explode, weights that are not trained, a learning rate that is too high or too low, a column
    that gives the answer away, and validation examples that were trained on.

    Args:
        model: Fitted, or not: then a copy of it meets the data.
        data: Training data, as ``fit`` takes it; plain inputs and targets as ``(x, y)``.
        validation_data: What the epochs were judged on, in the same forms.
        run: The training to judge; the model's last one when ``None``.
        seed: Which examples are taken, and what is drawn.

    Raises:
        LeptonError: The data does not fit the model.

    Example:
        >>> import numpy as np
        >>> import lepton_ai as lai
        >>> network = lai.models.Sequential([
        ...     lai.layers.Dense(8, activation="relu", input_shape=(3,)), lai.layers.Dense(1)])
        >>> network.compile(optimizer="adam", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> doctor(network, (x, 1e6 * x.sum(axis=1))).findings[0].name
        'target_scale'
    """
    training = as_data(model, data)
    if not model.bound:
        model = met(model, training, seed)
    typed = model.task.typed(training.require())
    validation = None
    if validation_data is not None:
        validation = model.task.typed(as_data(model, validation_data).require())
    encoded = encode_inputs(model.task.inputs, model.specs, typed.columns)
    encoded = encoded.merged(encode_targets(model.head, model.specs, typed.columns))
    patient = _patient(model, encoded, run if run is not None else model.run, seed=seed)
    patient.data, patient.validation = typed, validation
    return Checkup(
        f"{type(model).__name__}, {model.task!r}", len(sample_of(encoded, seed)), _looks(patient),
        tuple(LOOKS),
    )  # fmt: skip


def examine(
    model: Any, encoded: Encoded, run: Run | None = None, *,
    optimizer: torch.optim.Optimizer | None = None, before: dict[str, Tensor] | None = None,
    seed: int = 0,
) -> list[Finding]:  # fmt: skip
    """What is wrong with a bound model, for whoever holds its data encoded (the trainer does).

    Args:
        model: Bound; it is left as it is.
        encoded: Encoded inputs and targets.
        run: Its training so far.
        optimizer: Held against the weights that should learn.
        before: Weights before training by name, to see which did not change.
        seed: Which examples are taken, and what is drawn.
    """
    patient = _patient(model, encoded, run, seed=seed)
    patient.optimizer, patient.before = optimizer, before
    return _looks(patient)


def _patient(model: Any, encoded: Encoded, run: Run | None, *, seed: int) -> Patient:
    return Patient(model, encoded, run_trial(model, encoded, seed=seed), run)


def _looks(patient: Patient) -> list[Finding]:
    return sorted_findings([finding for look in LOOKS.values() for finding in look(patient)])
