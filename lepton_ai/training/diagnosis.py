"""Diagnosis: where in a network the first value that is not finite comes up, forwards or back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai.training.finiteness import Look, bad_columns, tensors_in, told
from lepton_ai.training.preserving import preserved

EXPLODED = 1e10
"""Values beyond this are told as exploded where all are finite."""
_LOWER = "Type: a lower learning_rate, clip_norm=1.0, or precision='float32'."


@dataclass
class Diagnosis:
    """Where the first value that is not finite came up.

    Attributes:
        kind: ``"input"``, ``"weights"``, ``"output"``, ``"loss"``, ``"gradient"``, ``"exploded"``
            (all is finite, but larger than 1e10) or ``"none"``.
        layer: Path of the module in the model (``"network.module.layers.3"``).
        layer_type: Its class.
        value: ``"NaN"``, ``"inf"`` or ``"-inf"``; the largest value where it exploded.
        inputs_finite: Whether what went into the module was finite.
        largest_input: Largest finite size of a number that went into the module.
        largest_weight: Largest finite size of a weight of the module.
        weights: Names of weights that are not finite.
        columns: Columns that are not finite, each with its examples.
    """

    kind: str
    layer: str = ""
    layer_type: str = ""
    value: str = ""
    inputs_finite: bool = True
    largest_input: float = 0.0
    largest_weight: float = 0.0
    weights: list[str] = field(default_factory=list)
    columns: dict[str, list[int]] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether anything was found."""
        return self.kind != "none"

    @property
    def where(self) -> str:
        """The module in words: ``layer 'network.module.layers.3 (Dense)'``."""
        return f"layer '{self.layer} ({self.layer_type})'" if self.layer else self.layer_type

    def __str__(self) -> str:
        return getattr(self, f"_say_{self.kind}")()

    def _say_none(self) -> str:
        return "every input, weight, output and gradient is finite when the batch is run again"

    def _say_input(self) -> str:
        listed = "; ".join(
            f"column {name!r} holds {self.value} in {_examples(rows)}"
            for name, rows in self.columns.items()
        )
        return f"the input is not finite: {listed}. Type: lai.check(data), then lai.clean(data)"

    def _say_weights(self) -> str:
        return (
            f"{_listed(self.weights)} of {self.where} holds {self.value} already: a step before "
            f"broke it. {_LOWER}"
        )

    def _say_output(self) -> str:
        return f"first non-finite output ({self.value}) in {self.where}; {self._inputs()}. {_LOWER}"

    def _inputs(self) -> str:
        if not self.inputs_finite:
            return "its own code made it between its layers, whose outputs were finite"
        return (
            f"its input was finite (largest {self.largest_input:.3g}), largest weight "
            f"{self.largest_weight:.3g}"
        )

    def _say_loss(self) -> str:
        if self.columns:
            listed = "; ".join(f"{n!r} in {_examples(rows)}" for n, rows in self.columns.items())
            return (
                f"every output is finite, the loss is {self.value}: the target is not finite, "
                f"{listed}. Type: lai.check(data), then lai.clean(data)"
            )
        return (
            f"every output is finite (largest {self.largest_input:.3g}), but the loss of it is "
            f"{self.value}. {_LOWER}"
        )

    def _say_gradient(self) -> str:
        if self.inputs_finite:
            return (
                f"forwards all is finite; the first non-finite gradient ({self.value}) comes out "
                f"of {self.where}, largest weight {self.largest_weight:.3g}. A root, a division or "
                "a logarithm at 0 has no gradient: add a small number before it"
            )
        return (
            f"forwards all is finite; the gradient that reaches {self.where} is {self.value} "
            f"already: it comes from the loss, or from code between the layers. {_LOWER}"
        )

    def _say_exploded(self) -> str:
        return (
            f"all is finite when the batch is run again, but {self.where} gives {self.value}; "
            f"{self._inputs()}. {_LOWER}"
        )


def diagnose(
    model: nn.Module, run_batch: Callable[[], Any], *, indices: Sequence[int] | None = None
) -> Diagnosis:
    """Find where the first value that is not finite comes up when a batch is run again.

    Weights are looked at first, then inputs and outputs in the order of the forward pass, the
    loss, and the gradients in the order of the backward pass. The model is left as it was.

    Args:
        model: The model whose own modules ``run_batch`` calls, in this thread.
        run_batch: Runs forward and backward of one batch, drawing what it drew the first time;
            the loss that it returns is looked at, if it returns one.
        indices: The batch's examples in the data set; their places in the batch when ``None``.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> _ = network[2].weight.data.fill_(3e38)
        >>> def run_batch():
        ...     loss = network(torch.full((4, 2), 1e3)).sum()
        ...     loss.backward()
        ...     return loss
        >>> _ = network[0].weight.data.fill_(1.0)
        >>> diagnose(network, run_batch).layer
        '2'
    """
    record = _Record(model)
    with preserved(model), record.watching():
        loss = run_batch()
        record.look_at_weights()
    broken = record.broken_weights()
    if broken is not None:
        return broken
    found = record.first_output() or record.bad_loss(loss) or record.first_gradient()
    found = found or record.largest()
    if indices is not None:
        places = [int(index) for index in indices]
        found.columns = {
            name: [places[row] for row in rows if row < len(places)]
            for name, rows in found.columns.items()
        }
    return found


@dataclass
class _Visit:
    """One call of a module."""

    path: str
    module: nn.Module
    parent: _Visit | None
    inputs: Look
    outputs: Look = field(default_factory=Look)


@dataclass
class _Gradient:
    """One gradient that came by: at an input or output of a visit, or at a weight."""

    place: str
    visit: _Visit
    tensor: int
    look: Look


class _Record:
    """Watches every module of a model while a batch is run."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.paths = {id(module): path for path, module in model.named_modules()}
        self.open: list[_Visit] = []
        self.done: list[_Visit] = []
        self.gradients: list[_Gradient] = []
        self.columns: dict[str, tuple[str, list[int]]] = {}
        self.held: list[Tensor] = []
        self.weight_gradient: tuple[_Visit, str] | None = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Hooks on all modules; layers asked for their ``linear`` part alone are seen too."""
        handles: list[Any] = []
        for module in self.model.modules():
            handles.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave, with_kwargs=True))
            if callable(getattr(type(module), "linear", None)):
                module.__dict__["linear"] = self._around(module, getattr(module, "linear"))  # noqa: B009
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for module in self.model.modules():
                if callable(getattr(type(module), "linear", None)):
                    module.__dict__.pop("linear", None)
            self.held.clear()

    def _around(self, module: nn.Module, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*arguments: Any, **named: Any) -> Any:
            self._enter(module, arguments, named)
            output = function(*arguments, **named)
            self._leave(module, arguments, named, output)
            return output

        return called

    def _enter(self, module: nn.Module, arguments: Any, named: Any) -> None:
        if not self.open and not self.columns:
            self.columns = dict(bad_columns((*arguments, *named.values())))
        parent = self.open[-1] if self.open else None
        given = (arguments, named)
        visit = _Visit(self.paths.get(id(module), ""), module, parent, Look.at(given))
        self.open.append(visit)
        self._hook("input", visit, given)

    def _leave(self, module: nn.Module, arguments: Any, named: Any, output: Any) -> None:
        visit = self.open.pop()
        visit.outputs = Look.at(output)
        self.done.append(visit)
        self._hook("output", visit, output)

    def _hook(self, place: str, visit: _Visit, thing: Any) -> None:
        for tensor in tensors_in(thing):
            if tensor.requires_grad and torch.is_grad_enabled():
                self.held.append(tensor)  # so that no other tensor gets its number
                tensor.register_hook(functools.partial(self._pass, place, visit, id(tensor)))

    def _pass(self, place: str, visit: _Visit, tensor: int, grad: Tensor) -> None:
        self.gradients.append(_Gradient(place, visit, tensor, Look.at(grad)))

    # -- what it says ----------------------------------------------------------------------

    def _about(self, kind: str, visit: _Visit, **more: Any) -> Diagnosis:
        weights = Look.at(list(visit.module.parameters()))
        told_: dict[str, Any] = {"inputs_finite": visit.inputs.finite, **more}
        return Diagnosis(
            kind, visit.path, type(visit.module).__name__, largest_input=visit.inputs.largest,
            largest_weight=weights.largest, **told_,
        )  # fmt: skip

    def broken_weights(self) -> Diagnosis | None:
        """The first module with weights of its own that are not finite."""
        for path, module in self.model.named_modules():
            own = dict(module.named_parameters(recurse=False))
            looks = {name: Look.at(weight) for name, weight in own.items()}
            names = [name for name, look in looks.items() if not look.finite]
            if names:
                return Diagnosis(
                    "weights", path, type(module).__name__, looks[names[0]].value, weights=names
                )
        return None

    def first_output(self) -> Diagnosis | None:
        """The first call whose output is not finite."""
        visit = next((visit for visit in self.done if not visit.outputs.finite), None)
        if visit is None:
            return None
        if visit.inputs.finite:
            return self._about("output", visit, value=visit.outputs.value)
        given = {n: rows for n, (_, rows) in self.columns.items() if n not in self._targets()}
        if given:
            value = next(self.columns[name][0] for name in given)
            return Diagnosis("input", value=value, inputs_finite=False, columns=given)
        # what went in was not finite, yet no layer gave it: the code around made it
        around = visit.parent or visit
        return self._about("output", around, value=visit.inputs.value, inputs_finite=False)

    def _targets(self) -> set[str]:
        return set(getattr(getattr(self.model, "task", None), "outputs", ()))

    def bad_loss(self, loss: Any) -> Diagnosis | None:
        """The loss, where all outputs are finite."""
        look = Look.at(loss)
        if not isinstance(loss, Tensor) and isinstance(loss, float) and not math.isfinite(loss):
            look = Look(told(torch.tensor(loss)))
        if look.finite:
            return None
        wrong = {n: rows for n, (_, rows) in self.columns.items() if n in self._targets()}
        last = self.done[-1].outputs.largest if self.done else 0.0
        return Diagnosis("loss", value=look.value, largest_input=last, columns=wrong)

    def first_gradient(self) -> Diagnosis | None:
        """The module that made the first gradient that is not finite, on the way back."""
        first = next((g for g in self.gradients if not g.look.finite), None)
        if first is None:
            return self._weight_gradient()
        made = [
            g.visit for g in self.gradients
            if g.place == "input" and g.tensor == first.tensor and self._reached(g.visit)
        ]  # fmt: skip
        if made:
            deepest = max(made, key=lambda visit: visit.path.count(".") + bool(visit.path))
            return self._about("gradient", deepest, value=first.look.value, inputs_finite=True)
        return self._about("gradient", first.visit, value=first.look.value, inputs_finite=False)

    def _reached(self, visit: _Visit) -> bool:
        """Whether the gradient that reached a visit's output was there, and finite."""
        own = [g for g in self.gradients if g.visit is visit and g.place == "output"]
        return bool(own) and all(g.look.finite for g in own)

    def look_at_weights(self) -> None:
        """Look at the gradients of the weights, while they are there."""
        for visit in reversed(self.done):
            own = [p.grad for p in visit.module.parameters(recurse=False) if p.grad is not None]
            if own and not Look.at(own).finite:
                self.weight_gradient = (visit, Look.at(own).value)
                return

    def _weight_gradient(self) -> Diagnosis | None:
        if self.weight_gradient is None:
            return None
        visit, value = self.weight_gradient
        return self._about("gradient", visit, value=value, inputs_finite=True)

    def largest(self) -> Diagnosis:
        """The first call whose output is finite but far too large."""
        for visit in self.done:
            if visit.outputs.largest > EXPLODED:
                return self._about("exploded", visit, value=f"{visit.outputs.largest:.3g}")
        return Diagnosis("none")


def _examples(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5:,} more" * (len(rows) > 5))
    return f"{'example' if len(rows) == 1 else 'examples'} {shown}"


def _listed(names: list[str]) -> str:
    return f"{'weight' if len(names) == 1 else 'weights'} {', '.join(map(repr, names))}"
