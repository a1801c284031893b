"""Judging: which loss and which metrics belong to which output of a compiled model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lepton_ai import losses, registry
from lepton_ai.errors import ConfigError
from lepton_ai.losses.loss import Loss, activate
from lepton_ai.metrics.metric import Mean, Metric, get


@dataclass
class Judge:
    """How one output is judged.

    Attributes:
        loss: Its loss.
        weight: How much it counts in the sum of the losses.
        metrics: Its metrics by name.
        weighted: Those that count examples by their ``sample_weight``.
        activation: The activation at its end, which the loss takes into account.
    """

    loss: Any
    weight: float = 1.0
    metrics: dict[str, Metric] = field(default_factory=dict)
    weighted: dict[str, Metric] = field(default_factory=dict)
    activation: str = "linear"

    def to_config(self) -> dict[str, Any]:
        """The judge as JSON; names resolve through the registry."""
        return {
            "loss": self.loss.to_config(), "weight": self.weight, "activation": self.activation,
            "metrics": {name: _described(metric) for name, metric in self.metrics.items()},
            "weighted": {name: _described(metric) for name, metric in self.weighted.items()},
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Judge:
        """The judge that :meth:`to_config` described."""
        metrics, weighted = (
            {name: _restored(entry) for name, entry in config[kind].items()}
            for kind in ("metrics", "weighted")
        )
        loss = losses.from_config(config["loss"])
        return cls(loss, float(config["weight"]), metrics, weighted, config["activation"])


class OwnLoss(Loss):
    """A function ``(expected, predicted)`` as a loss, as Keras programs write them.

    Args:
        function: Gives the loss of each example, ``[N, ...]``; it is handed what the network
            predicts after its last activation.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.function = function

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        predicted = activate(logits, activation)
        if expected.ndim == predicted.ndim - 1 and predicted.shape[-1] == 1:
            expected = expected.unsqueeze(-1)
        found = self.function(expected, predicted)
        if not isinstance(found, Tensor):
            raise ConfigError(
                "Expected a loss function that gives a tensor; "
                f"{_called(self.function)} gave {type(found).__name__}. Compute it with torch."
            )
        if found.ndim == 0:
            return found.expand(len(logits)), found.new_ones(len(logits))
        rows = found.reshape(len(found), -1)
        return rows.sum(1), rows.new_full((len(rows),), rows.shape[1])

    def to_config(self) -> dict[str, Any]:
        raise ConfigError(
            f"The loss {_called(self.function)} is a function, which cannot be saved. Make it a "
            "class of lai.losses.Loss and register it: lai.register('losses', 'my_loss', MyLoss)."
        )


def as_loss(given: Any) -> Any:
    """A loss from its name, a loss, or a function ``(expected, predicted)``."""
    loss = losses.get(given)
    if isinstance(loss, Loss):
        return loss
    try:
        parameters = list(inspect.signature(loss).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return OwnLoss(loss) if len(needed) == 2 else loss


def _called(function: Any) -> str:
    return repr(getattr(function, "__name__", type(function).__name__))


# -- metrics of one output -----------------------------------------------------------------------


def for_classes(metric: Metric) -> bool:
    """Whether a metric judges classes, and not quantities."""
    return metric.classes or metric.wants == "scores"


class OutputMetric(Metric):
    """A metric of one output out of several, or one that is weighted.

    ``wants`` says which output and what of it: ``"scores of kind"``, ``"weighted decisions of x"``.

    Args:
        inner: The metric itself.
        name: The output.
        weighing: Whether examples count by their ``sample_weight``.
    """

    def __init__(self, inner: Metric, name: str, *, weighing: bool = False) -> None:
        self.inner, self.weighing = inner, weighing
        kind = inner.wants
        if kind == "decisions" and for_classes(inner):
            kind = "classes"
        self.wants = f"{'weighted ' if weighing else ''}{kind} of {name}"
        self.higher_is_better = inner.higher_is_better
        self.while_training = inner.while_training
        self.classes = inner.classes

    def reset(self) -> None:
        self.inner.reset()

    def update(self, predicted: Tensor, expected: Any, weights: Tensor | None = None) -> None:
        if self.weighing:
            expected, weights = expected
        if weights is None:
            self.inner.update(predicted, expected)
            return
        self.inner.update(predicted, expected, weights)

    def compute(self) -> float:
        return self.inner.compute()

    def interval(self) -> tuple[float, float] | None:
        return self.inner.interval()

    def config(self) -> dict[str, Any]:
        return self.inner.config()


class OutputLoss(Metric):
    """The loss of one output out of several, not weighed against the others.

    Args:
        name: The output.
    """

    higher_is_better = False

    def __init__(self, name: str) -> None:
        self.wants = f"loss of {name}"
        self.reset()

    def reset(self) -> None:
        self._mean = Mean()

    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        self._mean.update(predicted.sum(), expected.sum().cpu())

    def compute(self) -> float:
        return self._mean.compute()


def asked_of(wants: str, first: str) -> tuple[str, str, bool]:
    """What a metric wants: the kind of value, of which output, and whether weights go along.

    Example:
        >>> asked_of("weighted scores of kind", "x"), asked_of("decisions", "x")
        (('scores', 'kind', True), ('decisions', 'x', False))
    """
    kind, _, name = wants.partition(" of ")
    weighted = kind.startswith("weighted ")
    return kind.removeprefix("weighted "), name or first, weighted


# -- spreading what was asked over the outputs ---------------------------------------------------


def named_metrics(asked: Any, *, weighted: bool = False) -> dict[str, Metric]:
    """Metrics by name, from one or several names and objects.

    Raises:
        UnknownNameError: A name that no metric has.
        ConfigError: A metric that cannot be weighted.
    """
    if asked is None:
        return {}
    several = [asked] if isinstance(asked, (str, Metric, type)) else list(asked)
    found: dict[str, Metric] = {}
    for one in several:
        metric = get(one)
        name = one if isinstance(one, str) else _snake(type(metric).__name__)
        if weighted:
            _check_weighable(name, metric)
        found[name] = metric
    return found


def _check_weighable(name: str, metric: Metric) -> None:
    if not metric.weighted:
        raise ConfigError(
            f"Expected weighted_metrics that can count examples differently; {name!r} cannot. "
            f"Type: metrics=[{name!r}]."
        )


def spread(asked: Any, names: Sequence[str], what: str, *, several: bool = False) -> dict[str, Any]:
    """One value for each output, from one for all, a list in their order, or a dict by name.

    Args:
        asked: What the user gave.
        names: The outputs.
        what: ``"loss"``, ``"metrics"`` ..., for messages.
        several: Whether the value of one output may itself be a list.

    Raises:
        ConfigError: They do not match in number or in name.
    """
    if isinstance(asked, dict):
        for name in asked:
            if name not in names and not (len(names) == len(asked) == 1):
                raise ConfigError(
                    f"Expected {what} for the outputs {', '.join(names)}; received {name!r}."
                    f"{registry.near_miss(str(name), names)} Name the layer that gives an output: "
                    f"Dense(..., name={name!r})."
                )
        if len(names) == len(asked) == 1:
            return {names[0]: next(iter(asked.values()))}
        return {name: asked.get(name) for name in names}
    if isinstance(asked, (list, tuple)):
        if several and len(names) == 1 and not any(isinstance(a, (list, tuple)) for a in asked):
            return {names[0]: list(asked)}
        if several and not asked:
            return dict.fromkeys(names)
        if len(asked) != len(names):
            raise ConfigError(
                f"Expected {what} for each of the {len(names)} outputs ({', '.join(names)}); "
                f"received {len(asked)}. Type: {what}={{{names[0]!r}: ...}}."
            )
        return dict(zip(names, asked, strict=True))
    return dict.fromkeys(names, asked)


def _described(metric: Metric) -> list[Any]:
    return [registry.name_of("metrics", type(metric)), metric.config()]


def _restored(entry: list[Any]) -> Metric:
    return registry.lookup("metrics", entry[0])(**entry[1])


def fresh(metric: Metric) -> Metric:
    """A metric like this one that has gathered nothing."""
    return type(metric)(**metric.config())


def weights_of(targets: dict[str, Tensor], like: Tensor) -> Tensor:
    """The weight of each example of a batch, 1 where none were given."""
    given = targets.get("sample_weight")
    return torch.ones(len(like)) if given is None else given


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
