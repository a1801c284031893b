"""``lai.train``: the three-line way from a source to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lepton_ai import registry
from lepton_ai.automl.inferring import Guess, Plan, infer, read_source
from lepton_ai.automl.narrator import Narrator
from lepton_ai.automl.result import Result, measure
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.errors import ConfigError
from lepton_ai.models.binding import unfit
from lepton_ai.models.model import Model
from lepton_ai.quality import Policy, Report, check, clean, describe_changes
from lepton_ai.quality.target import kind_of
from lepton_ai.tasks.task import Task

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


@dataclass
class Trained:
    """What ``lai.train`` did on the way to a model.

    Attributes:
        plan: Target, task and data as they were inferred.
        gate: The last report of the quality gate, ``None`` when it was switched off.
        training: What was trained on, after cleaning.
        test: What was held out.
        result: The figures on it.
    """

    plan: Plan
    gate: Report | None
    training: Dataset
    test: Dataset
    result: Result


def train(
    source: Any, target: str | None = None, *, task: Task | str | None = None,
    fields: Mapping[str, Field] | None = None, backbone: Any = None, test: Any = None,
    epochs: int | None = None, seed: int = 0, verbose: int | str = "auto", workspace: Any = None,
    gate: bool | Policy | Mapping[str, Any] = True, **settings: Any,
) -> Model:  # fmt: skip
    """Read a source, infer what it asks for, check, clean and train, and judge on a held-out part.

    The model comes with ``model.run``, with ``model.report_text`` (what was inferred, how to
    override it, and the result), and with ``model.trained`` (the data, the gate, the figures).

    Args:
        source: An image folder, a CSV, JSONL or Parquet file, arrays, a data frame, a data set.
        target: The column to predict; guessed when ``None``.
        task: A task or its name; the one that suits best when ``None``.
        fields: Fields of some columns, where the guess would be another.
        backbone: Name of a backbone, or an ``nn.Module``; the task's usual one when ``None``.
        test: What to judge on; a fifth of the source is held out when ``None``.
        epochs: Rounds over the data; the task's recipe says how many when ``None``.
        seed: All draws follow from it: the split, the weights, the order.
        verbose: 0 says nothing.
        workspace: Where the run is kept.
        gate: ``False`` trains on whatever is there, which the run records; a policy or a dict of
            thresholds takes the place of the usual one.
        settings: Further settings of ``fit`` (``learning_rate``, ``batch_size``, ``callbacks``).

    Raises:
        GateError: The data still fails the quality gate after cleaning.
        DataError: The source cannot be read, or a column is not there.
        ConfigError: No task suits the fields.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> pictures = rng.integers(0, 90, (40, 12, 12), dtype="uint8")
        >>> pictures[::2] += 120
        >>> model = train({"image": pictures, "label": ["day", "night"] * 20}, epochs=1, verbose=0)
        >>> print(model.report_text.splitlines()[1])
        target:    'label', by its name.  [target='another column']
    """
    narrator = Narrator(verbose)
    plan = infer(source, target, task=task, fields=fields)
    for guess in plan.guesses:
        narrator.say(guess)
    held = None if test is None else _typed_test(plan, test)
    report, data = _gated(plan, held, gate, narrator)
    training, held = (data, held) if held is not None else _split(data, plan, seed, narrator)
    model = Model(backbone, plan.task)
    if backbone is None:
        narrator.say(_told_backbone(model, training))
    told = {"epochs": epochs, "seed": seed, "verbose": verbose, "workspace": workspace, **settings}
    learned = _fit(model, plan, training, held, told, narrator)
    result = measure(model, held)
    narrator.say(f"result:    {result}.")
    _record(model, Trained(plan, report, learned, held, result), narrator.text)
    return model


def _fit(
    model: Model, plan: Plan, training: Dataset, held: Dataset, told: dict[str, Any],
    narrator: Narrator,
) -> Dataset:  # fmt: skip
    """Train; returns what was learned from: less when callbacks need figures to choose by."""
    learned, validation = training, held
    if told.get("callbacks"):  # not by the figures of the test part
        strata = _strata(training, plan.target)
        learned, validation = training.split(VALIDATION_SHARE, seed=told["seed"], stratify=strata)
    narrator.say(_told_recipe(plan.task, learned, told))
    model.fit(learned, validation_data=validation, **told)
    return learned


def _typed_test(plan: Plan, test: Any) -> Dataset:
    data = read_source(test, plan.target)
    names = [*plan.task.inputs, plan.target]
    fields = {name: plan.data.fields[name] for name in names}
    return data.require(names).select(names).with_fields(fields)


def _gated(
    plan: Plan, test: Dataset | None, gate: Any, narrator: Narrator
) -> tuple[Report | None, Dataset]:
    """The report and the data that passed, cleaned where it did not pass at first."""
    if gate is False:
        narrator.say("gate:      switched off; the run records it.  [gate=True]")
        return None, plan.data
    if not isinstance(gate, (bool, Policy, Mapping)):
        raise ConfigError(
            f"Expected gate as True, False, a Policy or a dict of thresholds; received {gate!r}."
        )
    policy = None if gate is True else gate
    report = check(plan.data, target=plan.target, against=test, policy=policy)
    narrator.say(f"gate:      {report.to_text()}")
    if report.passed:
        return report, plan.data
    data = clean(plan.data, report)
    changes = describe_changes(data).replace("\n", "\n           ")
    narrator.say(f"cleaned:   {changes or 'nothing could be fixed'}")
    gone = [name for name in plan.task.inputs if name not in data.columns]
    for name in gone:
        del plan.task.inputs[name]
    again = check(data, target=plan.target, against=test, policy=policy)
    narrator.say(f"gate:      {again.summary()}  [gate=False trains all the same]")
    return again.require(), data


def _strata(data: Dataset, target: str) -> str | None:
    return target if kind_of(data.fields[target]) == "label" else None


def _split(data: Dataset, plan: Plan, seed: int, narrator: Narrator) -> tuple[Dataset, Dataset]:
    strata = _strata(data, plan.target)
    training, test = data.split(TEST_SHARE, seed=seed, stratify=strata)
    kept = ", classes in their shares" if strata else ""
    narrator.say(
        Guess(
            "split",
            f"{len(training):,} to train, {len(test):,} held out{kept}; repeats on one side.",
            "test=your own test data",
        )
    )
    return training, test


def _told_backbone(model: Model, data: Dataset) -> Guess:
    name = model.usual_backbone(data)
    fitting = [
        other
        for other in registry.names("backbones")
        if other != name and not unfit(registry.lookup("backbones", other), model.task)
    ]
    others = f"backbone= one of {', '.join(fitting)}" if fitting else "backbone=an nn.Module"
    return Guess("backbone", f"{name}, usual for this task.", others)


def _told_recipe(task: Task, data: Dataset, told: Mapping[str, Any]) -> Guess:
    recipe = {**task.training_recipe(data), **told}
    if told["epochs"] is None:
        recipe["epochs"] = task.training_recipe(data).get("epochs")
    hidden = ("backbone", "backbone_arguments", "callbacks", "verbose", "workspace")
    listed = ", ".join(f"{n}={v!r}" for n, v in recipe.items() if n not in hidden and v is not None)
    return Guess("recipe", f"{listed}.", "epochs=..., batch_size=..., learning_rate=...")


def _record(model: Any, trained: Trained, told: str) -> None:
    """Keep with the model, in its lineage and in its run what led to it."""
    model.trained, model.report_text = trained, told
    summary = None if trained.gate is None else trained.gate.summary()
    cleaned = trained.training.lineage.get("cleaned")
    model.lineage["train"] = {
        "inferred": [str(guess) for guess in trained.plan.guesses],
        "gate": summary,
        "cleaned": cleaned and [f"{c['check']}: {c['what']}" for c in cleaned["changes"]],
        "result": trained.result.to_json(),
    }
    run = model.run
    run.config["gate"] = summary or "off"
    run.metrics |= {f"test_{name}": value for name, value in trained.result.figures.items()}
    run.save()
