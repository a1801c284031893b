"""Estimators: Lepton's models of tables behind scikit-learn's interface.

They are ordinary estimators: they can be cloned, stand in a ``Pipeline``, and be searched over by
``GridSearchCV``. What was fitted is ``model_``, a :class:`~lepton_ai.models.model.Model`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError, DataError
from lepton_ai.extras import require
from lepton_ai.models import binding
from lepton_ai.models.model import Model
from lepton_ai.models.table import (
    WEIGHT,
    TableNetwork,
    column_names,
    columns_of,
    is_frame,
    numbers,
    row_width,
    texts,
    typed_column,
)
from lepton_ai.tasks.tabular import Tabular
from lepton_ai.training import Run, Settings, Trainer

_WHY = "LeptonClassifier and LeptonRegressor"
if TYPE_CHECKING:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
else:
    base = require("sklearn.base", extra="tabular", why=_WHY)
    BaseEstimator = base.BaseEstimator
    ClassifierMixin, RegressorMixin = base.ClassifierMixin, base.RegressorMixin
targets: Any = require("sklearn.utils.multiclass", extra="tabular", why=_WHY)
validation: Any = require("sklearn.utils.validation", extra="tabular", why=_WHY)
drawing: Any = require("sklearn.utils", extra="tabular", why=_WHY)

BLOCK = 256
"""Rows answered at once. Fewer are filled up to so many: products of matrices round differently
for other sizes, and an answer must not depend on what else is asked."""
START_ROWS = 20_000


class _Estimator(BaseEstimator):
    """What both estimators share: arguments, tables, training."""

    n_features_in_: int
    model_: Model

    def __init__(
        self, network: str | nn.Module | Callable[[int], nn.Module] = "mlp", *,
        network_arguments: dict[str, Any] | None = None, epochs: int | None = None,
        batch_size: int | None = None, optimizer: Any = None, learning_rate: float | None = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.network = network
        self.network_arguments = network_arguments
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # -- tables ----------------------------------------------------------------------------

    def _received(self, X: Any, y: Any = None, *, numeric: bool = False) -> tuple[Any, Any]:  # noqa: N803
        """A table and what is to be learned of it, checked as scikit-learn does."""
        if is_frame(X):
            if y is None:
                raise DataError(
                    f"{type(self).__name__} requires y to be passed, but the target y is None."
                )
            validation.validate_data(self, X, skip_check_array=True)
            y = validation.column_or_1d(y, warn=True)
            validation.check_consistent_length(X, y)
            validation.assert_all_finite(y, input_name="y")
        else:
            X, y = validation.validate_data(
                self, X, y, dtype=None, ensure_all_finite="allow-nan", y_numeric=numeric
            )
        if not len(y):
            raise DataError("Expected at least one row to learn from; received a table of 0 rows.")
        return X, y

    def _read(self, X: Any) -> dict[str, Any]:  # noqa: N803
        """The columns of a table to be answered, by the names of the fields."""
        validation.check_is_fitted(self, "model_")
        if is_frame(X):
            validation.validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validation.validate_data(
                self, X, reset=False, dtype=None, ensure_all_finite="allow-nan"
            )
        fields = self.model_.task.inputs.items()
        return {
            name: texts(values) if isinstance(field, Label) else numbers(values, name)
            for (name, field), values in zip(fields, columns_of(X), strict=True)
        }

    def _answer(self, X: Any) -> dict[str, Any]:  # noqa: N803
        """The model's predictions for a table, as columns."""
        columns = self._read(X)
        count = len(next(iter(columns.values())))
        data = Dataset(columns, self.model_.task.inputs)
        filled = data.take(np.resize(np.arange(count), -(-count // BLOCK) * BLOCK))
        answers = self.model_.predict(filled, batch_size=BLOCK)
        return {name: column[:count] for name, column in answers.items()}

    # -- training --------------------------------------------------------------------------

    def _train(self, X: Any, y: Any, field: Field, weights: np.ndarray | None) -> None:  # noqa: N803
        """Fit a model of the table; ``y`` is a column that the field reads."""
        names = column_names(getattr(self, "feature_names_in_", None), self.n_features_in_)
        columns: dict[str, Any] = {}
        fields: dict[str, Field] = {}
        for name, values in zip(names, columns_of(X), strict=True):
            columns[name], fields[name] = typed_column(values, name)
        target = "target" if "target" not in names else "target_"
        task = Tabular(fields, {target: field})
        data = Dataset({**columns, target: y}, {**fields, target: field})
        if weights is not None:
            kept = np.flatnonzero(weights > 0)
            data, weights = data.take(kept), weights[kept]
        seed = int(drawing.check_random_state(self.random_state).randint(2**31 - 1))
        settings = self._settings(task, data)
        model = Model(self._network(task, data, seed), task, **(self.network_arguments or {}))
        model.seed = seed
        model.bind(data, seed=seed)
        typed = task.typed(data)
        if weights is not None:
            binding.begin(model, typed.take(repeated(weights)))
        model.run = Run(id=f"estimator-{seed}", seed=seed)
        weighed = typed
        if weights is not None:
            weighed = typed.derive(
                {**typed.columns, WEIGHT: weights / weights.mean()},
                {**typed.fields, WEIGHT: Number()},
            )
        Trainer(model, weighed, None, settings, model.run).train()
        model.golden = typed.take(np.arange(min(8, len(typed))))
        self.model_ = model

    def _settings(self, task: Tabular, data: Dataset) -> Settings:
        recipe = task.training_recipe(data)
        recipe.pop("backbone")
        given = {
            name: getattr(self, name)
            for name in ("epochs", "batch_size", "optimizer", "learning_rate")
            if getattr(self, name) is not None
        }
        # one replica: the same sums whatever the number of cores
        settings = Settings(**{**recipe, **given}, verbose=self.verbose, replicas=1)
        settings.check()
        return settings

    def _network(self, task: Tabular, data: Dataset, seed: int) -> str | nn.Module:
        """The name of a backbone, or the user's network on the rows of this table."""
        if isinstance(self.network, str):
            return self.network
        task.adapt(data)
        specs = binding.learn_specs(task, data, {})
        inputs = {name: specs[name] for name in task.inputs}
        if isinstance(self.network, nn.Module):
            return TableNetwork(copy.deepcopy(self.network), inputs)
        if not callable(self.network):
            raise ConfigError(
                "Expected network= as the name of a backbone, an nn.Module, or a function from the "
                f"number of inputs to one; received {self.network!r}. Type: network='mlp'."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.network(row_width(inputs))
            if not isinstance(module, nn.Module):
                raise ConfigError(
                    f"Expected network(inputs) to give an nn.Module; received {module!r}."
                )
            return TableNetwork(module, inputs)

    def _weights(self, sample_weight: Any, X: Any) -> np.ndarray | None:  # noqa: N803
        if sample_weight is None:
            return None
        weights = np.asarray(validation.column_or_1d(sample_weight, dtype=np.float64))
        validation.check_consistent_length(X, weights)
        if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise DataError(
                "Expected sample_weight as finite numbers, none below and not all zero; received "
                f"values from {weights.min()} to {weights.max()}."
            )
        return weights


class LeptonClassifier(ClassifierMixin, _Estimator):
    """A classifier of tables for scikit-learn: numbers, missing values and text categories.

    Args:
        network: Name of a backbone (``"mlp"``); or an ``nn.Module`` of your own from
            ``[N, inputs]`` (scaled numbers, classes one-hot) to features ``[N, width]``, or a
            function from the number of inputs to such a module. The last linear layer is added.
        network_arguments: What the backbone takes (``{"hidden": 128}``).
        epochs: Rounds over the rows; by their number when ``None``.
        batch_size: Rows in a step; likewise.
        optimizer: Name or one of ``lai.optimizers``.
        learning_rate: Its peak.
        random_state: All draws follow from it: the same number gives the same model.
        verbose: 0 silent, 1 live line, 2 one line per epoch.

    Attributes:
        classes_: The classes, sorted.
        n_features_in_: How many columns it was fitted on.
        feature_names_in_: Their names, where the table had any.
        model_: The fitted model.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> rows, kinds = load_iris(return_X_y=True)
        >>> LeptonClassifier(epochs=3, random_state=0).fit(rows, kinds).score(rows, kinds) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn from a table and the class of each row.

        Args:
            X: Rows: an array or a data frame, whose text columns are categories.
            y: The class of each row: whole numbers or text.
            sample_weight: How much each row counts.

        Raises:
            DataError: There is one class only, or values that cannot be read.
        """
        X, y = self._received(X, y)
        targets.check_classification_targets(y)
        weights = self._weights(sample_weight, X)
        classes, places = np.unique(y, return_inverse=True)
        met = places if weights is None else places[weights > 0]
        if len(np.unique(met)) < 2:
            raise DataError(
                f"Expected rows of at least two classes; received one class only, "
                f"{str(classes[met[0]])!r}."
            )
        names = [str(name) for name in classes]
        column = pa.array(names, pa.string()).take(pa.array(places.ravel()))
        self._train(X, column, Label(names), weights)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Probabilities of the classes, ``[N, classes]`` in the order of ``classes_``."""
        answers = self._answer(X)
        shares = np.asarray(answers[f"{self.model_.task.target}.scores"], dtype=np.float64)
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likeliest class of each row."""
        shares = self.predict_proba(X)
        return self.classes_[shares.argmax(axis=1)]


class LeptonRegressor(RegressorMixin, _Estimator):
    """A regressor of tables for scikit-learn: numbers, missing values and text categories.

    Args:
        network: Name of a backbone, an ``nn.Module`` of your own or a function that makes one; see
            :class:`LeptonClassifier`, likewise for the other arguments.
        network_arguments: What the backbone takes.
        epochs: Rounds over the rows.
        batch_size: Rows in a step.
        optimizer: Name or one of ``lai.optimizers``.
        learning_rate: Its peak.
        random_state: All draws follow from it.
        verbose: 0 silent, 1 live line, 2 one line per epoch.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(80, 2))
        >>> fitted = LeptonRegressor(epochs=3, random_state=0).fit(rows, rows[:, 0] * 2)
        >>> fitted.score(rows, rows[:, 0] * 2) > 0.9
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Learn from a table and the number of each row.

        Args:
            X: Rows: an array or a data frame, whose text columns are categories.
            y: The number of each row.
            sample_weight: How much each row counts.

        Raises:
            DataError: Values that cannot be read.
        """
        X, y = self._received(X, y, numeric=True)
        weights = self._weights(sample_weight, X)
        self._train(X, np.asarray(y, dtype=np.float64), Number(), weights)
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The number of each row."""
        return np.asarray(self._answer(X)[self.model_.task.target], dtype=np.float64)


def repeated(weights: np.ndarray, limit: int = START_ROWS) -> np.ndarray:
    """Numbers of rows, each as often as its weight says: for what knows no weights.

    Example:
        >>> repeated(np.array([1.0, 3.0])).tolist()
        [0, 1, 1, 1]
    """
    unit = weights.min() if weights.sum() / weights.min() <= limit else weights.sum() / limit
    edges = np.rint(np.cumsum(weights) / unit).astype(np.int64)
    return np.repeat(np.arange(len(weights)), np.diff(edges, prepend=0))
