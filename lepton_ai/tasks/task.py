"""Task: what is asked. Read this first.

A task says which fields go in, which come out, and how to judge. How it is answered is the
:class:`~lepton_ai.heads.head.Head`. Each task is one file in this folder, with its default head;
nothing else in Lepton knows it by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai import registry
from lepton_ai.data.column import as_column
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field, Spec
from lepton_ai.errors import ArtifactError, DataError
from lepton_ai.metrics.metric import Metric

if TYPE_CHECKING:
    from lepton_ai.heads.head import Head


class Task(ABC):
    """What is asked: fields in, fields out, metrics.

    Attributes:
        inputs: Name to field of what goes in.
        outputs: Name to field of what comes out.
        headline: The metric that stands for all, the first of :meth:`metrics`.
    """

    recipe: ClassVar[dict[str, Any]] = {}
    """Defaults of ``fit`` for this task: ``backbone``, ``epochs``, ``batch_size``, ``optimizer``,
    ``learning_rate``, ``schedule`` ... and ``backbone_arguments``."""

    def __init__(self, inputs: dict[str, Field], outputs: dict[str, Field]) -> None:
        self.inputs = inputs
        self.outputs = outputs

    # -- what is asked ---------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        """How well it fits these fields, 0 (not at all) to 1; ``lai.train`` takes the best."""

    @classmethod
    def of(cls, inputs: dict[str, Field], outputs: dict[str, Field]) -> Task:
        """The task over the given fields: what ``lai.train`` calls once it has chosen."""
        task = object.__new__(cls)
        Task.__init__(task, dict(inputs), dict(outputs))
        return task

    def adapt(self, data: Dataset) -> None:
        """Learn what belongs to the question (the classes), once, from training data only."""
        data.require([*self.inputs, *self.outputs])
        for name, field in self.outputs.items():
            field.adapt(field.read(data[name]))

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """Fresh metrics by name, the headline first. Each judges the first output."""

    @abstractmethod
    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> Head:
        """The default answer, for features of ``width`` numbers.

        Args:
            width: Numbers in one feature vector of the backbone, for what the head ``needs``.
            specs: What the fields learned, by name, outputs included.
            members: How many sets of features the backbone gives, for ``"members"``.
        """

    @classmethod
    @abstractmethod
    def needs(cls) -> str:
        """What the default head needs from a backbone: ``"pooled"``, ``"sequence"``, ``"maps"``."""

    def training_recipe(self, data: Dataset) -> dict[str, Any]:
        """The defaults of ``fit`` for this data."""
        return dict(self.recipe)

    @property
    def headline(self) -> str:
        """Name of the metric that stands for all."""
        return next(iter(self.metrics()))

    @property
    def target(self) -> str:
        """Name of the first output."""
        return next(iter(self.outputs))

    def sample(self, rng: np.random.Generator, count: int) -> dict[str, Any]:
        """Columns of plausible examples whose fields match one another."""
        fields = {**self.inputs, **self.outputs}
        return {
            name: field.read(as_column([field.sample(rng) for _ in range(count)]))
            for name, field in fields.items()
        }

    @classmethod
    @abstractmethod
    def example(cls) -> Task:
        """A small instance with everything given: contract tests and documentation use it."""

    def compared(
        self, predictions: dict[str, Any], expected: dict[str, Any], wants: str
    ) -> tuple[Tensor, Tensor]:
        """Predicted and expected values of the first output for metrics, from columns."""
        field = self.outputs[self.target]
        if wants == "scores":
            scores = torch.as_tensor(predictions[f"{self.target}.scores"])
            return scores, field.comparable(expected[self.target])
        return field.comparable(predictions[self.target]), field.comparable(expected[self.target])

    # -- saving ----------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        """The task as JSON: its registered name and its fields with what they learned."""
        return {
            "task": registry.name_of("tasks", type(self)),
            "inputs": {name: field.to_config() for name, field in self.inputs.items()},
            "outputs": {name: field.to_config() for name, field in self.outputs.items()},
            **self.settings(),
        }

    def settings(self) -> dict[str, Any]:
        """Further JSON values that :meth:`restore` needs."""
        return {}

    def restore(self, settings: dict[str, Any]) -> None:  # noqa: B027 - most have none
        """Take back what :meth:`settings` gave."""

    @staticmethod
    def from_config(config: dict[str, Any]) -> Task:
        """The task that :meth:`to_config` described; names resolve through the registry only."""
        try:
            kind = registry.lookup("tasks", config["task"])
            inputs = {name: Field.from_config(c) for name, c in config["inputs"].items()}
            outputs = {name: Field.from_config(c) for name, c in config["outputs"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(
                f"Expected a task with its fields; {error!r} is missing."
            ) from error
        task = kind.of(inputs, outputs)
        task.restore({k: v for k, v in config.items() if k not in ("task", "inputs", "outputs")})
        return task

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.inputs)} -> {', '.join(self.outputs)})"

    # -- data ------------------------------------------------------------------------------

    def typed(self, data: Dataset, *, targets: bool = True) -> Dataset:
        """The data with this task's fields on its columns, values checked.

        Raises:
            DataError: A column is missing, or holds what its field refuses.
        """
        wanted = {**self.inputs, **(self.outputs if targets else {})}
        missing = [name for name in wanted if name not in data.columns]
        if missing:
            hint = registry.mistaken(missing[0], data.columns)
            raise DataError(
                f"Expected the columns {', '.join(wanted)}; received "
                f"{', '.join(data.columns) or 'none'}: {', '.join(missing)} missing.{hint} "
                f"Rename with data.rename({{'its name': {missing[0]!r}}})."
            )
        chosen = data.select(list(wanted)).with_fields(wanted)
        for name, field in wanted.items():
            field.check(chosen.columns[name])
        return chosen
