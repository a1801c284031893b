"""Symptoms of training and its data: weights left alone, rates too high or low, leaks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lepton_ai.data.splitting import row_digests
from lepton_ai.training.finding import Finding
from lepton_ai.training.symptoms import Patient, hidden_in_lists

WIDEST = 400
"""Numbers of one array column that are looked at one by one."""


def untrained_weights(patient: Patient) -> Iterator[Finding]:
    """Weights that no gradient reaches, that no optimiser holds, or that training left alone."""
    model = patient.model
    named = dict(model.named_parameters())
    learning = {name: p for name, p in named.items() if p.requires_grad}
    if named and not learning:
        yield Finding(
            "all_frozen", "model", f"none of {len(named)} weights may learn",
            "training changes nothing", "for p in model.parameters(): p.requires_grad_(True)",
            "blocks",
        )  # fmt: skip
        return
    for path, module in hidden_in_lists(model):
        yield Finding(
            "hidden_layer", path,
            f"{type(module).__name__} stands in a plain list or dict of the module",
            "torch does not see its weights: they are not trained, not saved and not moved",
            "torch.nn.ModuleList([...]) or torch.nn.ModuleDict({...}) in its place", "blocks",
        )  # fmt: skip
    grads = patient.trial.gradients
    unused = [name for name in learning if name in grads and grads[name] is None]
    if unused:
        yield _untrained(unused, "the loss does not depend on", "take the layer out, or use what "
                         "it gives in forward()")  # fmt: skip
    if patient.optimizer is not None:
        held = {id(p) for group in patient.optimizer.param_groups for p in group["params"]}
        left = [name for name, p in learning.items() if id(p) not in held]
        if left:
            yield _untrained(left, "the optimiser does not hold", "give model.parameters() whole "
                             "to the optimiser, or unfreeze before fit")  # fmt: skip
    if patient.trained:
        yield from _left_alone(patient, [name for name in learning if name not in unused])


def _left_alone(patient: Patient, names: list[str]) -> Iterator[Finding]:
    grads, before = patient.trial.gradients, patient.before or {}
    weights = dict(patient.model.named_parameters())
    same = [n for n in names if n in before and torch.equal(before[n], weights[n].detach())]
    if same:
        yield _untrained(same, "training did not change", "lai.find_learning_rate(model, data); "
                         "see dead_units for units that get no gradient")  # fmt: skip
    without = []
    for name in names:
        grad = grads.get(name)
        if grad is not None and name not in same and grad.numel() and not bool(grad.any()):
            without.append(name)
    if without:
        yield _untrained(without, "no example gives a gradient to", "activation='leaky_relu', a "
                         "lower learning_rate, or another first value of the weights")  # fmt: skip


def _untrained(names: list[str], how: str, cure: str) -> Finding:
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" * (len(names) > 4))
    return Finding(
        "untrained_weights", names[0].rpartition(".")[0] or names[0],
        f"{how} {len(names)} weight{'s' * (len(names) > 1)}: {shown}",
        "they stay as they were drawn, and what they give is noise", cure,
    )  # fmt: skip


def loss_trend(patient: Patient) -> Iterator[Finding]:
    """A loss that rises and jumps, or hardly moves: the learning rate is not right."""
    run = patient.run
    losses = [float(value) for value in run.history.get("loss", [])] if run is not None else []
    if run is None or len(losses) < 3:
        return
    rate = run.config.get("learning_rate")
    told = f"learning_rate={rate:.3g}" if isinstance(rate, (int, float)) else "learning_rate"
    first, last, best = losses[0], losses[-1], min(losses)
    steps = np.diff(losses)
    rises = int((steps > 0.05 * np.abs(losses[:-1])).sum())
    shown = " -> ".join(f"{value:.3g}" for value in _thinned(losses))
    if not all(map(math.isfinite, losses)) or last > 1.3 * first + 1e-9 or (
        rises >= max(2, 0.4 * len(steps)) and last > 1.1 * best and best > 0
    ):  # fmt: skip
        yield Finding(
            "learning_rate_too_high", told, f"the training loss goes {shown}",
            "steps jump over what they look for",
            "lai.find_learning_rate(model, data), or a tenth of the rate; clip_norm=1.0",
        )  # fmt: skip
    elif (
        last > 0.97 * first and (steps < 0).mean() >= 0.6 and rises == 0
        and not last < 0.5 * patient.guess and last > 1e-6
    ):  # fmt: skip
        yield Finding(
            "learning_rate_too_low", told,
            f"the training loss goes {shown}: {1 - last / first:.1%} less in {len(losses)} epochs",
            "at this pace training does not get there",
            "lai.find_learning_rate(model, data), or ten times the rate",
        )  # fmt: skip


def _thinned(values: list[float]) -> list[float]:
    if len(values) <= 6:
        return values
    return [values[place] for place in np.linspace(0, len(values) - 1, 6).astype(int)]


def label_leak(patient: Patient) -> Iterator[Finding]:
    """One input column that gives the answer away."""
    task, data = patient.model.task, patient.data
    if data is None or len(data) < 10 or task.target not in data.columns:
        return
    expected = _codes(data[task.target])
    if expected is None or len(np.unique(expected[np.isfinite(expected)])) < 2:
        return
    inputs = [(n, v) for name in task.inputs for n, v in _numbers(name, data[name])]
    if len(inputs) < 2:
        return  # a single input is all there is to go by
    for name, values in inputs:
        how = _gives_away(values, expected)
        if how:
            yield Finding(
                "label_leak", name,
                f"{name!r} {how} {task.target!r} in all {len(expected):,} examples",
                "if it is not known when a prediction is asked for, every figure is too good",
                f"leave it out: data.select([name for name in data.columns if name != {name!r}])"
                if "[" not in name else f"leave it out of {name.partition('[')[0]!r}",
            )  # fmt: skip


def _numbers(name: str, column: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of an input one by one, as numbers; nothing for pictures, texts and the like."""
    values = _codes(column)
    if values is not None:
        yield name, values
        return
    plain = column.numpy() if isinstance(column, torch.Tensor) else column
    if isinstance(plain, np.ndarray) and plain.ndim == 2 and plain.shape[1] <= WIDEST:
        for place in range(plain.shape[1]):
            yield f"{name}[{place}]", plain[:, place].astype(np.float64)


def _codes(column: Any) -> np.ndarray | None:
    """A column of single values as numbers, ``[N]`` float64; ``None`` for everything else."""
    if isinstance(column, torch.Tensor):
        column = column.numpy()
    if isinstance(column, pa.Array):
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            return None
        if not isinstance(column, pa.DictionaryArray):
            column = column.dictionary_encode()
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.float64)
        return codes if len(column.dictionary) <= max(20, len(codes) / 5) else None
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        if column.ndim == 1:
            return column.astype(np.float64)
        if column.ndim == 2 and _one_hot(column):
            return column.argmax(1).astype(np.float64)
    return None


def _one_hot(column: np.ndarray) -> bool:
    return column.shape[1] > 1 and bool(
        ((column == 0) | (column == 1)).all() and (column.sum(1) == 1).all()
    )


def _gives_away(values: np.ndarray, expected: np.ndarray) -> str:
    """How a column gives another away, or nothing."""
    known = np.isfinite(values) & np.isfinite(expected)
    if known.sum() < max(10, 0.99 * len(values)):
        return ""
    values, expected = values[known], expected[known]
    ours, our_place = np.unique(values, return_inverse=True)
    theirs, their_place = np.unique(expected, return_inverse=True)
    if len(theirs) > max(20, 0.2 * len(values)):
        if ours.std() > 0 and abs(np.corrcoef(values, expected)[0, 1]) > 1 - 1e-9:
            return "is a multiple of"
        return ""
    pairs = len(np.unique(our_place * len(theirs) + their_place))
    if pairs == len(ours) and 1 < len(ours) <= 0.2 * len(values):
        return "stands one to one for" if len(ours) == len(theirs) else "decides alone"
    sorted_classes = their_place[np.lexsort((their_place, our_place))]
    changes = int((np.diff(sorted_classes) != 0).sum())
    if len(values) >= 200 and pairs == len(ours) and changes == len(theirs) - 1:
        return "decides, by a threshold alone,"
    return ""


def shared_rows(patient: Patient) -> Iterator[Finding]:
    """Validation examples that stand in the training data."""
    data, validation = patient.data, patient.validation
    if data is None or validation is None or not len(validation):
        return
    names = list(patient.model.task.inputs)
    own, other = row_digests(data, names), row_digests(validation, names)
    chance = 1 - len(np.unique(own)) / max(len(own), 1)  # few columns of a table agree by chance
    hit = np.isin(other, own)
    share = float(hit.mean())
    if share <= 0.01 or share <= 2 * chance + 0.01:
        return
    figures = _first_figures(patient)
    yield Finding(
        "shared_rows", "validation data",
        f"{int(hit.sum()):,} of {len(other):,} validation examples have the inputs of a training "
        f"example (the first is example {int(np.flatnonzero(hit)[0])}){figures}",
        "figures on them measure memory and are too good",
        "train, validation = data.split(0.2), which keeps equal examples on one side", "blocks",
    )  # fmt: skip


def _first_figures(patient: Patient) -> str:
    history = patient.run.history if patient.run is not None else {}
    told = [
        f"{name} {values[0]:.3f}"
        for name, values in history.items()
        if name.startswith("val_") and name != "val_loss" and values
    ]
    return f"; the first epoch has {', '.join(told)}" if told else ""
