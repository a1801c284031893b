"""Text classification: which class does a text belong to?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lepton_ai.data.column import items, take
from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.text import Text
from lepton_ai.heads.classification import ClassificationHead
from lepton_ai.metrics.classification import F1, Accuracy
from lepton_ai.metrics.metric import Metric
from lepton_ai.tasks.task import Task

if TYPE_CHECKING:
    from lepton_ai.data.dataset import Dataset

variants = {"text_classification": "TextClassification"}


class TextClassification(Task):
    """Which class does a text belong to? In any language.

    Args:
        classes: Names of the classes; ``None`` learns them from training data.
        text: Name of the text column.
        label: Name of the class column.

    Example:
        >>> TextClassification(["good", "bad"]).training_recipe(None)["backbone"]
        'text_gru'
    """

    recipe: ClassVar[dict[str, Any]] = {
        "backbone": "text_gru",
        "batch_size": 32,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "learning_rate": 2e-3,
        "schedule": "cosine_warmup",
        "clip_norm": 1.0,
    }

    def __init__(
        self, classes: list[str] | None = None, *, text: str = "text", label: str = "label"
    ) -> None:
        super().__init__({text: Text()}, {label: Label(classes)})

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        kinds = [type(field) for field in inputs.values()]
        return 1.0 if kinds == [Text] and isinstance(target, Label) else 0.0

    @classmethod
    def needs(cls) -> str:
        return "pooled"

    def training_recipe(self, data: Dataset) -> dict[str, Any]:
        """Some rounds of about 250 steps each; more learns rare n-grams by heart."""
        count = len(data) if data is not None else 6000
        batch_size = 2 ** round(math.log2(min(128, max(16, count / 250))))
        # With more classes each has fewer examples, and is learned in more rounds.
        several = count > 0 and data is not None and _several(data[self.target])
        epochs = 20 if count < 1000 else 8 if several else 6
        return {**self.recipe, "batch_size": batch_size, "epochs": epochs}

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": Accuracy(), "f1": F1()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> ClassificationHead:
        field = cast("Label", self.outputs[self.target])
        return ClassificationHead(width, field, name=self.target, dropout=0.5, label_smoothing=0.1)

    @classmethod
    def example(cls) -> TextClassification:
        return cls(["bad", "good"])


def _several(column: Any) -> bool:
    """Whether there are more than two classes, as far as the first examples tell."""
    first = range(min(len(column), 500))
    return len({str(value) for value in items(take(column, first))}) > 2
