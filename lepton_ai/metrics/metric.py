"""Metric: a figure that says how good predictions are; ``update`` it, then ``compute``."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from lepton_ai import registry
from lepton_ai.errors import ConfigError, ShapeError, UnknownNameError


class Gathered:
    """What gathers batch by batch, and whose attributes can be saved half-way and taken back."""

    def state(self) -> dict[str, Any]:
        """Everything gathered so far: tensors, numbers, lists and dicts of them."""
        return {name: _saved(value) for name, value in self._gathered().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave; afterwards all goes on as it would have.

        Raises:
            ConfigError: The state is not one of such an object; nothing is changed then.
        """
        own = self._gathered()
        if set(own) != set(state):
            raise ConfigError(
                f"Expected the state of {type(self).__name__} with {', '.join(sorted(own))}; "
                f"received {', '.join(sorted(map(str, state))) or 'nothing'}. Type: "
                f"fresh = {type(self).__name__}(...) with the same arguments; "
                "fresh.restore(old.state())"
            )
        taken = {name: _restored(own[name], value) for name, value in state.items()}
        vars(self).update(taken)

    def _gathered(self) -> dict[str, Any]:
        return dict(vars(self))


class Metric(Gathered, ABC):
    """A figure over many examples, gathered batch by batch.

    ``predicted`` is what the metric ``wants``: decisions (class numbers, numbers) or scores
    (``[N, classes]``, higher is surer). ``expected`` are class numbers or numbers. Positions whose
    expected class is negative, or whose expected number is NaN, do not count (padding, unlabelled
    pixels). Batches of any size give the same figure.
    """

    wants: str = "decisions"
    """``"decisions"`` or ``"scores"``."""
    higher_is_better: bool = True
    while_training: bool = True
    """Whether it is cheap enough to be gathered from every training batch."""
    weighted: bool = False
    """Whether ``update`` takes weights of the examples."""
    classes: bool = False
    """Whether it judges classes (and not quantities)."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything gathered so far."""

    @abstractmethod
    def update(self, predicted: Tensor, expected: Tensor, weights: Tensor | None = None) -> None:
        """Gather one batch; both are laid out flat, ``[N]`` or ``[N, classes]``.

        Args:
            predicted: What the metric wants.
            expected: What is right.
            weights: How much each example counts, ``[N]``; ``None`` is 1 each. Metrics that are
                not ``weighted`` refuse them.
        """

    @abstractmethod
    def compute(self) -> float:
        """The figure; NaN when nothing was gathered."""

    def interval(self) -> tuple[float, float] | None:
        """A 95 % interval of the figure, where the metric can tell."""
        return None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        if type(self).__init__ is object.__init__:
            return {}
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def _gathered(self) -> dict[str, Any]:
        arguments = self.config()
        return {name: value for name, value in vars(self).items() if name not in arguments}

    def _refuse(self, weights: Tensor | None) -> None:
        if weights is not None:
            raise ConfigError(
                f"Expected no weights: {type(self).__name__} counts every example alike. "
                "Type: metric.update(predicted, expected)"
            )


class Mean(Gathered):
    """A running mean, kept as tensors so that nothing waits for the device."""

    def __init__(self) -> None:
        self.total = torch.zeros((), dtype=torch.float64)
        self.count = torch.zeros((), dtype=torch.float64)

    def update(self, total: Tensor, count: Tensor | float) -> None:
        """Add a sum over ``count`` examples."""
        self.total = self.total + total.detach().to("cpu", torch.float64)
        self.count = self.count + count

    def add(self, values: Tensor, weights: Tensor | None = None) -> None:
        """Add values, each with its weight."""
        if weights is None:
            self.update(values.sum(), values.numel())
        else:
            self.update((values * weights).sum(), weights.sum().cpu())

    def compute(self) -> float:
        """The mean, NaN when nothing was added."""
        return float(self.total / self.count) if float(self.count) else float("nan")


class Kept(Gathered):
    """Columns that are kept whole, for figures that need every example at once."""

    def __init__(self) -> None:
        self.parts: list[list[Tensor]] = []

    def add(self, *columns: Tensor) -> None:
        """Keep one batch: tensors of one length."""
        new = [column.detach().to("cpu", copy=True) for column in columns]
        if self.parts:
            for before, now in zip(self.parts[-1], new, strict=True):
                if before.shape[1:] != now.shape[1:]:
                    raise ShapeError(
                        f"Expected batches of one width; received {list(now.shape[1:])} after "
                        f"{list(before.shape[1:])}. Type: metric.reset() before other data."
                    )
        if len(new[0]):
            self.parts.append(new)

    def columns(self) -> list[Tensor]:
        """All that was kept, in order; no columns when that is nothing."""
        if len(self.parts) > 1:
            self.parts = [[torch.cat(pieces) for pieces in zip(*self.parts, strict=True)]]
        return self.parts[0] if self.parts else []

    def state(self) -> dict[str, Any]:
        return {"columns": [column.clone() for column in self.columns()]}

    def restore(self, state: dict[str, Any]) -> None:
        if set(state) != {"columns"}:
            raise ConfigError(
                f"Expected the state of kept columns, 'columns'; received {', '.join(state)}."
            )
        columns = [torch.as_tensor(column).clone() for column in state["columns"]]
        self.parts = [columns] if columns else []


def _saved(value: Any) -> Any:
    if isinstance(value, Gathered):
        return value.state()
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _saved(item) for key, item in value.items()}
    return [_saved(item) for item in value] if isinstance(value, list | tuple) else value


def _restored(own: Any, value: Any) -> Any:
    if isinstance(own, Gathered):
        fresh = copy.copy(own)
        fresh.restore(value)
        return fresh
    if isinstance(own, Tensor):
        return torch.as_tensor(value, dtype=own.dtype).clone()
    return copy.deepcopy(value)


_ALIASES: dict[str, str | tuple[str, dict[str, Any]]] = {
    "acc": "accuracy", "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy", "binary_acc": "binary_accuracy",
    "top_k": "top_k_accuracy", "top_k_categorical_accuracy": "top_k_accuracy",
    "sparse_top_k_categorical_accuracy": "top_k_accuracy",
    "top_5": ("top_k_accuracy", {"k": 5}), "top_3": ("top_k_accuracy", {"k": 3}),
    "f1_score": "f1", "f_score": "f1", "fbeta_score": "fbeta", "f_beta": "fbeta",
    "f1_micro": ("f1", {"average": "micro"}), "f1_macro": ("f1", {"average": "macro"}),
    "f1_weighted": ("f1", {"average": "weighted"}), "sensitivity": "recall",
    "tp": "true_positives", "fp": "false_positives", "tn": "true_negatives",
    "fn": "false_negatives", "roc_auc": "auc", "auroc": "auc",
    "pr_auc": ("auc", {"curve": "PR"}), "auprc": ("auc", {"curve": "PR"}),
    "ap": "average_precision", "mcc": "matthews", "matthews_correlation": "matthews",
    "matthews_corrcoef": "matthews", "kappa": "cohen_kappa", "balanced_acc": "balanced_accuracy",
    "brier_score": "brier", "ece": "expected_calibration_error",
    "crossentropy": "log_loss", "cross_entropy": "log_loss", "nll": "log_loss",
    "categorical_crossentropy": "log_loss", "sparse_categorical_crossentropy": "log_loss",
    "binary_crossentropy": "log_loss", "bce": "log_loss",
    "miou": "mean_iou", "jaccard": "mean_iou", "one_hot_mean_iou": "mean_iou",
    "mse": "mean_squared_error", "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "medae": "median_absolute_error",
    "log_cosh": "log_cosh_error", "logcosh": "log_cosh_error", "cosine": "cosine_similarity",
    "r2_score": "r2", "kld": "kl_divergence", "pearson_correlation": "pearson",
    "pearsonr": "pearson", "spearman_correlation": "spearman", "spearmanr": "spearman",
    "ccc": "concordance", "concordance_correlation": "concordance",
    "mean": "mean_value", "sum": "sum_value",
}  # fmt: skip


def get(metric: str | Metric) -> Metric:
    """A metric from its name (``"accuracy"``, ``"acc"``), or itself.

    Raises:
        UnknownNameError: No metric has that name; the near miss is offered.

    Example:
        >>> type(get("rmse")).__name__
        'RootMeanSquaredError'
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if not isinstance(metric, str):
        raise ConfigError(f"Expected the name of a metric or a Metric; received {metric!r}.")
    known = registry.names("metrics")
    chosen = metric if metric in known else _ALIASES.get(metric.lower().replace("-", "_"), metric)
    name, arguments = (chosen, {}) if isinstance(chosen, str) else chosen
    try:
        return registry.lookup("metrics", name)(**arguments)
    except UnknownNameError:
        near = registry.near_miss(metric, [*known, *_ALIASES])
        raise UnknownNameError(
            f"Expected the name of a metric; received {metric!r}.{near} Known: {', '.join(known)}."
        ) from None
