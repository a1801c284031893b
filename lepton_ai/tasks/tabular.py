"""Tabular prediction: a class or a number from the columns of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.heads.members import MemberClassification, MemberRegression
from lepton_ai.metrics.classification import F1, Accuracy
from lepton_ai.metrics.metric import Metric
from lepton_ai.metrics.regression import R2, MeanAbsoluteError
from lepton_ai.tasks.task import Task

if TYPE_CHECKING:
    from lepton_ai.data.dataset import Dataset
    from lepton_ai.heads.head import Head

variants = {"tabular": "Tabular"}


class Tabular(Task):
    """A class or a number from the columns of a table.

    Args:
        inputs: Name to field of the columns that are read.
        target: Name to field of the column that is predicted: a label or a number.

    Example:
        >>> task = Tabular({"age": Number(), "job": Label()}, {"income": Number(unit="EUR")})
        >>> task.headline
        'r2'
    """

    recipe: ClassVar[dict[str, Any]] = {
        "backbone": "mlp",
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "precision": "float32",
    }

    def __init__(
        self, inputs: dict[str, Field] | None = None, target: dict[str, Field] | None = None
    ) -> None:
        super().__init__(dict(inputs or {}), dict(target or {}))

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        readable = all(isinstance(field, (Number, Label)) for field in inputs.values())
        return 0.9 if inputs and readable and isinstance(target, (Label, Number)) else 0.0

    @classmethod
    def needs(cls) -> str:
        return "members"

    @property
    def classifies(self) -> bool:
        """Whether a class is predicted, and not a number."""
        return hasattr(self.outputs[self.target], "classes")

    def adapt(self, data: Dataset) -> None:
        """Take inputs and target (the last column) from the data where they were not named."""
        if not self.inputs:
            names = [name for name in data.columns if name not in self.outputs]
            if not self.outputs:
                self.outputs = {names[-1]: data.fields[names.pop()]}
            self.inputs = {name: data.fields[name] for name in names}
        for field in self.inputs.values():
            if isinstance(field, Label):
                field.open = True
        super().adapt(data)

    def metrics(self) -> dict[str, Metric]:
        if self.classifies:
            return {"accuracy": Accuracy(), "f1": F1()}
        return {"r2": R2(), "mean_absolute_error": MeanAbsoluteError()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 4) -> Head:
        field = self.outputs[self.target]
        if isinstance(field, Label):
            return MemberClassification(width, field, members=members, name=self.target)
        number = cast("Number", field)
        return MemberRegression(
            width, number, specs[self.target], members=members, name=self.target
        )

    def training_recipe(self, data: Dataset) -> dict[str, Any]:
        """About 300 steps for small tables, up to 10 rounds for large ones."""
        count = len(data) if data is not None else 1000
        batch = int(min(1024, max(32, 2 ** round(math.log2(max(count, 2) / 16)))))
        steps = max(1, count // batch)
        return {
            **self.recipe,
            "learning_rate": 1e-3 if self.classifies else 5e-4,
            "batch_size": batch,
            "epochs": int(min(30, max(10, 300 // steps))),
        }

    def sample(self, rng: np.random.Generator, count: int) -> dict[str, Any]:
        """Rows whose target follows from the first input."""
        columns = super().sample(rng, count)
        first = next(iter(self.inputs))
        field = self.outputs[self.target]
        if isinstance(field, Label) and isinstance(self.inputs[first], Number):
            classes = field.classes or ["no", "yes"]
            columns[self.target] = field.read([classes[int(v > 0)] for v in columns[first]])
        elif isinstance(field, Number) and isinstance(self.inputs[first], Number):
            columns[self.target] = 3 * np.asarray(columns[first]) + 1
        return columns

    @classmethod
    def example(cls) -> Tabular:
        return cls(
            {"age": Number(), "income": Number(), "job": Label(["clerk", "cook", "smith"])},
            {"bought": Label(["no", "yes"])},
        )
