"""Symptoms of networks: dead units, gradients that vanish or explode, losses that start wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import Encoded
from lepton_ai.training.diagnosis import diagnose
from lepton_ai.training.finding import Finding
from lepton_ai.training.run import Run
from lepton_ai.training.trial import Trial, mean_loss, run_batch

DEAD = 0.7
"""Share of a layer's units that never answer, from which it is told."""
FAR = 10.0
"""How many times the loss of guessing a first loss may be."""
FAINT, FIERCE = 1e-6, 1e6
"""Gradient of the first layers over that of the last, between which all is well."""


@dataclass
class Patient:
    """What the doctor looks at.

    Attributes:
        model: Bound.
        encoded: Its data as tensors.
        trial: What a batch of it showed.
        run: Its training, if it was trained.
        optimizer: PyTorch's optimiser, where it is at hand.
        before: Weights before training by name, where they are at hand.
        data: The data as it was given, for what concerns its columns.
        validation: Likewise.
    """

    model: Any
    encoded: Encoded
    trial: Trial
    run: Run | None = None
    optimizer: torch.optim.Optimizer | None = None
    before: dict[str, Tensor] | None = None
    data: Dataset | None = None
    validation: Dataset | None = None
    _guess: float | None = field(default=None, repr=False)

    @property
    def trained(self) -> bool:
        """Whether some epoch was recorded."""
        return self.run is not None and self.run.epochs > 0

    @property
    def guess(self) -> float:
        """The loss of the best answer that does not look at the input; NaN when unknown."""
        if self._guess is None:
            self._guess = _guess_loss(self)
        return self._guess


def not_finite(patient: Patient) -> Iterator[Finding]:
    """A loss that is not a number, traced to where it comes from."""
    if math.isfinite(patient.trial.training_loss):
        return
    columns = patient.trial.columns
    found = diagnose(patient.model, lambda: run_batch(patient.model, columns))
    yield Finding(
        "not_finite", found.where or ", ".join(found.columns) or "loss",
        f"the loss of a batch is {patient.trial.training_loss}: {found}",
        "nothing can be learned from a loss that is not a number",
        "lai.check(data)" if found.kind == "input" else
        "model.fit(..., learning_rate=..., clip_norm=1.0, precision='float32')",
        "blocks",
    )  # fmt: skip


def dead_units(patient: Patient) -> Iterator[Finding]:
    """Units behind a ReLU that give 0 for every example."""
    for units in patient.trial.units:
        dead, count = int((~units.alive).sum()), len(units.alive)
        if count >= 4 and dead > DEAD * count:
            yield Finding(
                "dead_units", _named(units.path, units.kind),
                f"{dead} of {count} units give 0 for all of "
                f"{len(next(iter(patient.trial.columns.values()))):,} examples",
                "a unit that gives 0 for everything gets no gradient and never learns again",
                "a lower learning_rate; activation='leaky_relu' or 'gelu'; BatchNormalization() "
                "before the activation",
                "blocks" if dead == count else "warns",
            )  # fmt: skip


def softmax_twice(patient: Patient) -> Iterator[Finding]:
    """Probabilities that the loss takes for logits: a softmax of a softmax learns slowly."""
    model, columns = patient.model, patient.trial.columns
    for name, value in patient.trial.outputs.items():
        if not value.is_floating_point() or value.ndim < 2:
            continue
        axis = _shares_axis(value)
        if axis is None:
            continue
        with torch.no_grad():
            once = mean_loss(model, patient.trial.outputs, columns)
            moved = mean_loss(model, {**patient.trial.outputs, name: value + 1.0}, columns)
        if math.isfinite(once) and math.isclose(once, moved, rel_tol=1e-4, abs_tol=1e-6):
            yield Finding(
                "softmax_twice", name,
                f"every row of {name!r} is between 0 and 1 and sums to 1 already, and the loss "
                "takes the softmax of it again",
                f"scores stay between 0 and 1, so the loss cannot fall below "
                f"{_least_twice(value.shape[axis]):.2f} and gradients are small",
                "take the Softmax layer (or activation='softmax') away at one of the two places",
            )  # fmt: skip


def _shares_axis(value: Tensor) -> int | None:
    """The axis along which all numbers are shares of 1, if there is one."""
    flat = value.detach().float()
    if not bool(torch.isfinite(flat).all()) or float(flat.min()) < 0:
        return None
    for axis in (value.ndim - 1, 1):
        if flat.shape[axis] > 1 and bool(((flat.sum(axis) - 1).abs() < 1e-3).all()):
            return axis
    return None


def _least_twice(classes: int) -> float:
    """The least cross-entropy of a softmax whose logits are shares: one 1, all others 0."""
    return math.log(math.e + classes - 1) - 1


def loss_scale(patient: Patient) -> Iterator[Finding]:
    """A first loss far above that of guessing, or targets on a scale of their own."""
    loss, guess = patient.trial.loss, patient.guess
    if not (math.isfinite(loss) and math.isfinite(guess)):
        return
    yield from _target_scale(patient)
    largest = _largest_input(patient)
    if not patient.trained and guess > 0 and loss > FAR * guess:
        cause = f"; the largest input is {largest:.3g}" if largest > 20 else ""
        yield Finding(
            "loss_scale", "loss",
            f"before training it is {loss:.3g}, guessing gives {guess:.3g}{cause}",
            "the first steps go into undoing the start, and large gradients may break it",
            _scaling(largest) if largest > 20 else
            "smaller first weights (kernel_initializer), or a scaled target",
        )  # fmt: skip
    elif patient.trained and patient.run and patient.run.epochs >= 5 and loss > 0.98 * guess:
        yield Finding(
            "no_better_than_guessing", "loss",
            f"after {patient.run.epochs} epochs it is {loss:.4g}, guessing gives {guess:.4g}",
            "the network uses nothing of its input",
            "lai.find_learning_rate(model, data) for another learning_rate; lai.check(data) for "
            "the labels",
        )  # fmt: skip


def _scaling(largest: float) -> str:
    how = "x / 255" if 200 < largest <= 255 else "(x - x.mean(axis=0)) / x.std(axis=0)"
    return f"scale the inputs: x = {how}, or put lai.layers.BatchNormalization() first"


def _target_scale(patient: Patient) -> Iterator[Finding]:
    pair = _same_shape_target(patient)
    if pair is None:
        return
    _, target = pair
    spread, middle = float(target.std(correction=0)), float(target.mean())
    if spread > 100 or abs(middle) > 100 * max(spread, 1.0):
        name = patient.model.task.target
        yield Finding(
            "target_scale", name,
            f"its mean is {middle:.4g}, its deviation {spread:.4g}",
            "the loss and its gradients grow with the square of the target, outputs start near 0",
            f"standardise it: y = (y - {middle:.4g}) / {max(spread, 1e-12):.4g}",
        )  # fmt: skip


def _same_shape_target(patient: Patient) -> tuple[str, Tensor] | None:
    """The output that answers a target of numbers: its name, and the target in its shape."""
    target = patient.trial.columns.get(patient.model.task.target)
    if target is None or not target.is_floating_point():
        return None
    for name, value in patient.trial.outputs.items():
        plain = value.is_floating_point() and value.numel() == target.numel()
        if plain and len(value) == len(target):
            return name, target.reshape(value.shape).to(value.dtype)
    return None


def _guess_loss(patient: Patient) -> float:
    model, columns = patient.model, patient.trial.columns
    outputs = dict(patient.trial.outputs)
    pair = _same_shape_target(patient)
    losses = []
    try:
        with torch.no_grad():
            zeros = {
                n: torch.zeros_like(v) if v.is_floating_point() and n not in columns else v
                for n, v in outputs.items()
            }
            losses.append(mean_loss(model, zeros, columns))
            if pair is not None:
                name, target = pair
                constant = target.mean(0, keepdim=True).expand_as(target)
                losses.append(mean_loss(model, {**outputs, name: constant}, columns))
    except (RuntimeError, ValueError, KeyError, IndexError):
        return math.nan  # outputs that this head cannot judge when they are made up
    return min((loss for loss in losses if math.isfinite(loss)), default=math.nan)


def _largest_input(patient: Patient) -> float:
    prepared = patient.model.prepared(patient.trial.columns)
    sizes = [
        float(value.abs().nan_to_num(0.0).max())
        for name, value in prepared.items()
        if name in patient.model.task.inputs and value.is_floating_point() and value.numel()
    ]
    return max(sizes, default=0.0)


def gradient_sizes(patient: Patient) -> Iterator[Finding]:
    """Gradients that fade away, or grow, on their way back through the layers."""
    layers = [
        (name, float(grad.float().square().mean().sqrt()))
        for name, grad in patient.trial.gradients.items()
        if grad is not None and grad.ndim > 1 and bool(torch.isfinite(grad).all())
    ]
    layers = [(name, size) for name, size in layers if size > 0]
    if len(layers) >= 4:
        early, late = layers[0], layers[-1]
        ratio = early[1] / late[1]
        if ratio < FAINT or ratio > FIERCE:
            faint = ratio < FAINT
            yield Finding(
                "vanishing_gradients" if faint else "exploding_gradients", _owner(early[0]),
                f"the gradient of {early[0]!r} is {early[1]:.2g}, that of {late[0]!r} "
                f"{late[1]:.2g} (root mean square)",
                "the first layers do not learn" if faint else "one step throws the first layers "
                "far away, and the loss becomes NaN",
                "activation='relu', BatchNormalization(), fewer layers, or layers that are added "
                "to their input" if faint else
                "clip_norm=1.0, smaller first weights (kernel_initializer='he_normal'), "
                "BatchNormalization()",
            )  # fmt: skip
            return
    weights = dict(patient.model.named_parameters())
    for name, size in layers:
        weight = float(weights[name].detach().float().square().mean().sqrt())
        if size > 1e3 * max(weight, 1.0):
            yield Finding(
                "exploding_gradients", _owner(name),
                f"the gradient of {name!r} is {size:.2g}, its weights {weight:.2g} (root mean "
                "square)",
                "one step throws the weights far away, and the loss becomes NaN",
                "clip_norm=1.0, scaled inputs and targets, a lower learning_rate",
            )  # fmt: skip
            return


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter


def _named(path: str, kind: str) -> str:
    return f"{path} ({kind})" if path else kind


def hidden_in_lists(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules with parameters that stand in a plain list or dict, where torch does not see them."""
    known = {id(parameter) for parameter in model.parameters()}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_"):
                continue
            held = value.values() if isinstance(value, dict) else value
            if not isinstance(value, (list, tuple, dict)):
                continue
            for thing in held:
                if isinstance(thing, nn.Module) and any(
                    id(p) not in known for p in thing.parameters()
                ):
                    yield f"{path}.{name}".lstrip("."), thing
                    break
