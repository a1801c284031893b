"""Semantic segmentation: which class is each pixel of a picture?"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np

from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.mask import Mask
from lepton_ai.heads.segmentation import SegmentationHead
from lepton_ai.metrics.classification import Accuracy
from lepton_ai.metrics.metric import Metric
from lepton_ai.metrics.segmentation import IoU
from lepton_ai.tasks.task import Task

variants = {"semantic_segmentation": "SemanticSegmentation"}


class SemanticSegmentation(Task):
    """Which class is each pixel of a picture?

    Args:
        classes: Names of the classes, the first of them the background.
        image: Name of the picture column.
        mask: Name of the mask column.

    Example:
        >>> list(SemanticSegmentation(["background", "defect"]).metrics())
        ['iou', 'pixel_accuracy']
    """

    recipe: ClassVar[dict[str, Any]] = {
        "backbone": "unet",
        "epochs": 25,
        "batch_size": 16,
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "schedule": "one_cycle",
        "clip_norm": 1.0,
        "transforms": ["random_horizontal_flip", "random_vertical_flip", "color_jitter"],
    }

    def __init__(
        self, classes: list[str] | None = None, *, image: str = "image", mask: str = "mask"
    ) -> None:
        super().__init__({image: Image()}, {mask: Mask(classes)})

    @classmethod
    def suits(cls, inputs: dict[str, Field], target: Field) -> float:
        kinds = [type(field) for field in inputs.values()]
        return 1.0 if kinds == [Image] and isinstance(target, Mask) else 0.0

    @classmethod
    def needs(cls) -> str:
        return "maps"

    def metrics(self) -> dict[str, Metric]:
        return {"iou": IoU(), "pixel_accuracy": Accuracy()}

    def head(self, width: int, specs: dict[str, Spec], *, members: int = 1) -> SegmentationHead:
        field = cast("Mask", self.outputs[self.target])
        image = next(iter(self.inputs))
        return SegmentationHead(width, field, specs[image]["size"], image=image, name=self.target)

    def sample(self, rng: np.random.Generator, count: int) -> dict[str, Any]:
        """Grey noise with brighter rectangles, and the masks of these."""
        masks = np.stack([self.outputs[self.target].sample(rng) for _ in range(count)])
        noise = rng.integers(0, 90, (*masks.shape, 3))
        pictures = np.clip(noise + 120 * masks[..., None], 0, 255).astype(np.uint8)
        return {next(iter(self.inputs)): pictures, self.target: masks}

    @classmethod
    def example(cls) -> SemanticSegmentation:
        task = cls(["background", "defect"])
        task.inputs = {"image": Image(channels=3, size=[32, 32])}
        return task
