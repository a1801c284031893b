"""Image classification: which class does a picture show?"""

from __future__ import annotations

from typing import Any, ClassVar, cast

from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.label import Label
from lepton_ai.heads.classification import ClassificationHead
from lepton_ai.metrics.classification import F1, Accuracy
from lepton_ai.metrics.metric import Metric
from lepton_ai.tasks.task import Task

variants = {"image_classification": "ImageClassification"}


class ImageClassification(Task):
    """Which class does a picture show?

    Args:
        classes: Names of the classes; ``None`` learns them from training data.
        image: Name of the picture column.
        label: Name of the class column.

    Example:
        >>> ImageClassification(["cat", "dog"]).metrics()["accuracy"].wants
        'decisions'
    """

    recipe: ClassVar[dict[str, Any]] = {
        "backbone": "convnet",
        "epochs": 12,
        "batch_size": 64,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "learning_rate": 2e-3,
        "schedule": "one_cycle",
    }

    def __init__(
        self, classes: list[str] | None = None, *, image: str = "image", label: str = "label"
    ) -> None:
        super().__init__({image: Image()}, {label: Label(classes)})

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        kinds = [type(field) for field in inputs.values()]
        return 1.0 if kinds == [Image] and isinstance(target, Label) else 0.0

    @classmethod
    def needs(cls) -> str:
        return "pooled"

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": Accuracy(), "f1": F1()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> ClassificationHead:
        field = cast("Label", self.outputs[self.target])
        return ClassificationHead(width, field, name=self.target, dropout=0.2)

    @classmethod
    def example(cls) -> ImageClassification:
        task = cls(["circle", "square", "star"])
        task.inputs = {"image": Image(channels=3, size=[16, 16])}
        return task
