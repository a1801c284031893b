"""Fitting: ``fit`` and ``evaluate`` of models, with Keras's arguments and ours."""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lepton_ai.callbacks.callback import Callback
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.encoding import encode_inputs, encode_targets
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError
from lepton_ai.models import example_weights, intake
from lepton_ai.models.compiling import settings_of
from lepton_ai.models.gathering import Given, gather
from lepton_ai.tasks.task import Task
from lepton_ai.training.evaluation import evaluate, evaluate_encoded
from lepton_ai.training.resuming import open_run
from lepton_ai.training.run import Run
from lepton_ai.training.settings import Settings
from lepton_ai.training.trainer import Trainer


@dataclass
class Examples:
    """Examples of which each may count differently.

    Attributes:
        data: The examples.
        weights: How much each counts, ``[examples]``, or ``None``.
    """

    data: Dataset
    weights: np.ndarray | None = None

    def split(self, fraction: float, seed: int) -> tuple[Examples, Examples]:
        """Two parts of it, drawn at random."""
        if self.weights is None:
            first, second = self.data.split(fraction, seed=seed)
            return Examples(first), Examples(second)
        name = "sample weight of each example"
        both = self.data.with_column(name, self.weights, Number()).split(fraction, seed=seed)
        first, second = (
            Examples(part.select([n for n in part.columns if n != name]),
                     np.asarray(part[name], dtype=np.float32))
            for part in both
        )  # fmt: skip
        return first, second


class Fitted:
    """``fit`` and ``evaluate``; mixed into :class:`~lepton_ai.models.model.Model`."""

    learning_rates: dict[str, float]

    def fit(
        self, data: Any = None, targets: Any = None, *, x: Any = None, y: Any = None,
        validation_data: Any = None, validation_split: float = 0.0, epochs: int | None = None,
        batch_size: int | None = None, callbacks: Sequence[Callback] = (),
        transforms: Sequence[Any] | None = None, class_weight: dict[Any, float] | None = None,
        sample_weight: Any = None, learning_rates: dict[str, float] | None = None,
        seed: int | None = None, verbose: int | str = "auto", workspace: Any = None,
        **settings: Any,
    ) -> Run:  # fmt: skip
        """Train on data; returns the run, whose ``history`` is as in Keras.

        Args:
            data: A data set, columns, a frame, a path, plain inputs, or what gives batches: a
                DataLoader, a generator, a Sequence (read once). ``x`` is the same.
            targets: Expected outputs, where ``data`` holds plain inputs only. ``y`` is the same.
            x: As ``data``.
            y: As ``targets``.
            validation_data: What to judge each epoch on, ``(x, y)`` and ``(x, y, weights)`` too.
            validation_split: Share of ``data`` taken for that instead.
            epochs: Rounds over the data; the task's recipe says how many when ``None``.
            batch_size: Examples in a step; likewise.
            callbacks: Objects of ``lai.callbacks``.
            transforms: Random changes of the training examples; ``None`` takes the recipe's
                unless the data has its own, ``()`` takes none.
            class_weight: Class to weight, by name or number; others count 1.
            sample_weight: One number for each example, or the name of a column that holds them.
            learning_rates: Layer, or the beginning of its name, to a rate of its own.
            seed: All draws follow from it; ``None`` takes 0.
            verbose: 0 silent, 1 live line, 2 one line per epoch.
            workspace: Where the run is kept.
            settings: Further fields of :class:`~lepton_ai.training.Settings` (``optimizer``,
                ``schedule``, ``clip_norm``, ``initial_epoch``, ``steps_per_epoch`` ...).

        Raises:
            LeptonError: Something does not fit; nothing of the model is changed then.
        """
        model: Any = self
        told = {"epochs": epochs, "batch_size": batch_size}
        chosen = settings_of({**settings, **{k: v for k, v in told.items() if v is not None}})
        given = _given(data, targets, x, y, sample_weight, chosen)
        with _whole_or_nothing(model):
            model.meet(given)
            training = _training(model.task, given)
            validation = _validation(model.task, validation_data)
            if validation is None and validation_split:
                training, validation = training.split(validation_split, seed or 0)
            model.seed = 0 if seed is None else int(seed)
            resolved = _settings(model, training.data, chosen, verbose, callbacks)
            self.learning_rates = dict(learning_rates or {})
            pair = _typed(model, training, validation, transforms, class_weight)
            if not model.bound:
                model.bind(training.data, seed=model.seed)
            model.parameter_groups(1e-3)  # a name that fits no layer is told before the run begins
        return _run(model, training.data, pair, resolved, workspace)

    def evaluate(
        self, data: Any = None, targets: Any = None, *, x: Any = None, y: Any = None,
        sample_weight: Any = None, return_dict: bool = False, batch_size: int = 256,
        verbose: int | str = 0, steps: int | None = None,
    ) -> Any:  # fmt: skip
        """Loss and metrics, in order as Keras gives them; ``return_dict=True`` for a dict.

        Args:
            data: As in :meth:`fit`; ``x`` is the same.
            targets: Expected outputs, where ``data`` holds plain inputs only; ``y`` is the same.
            x: As ``data``.
            y: As ``targets``.
            sample_weight: How much each example counts in the loss, as in :meth:`fit`.
            return_dict: Figures by name in the place of a tuple.
            batch_size: Examples worked on at once.
            verbose: Accepted as in Keras; nothing is shown.
            steps: How many batches to read, where the data comes in batches.
        """
        model: Any = self
        model.ready()
        chosen: dict[str, Any] = {} if steps is None else {"steps_per_epoch": steps}
        given = _given(data, targets, x, y, sample_weight, chosen)
        examples = _training(model.task, given)
        if examples.weights is None:
            figures = evaluate(model, examples.data, batch_size=batch_size)
        else:
            typed = model.task.typed(examples.data)
            columns = encode_inputs(model.task.inputs, model.specs, typed.columns)
            columns = columns.merged(encode_targets(model.head, model.specs, typed.columns))
            columns.columns[example_weights.COLUMN] = torch.from_numpy(examples.weights)
            figures = evaluate_encoded(model, columns, batch_size=batch_size)
        return figures if return_dict else tuple(figures.values())

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of one batch, as :meth:`evaluate` of it."""
        return self.evaluate(x, y, sample_weight=sample_weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Predictions of one batch, as ``predict`` of it."""
        model: Any = self
        return model.predict(x)


def _given(data: Any, targets: Any, x: Any, y: Any, weights: Any, chosen: dict[str, Any]) -> Given:
    """The data under either name, gathered where it comes in batches."""
    if (data is not None and x is not None) or (targets is not None and y is not None):
        raise ConfigError("Expected the data once; received it twice. Type: fit(x, y).")
    source = x if data is None else data
    if source is None:
        raise ConfigError("Expected data; received none. Type: model.fit(x, y).")
    steps = chosen.get("steps_per_epoch")
    expected = y if targets is None else targets
    if isinstance(weights, str):  # a column of weights is no input: out before the rest is read
        if expected is not None:
            raise ConfigError(
                f"Expected sample_weight as numbers beside (x, y); received {weights!r}. A name "
                "is for a column of a Dataset: model.fit(data, sample_weight='name')."
            )
        return Given(*_without(gather(source, steps=steps).inputs, weights))
    given = gather(source, expected, weights, steps=steps)
    if given.inputs is not source and given.batch_size is not None:
        chosen.pop("steps_per_epoch", None)  # exactly so many batches were read
        chosen.setdefault("batch_size", given.batch_size)
    return given


def _without(source: Any, name: str) -> tuple[Dataset, None, np.ndarray | None]:
    data, weights = example_weights.taken_out(as_dataset(source).require(), name)
    return data, None, weights


def _training(task: Task, given: Given) -> Examples:
    data = intake.training_data(task, given.inputs, given.targets)
    return Examples(*example_weights.taken_out(data, given.weights))


def _validation(task: Task, given: Any) -> Examples | None:
    data, weights = intake.weighted_validation(task, given)
    return None if data is None else Examples(*example_weights.taken_out(data, weights))


def _settings(
    model: Any, data: Dataset, chosen: dict[str, Any], verbose: int | str,
    callbacks: Sequence[Callback],
) -> Settings:  # fmt: skip
    several = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    told: dict[str, Any] = {**model._recipe(data), **chosen, "verbose": verbose}
    told["callbacks"] = tuple(several)
    settings = Settings(**told)
    settings.check()
    return settings


def _typed(
    model: Any, training: Examples, validation: Examples | None, transforms: Any,
    class_weight: Any,
) -> tuple[Dataset, Dataset | None]:  # fmt: skip
    """Training and validation data with the task's fields, weights beside them."""
    task = model.task
    if transforms is None and not training.data.transforms:
        transforms = task.training_recipe(training.data).get("transforms")
    typed = model._typed(training.data.apply_transforms(transforms or ()))
    weights = example_weights.with_classes(task, typed, training.weights, class_weight)
    _check_joint(task, weights)
    typed = example_weights.attached(typed, weights)
    if validation is None:
        return typed, None
    checked = task.typed(validation.data.require())
    return typed, example_weights.attached(checked, validation.weights)


def _check_joint(task: Task, weights: np.ndarray | None) -> None:
    judges = getattr(task, "judges", {})
    coupled = [type(j.loss).__name__ for j in judges.values() if j.loss.joint]
    if weights is not None and coupled:
        raise ConfigError(
            f"Expected a loss of single examples for weights; {coupled[0]} couples those of a "
            "batch. Leave sample_weight and class_weight out."
        )


def _run(
    model: Any, data: Dataset, pair: tuple[Dataset, Dataset | None], settings: Settings,
    workspace: Any,
) -> Run:  # fmt: skip
    typed, checked = pair
    told = {k: v for k, v in vars(settings).items() if k not in ("callbacks", "verbose")}
    told = {k: v if _plain(v) else repr(v) for k, v in told.items()}
    network = model.backbone or repr(type(model.given))
    run = open_run(
        model, settings, workspace, seed=model.seed, parent=model.run.id if model.run else None,
        config={**told, "task": repr(model.task), "network": network},
        data={"digest": data.digest(), "examples": len(data), "name": data.name},
    )  # fmt: skip
    model.engine = None
    model.golden = typed.take(np.arange(min(8, len(typed))))
    model.lineage = {"run": run.id, "data": run.data, "seed": run.seed}
    model.run = Trainer(model, typed, checked, settings, run).train()
    return run


@contextmanager
def _whole_or_nothing(model: Any) -> Generator[None]:
    """What is learned of the question is forgotten again when something is refused."""
    kept = copy.deepcopy(vars(model._task)) if model._task is not None else {}
    before = (model.seed, model.learning_rates, model.bound)
    try:
        yield
    except BaseException:
        if model._task is not None:
            vars(model._task).clear()
            vars(model._task).update(kept)
        model.seed, model.learning_rates = before[:2]
        if not before[2]:
            model.unbind()
        raise


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
