"""What a source asks for, guessed: the target, the inputs, the fields and the task.

Every guess says why it was made and what to type to override it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.field import Field
from lepton_ai.data.fields.label import Label
from lepton_ai.errors import ConfigError, DataError
from lepton_ai.quality.checks.constancy import distinct, identifier
from lepton_ai.quality.target import find_target, kind_of, usual_target
from lepton_ai.tasks.task import Task

_FEW_CLASSES = 10


@dataclass(frozen=True)
class Guess:
    """One thing that was inferred.

    Attributes:
        what: What is about: ``"target"``, ``"task"``.
        said: What was inferred and why.
        override: What to type to have it otherwise.
    """

    what: str
    said: str
    override: str

    def __str__(self) -> str:
        return f"{self.what + ':':<10} {self.said}  [{self.override}]"


@dataclass
class Plan:
    """What shall be trained on what.

    Attributes:
        data: The inputs and the target, with their fields.
        target: Name of the target.
        task: The task over these columns.
        guesses: What was inferred, in order.
    """

    data: Dataset
    target: str
    task: Task
    guesses: list[Guess] = field(default_factory=list)


def read_source(source: Any, target: str | None = None) -> Dataset:
    """A data set from whatever holds examples; inputs and outputs may come as a pair of arrays."""
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], Mapping):
        return Dataset({"x": source[0], "y": source[1]})
    if target is not None and not isinstance(source, (Dataset, Mapping, list, tuple)):
        return Dataset.read(source, target=target)
    return as_dataset(source)


def infer(
    source: Any, target: str | None = None, *, task: Task | str | None = None,
    fields: Mapping[str, Field] | None = None,
) -> Plan:  # fmt: skip
    """Work out what to train.

    Args:
        source: A data set, or whatever one can be made of.
        target: The column to predict; guessed when ``None``.
        task: A task or its name; the one that suits best when ``None``.
        fields: Fields of some columns, which are then kept as inputs whatever they hold.

    Raises:
        DataError: No column can be the target, or the named one is not there.
        ConfigError: No task suits these fields.
    """
    data = read_source(source, target).require()
    given = dict(fields or {})
    for name in given:
        data[name]  # raises for a column that is not there, with the near miss
    data = data.with_fields(given) if given else data
    if isinstance(task, Task):
        names = [*task.inputs, *task.outputs]
        return Plan(data.require(names).select(names), task.target, task)
    guesses = [_told_source(data)]
    chosen = target if target is not None else _guess_target(data, task)
    data = _with_target_field(data, find_target(data, chosen) or chosen, given)
    if target is None:
        why = "by its name" if usual_target(data.columns) == chosen else "the last column"
        guesses.append(Guess("target", f"{chosen!r}, {why}.", "target='another column'"))
    inputs, dropped = _useful_inputs(data, chosen, given)
    kind, inputs, unfit = _choose_task(data, inputs, chosen, task)
    guesses.append(_told_fields(data, inputs, chosen))
    for name, why in {**dropped, **unfit}.items():
        override = f"fields={{{name!r}: lai.data.fields.{type(data.fields[name]).__name__}()}}"
        if name in unfit:
            override = "task='another task', or merge it into another column"
        guesses.append(Guess("left out", f"{name!r}, which {why}.", f"to keep it: {override}"))
    made = kind.of({n: data.fields[n] for n in inputs}, {chosen: data.fields[chosen]})
    if task is None:
        key = registry.name_of("tasks", kind)
        others = [
            n for n in registry.names("tasks") if n != key and _suits(n, data, inputs, chosen)
        ]
        override = f"task= one of {', '.join(others)}" if others else "task=a task of your own"
        guesses.append(Guess("task", f"{key} ({_listed(inputs)} -> {chosen}).", override))
    return Plan(data.select([*inputs, chosen]), chosen, made, guesses)


def _told_source(data: Dataset) -> Guess:
    listed = ", ".join(data.columns) if len(data.columns) <= 12 else f"{len(data.columns)} columns"
    skipped = f"; {len(data.skipped):,} members could not be read" if data.skipped else ""
    said = f"{len(data):,} examples of {data.name!r}: {listed}{skipped}."
    return Guess("source", said, "lai.Dataset.read(source, ...) to read it yourself")


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _told_fields(data: Dataset, inputs: list[str], target: str) -> Guess:
    by_kind: dict[str, list[str]] = {}
    for name in inputs:
        by_kind.setdefault(type(data.fields[name]).__name__, []).append(name)
    parts = []
    for kind, names in by_kind.items():
        parts.append(f"{kind}: {_listed(names)}")
    kind = type(data.fields[target]).__name__
    first, count = inputs[0], distinct(data[target])
    classes = f" of {count} classes" if count and kind_of(data.fields[target]) == "label" else ""
    return Guess(
        "fields",
        f"{'; '.join(parts)}; target {target}: {kind}{classes}.",
        f"fields={{{first!r}: lai.data.fields.{type(data.fields[first]).__name__}()}}",
    )


def _guess_target(data: Dataset, task: str | None) -> str:
    """A column of a usual name, else the last; the first of them that some task can predict."""
    if len(data.columns) < 2:
        raise DataError(
            "Expected a source with inputs and a target; received the single column "
            f"{next(iter(data.columns), '(none)')!r}. An image folder needs one folder for each "
            "class; a table one column to predict."
        )
    columns = list(data.columns)
    named = usual_target(columns)
    candidates = list(dict.fromkeys([*([named] if named else []), columns[-1]]))
    for candidate in candidates:
        typed = _with_target_field(data, candidate, {})
        inputs, _ = _useful_inputs(typed, candidate, {})
        if _suited(typed, inputs, candidate, task):
            return candidate
    return candidates[0]


def _with_target_field(data: Dataset, target: str, given: Mapping[str, Field]) -> Dataset:
    """The data with a label as target where whole numbers or texts are plainly classes."""
    if target in given:
        return data
    count = distinct(data[target])
    kind = kind_of(data.fields[target])
    if count is None or kind not in ("number", "text"):
        return data
    if kind == "text" and 2 <= count <= max(2, 0.5 * len(data)):
        return data.with_fields({target: Label()})
    values = data.fields[target].read(data[target])
    whole = kind == "number" and bool((values[values == values] % 1 == 0).all())
    few = count == 2 or (count <= _FEW_CLASSES and len(data) >= 20 * count)
    return data.with_fields({target: Label()}) if whole and few else data


def _useful_inputs(
    data: Dataset, target: str, given: Mapping[str, Field]
) -> tuple[list[str], dict[str, str]]:
    """The inputs without columns that are constant or only name the row, and why each went."""
    names = [name for name in data.columns if name != target]
    dropped: dict[str, str] = {}
    for name in names:
        if name in given or len(names) - len(dropped) == 1 or len(data) < 2:
            continue
        why = identifier(name, data[name])
        if not why and distinct(data[name]) in (0, 1):
            why = "has one and the same value everywhere"
        if why:
            dropped[name] = why
    return [name for name in names if name not in dropped], dropped


def _suited(
    data: Dataset, inputs: list[str], target: str, task: str | None
) -> tuple[float, type[Task]] | None:
    """The task that suits best, and how well; ``None`` when none does."""
    fields = {name: data.fields[name] for name in inputs}
    names = registry.names("tasks") if task is None else [registry.canonical("tasks", task)]
    best: tuple[float, type[Task]] | None = None
    for name in names:
        kind = registry.lookup("tasks", name)
        score = kind.suits(fields, data.fields[target]) if fields else 0.0
        if score > 0 and (best is None or score > best[0]):
            best = score, kind
    return best


def _suits(name: str, data: Dataset, inputs: list[str], target: str) -> bool:
    return _suited(data, inputs, target, name) is not None


def _choose_task(
    data: Dataset, inputs: list[str], target: str, task: str | None
) -> tuple[type[Task], list[str], dict[str, str]]:
    """The best task, the inputs that it reads, and why others were left out.

    Where no task reads all inputs together, those of one kind are tried, pictures and texts before
    the columns of a table.
    """
    found = _suited(data, inputs, target, task)
    if found is not None:
        return found[1], inputs, {}
    groups: dict[str, list[str]] = {}
    for name in inputs:
        kind = kind_of(data.fields[name])
        groups.setdefault("table" if kind in ("number", "label") else name, []).append(name)
    for key in sorted(groups, key=lambda key: key == "table"):
        found = _suited(data, groups[key], target, task)
        if found is not None:
            kept = groups[key]
            reads = registry.name_of("tasks", found[1])
            why = f"{reads} does not read together with {', '.join(kept)}"
            return found[1], kept, {name: why for name in inputs if name not in kept}
    described = ", ".join(f"{n}: {type(data.fields[n]).__name__}" for n in inputs) or "nothing"
    names = ", ".join(registry.names("tasks"))
    raise ConfigError(
        f"Expected fields that {'the task ' + repr(task) if task else 'some task'} fits; received "
        f"{described} -> {target}: {type(data.fields[target]).__name__}. Name another target "
        "(target=...), other fields (fields={'column': lai.data.fields.Text()}), or one of the "
        f"tasks {names}."
    )
