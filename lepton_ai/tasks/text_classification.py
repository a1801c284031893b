"""Text classification: which class does a text belong to?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

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
        "learning_rate": 2e-3,
        "schedule": "one_cycle",
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
        """About 24,000 examples in all, at least two rounds: more learns rare n-grams by heart."""
        count = len(data) if data is not None else 6000
        return {**self.recipe, "epochs": int(min(20, max(2, round(24_000 / max(count, 1)))))}

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": Accuracy(), "f1": F1()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> ClassificationHead:
        field = cast("Label", self.outputs[self.target])
        return ClassificationHead(width, field, name=self.target, dropout=0.5, label_smoothing=0.1)

    @classmethod
    def example(cls) -> TextClassification:
        return cls(["bad", "good"])
