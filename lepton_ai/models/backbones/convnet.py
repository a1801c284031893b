"""Small convolutional networks for small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.field import Field, Spec
from lepton_ai.models.backbones.backbone import Backbone, Inputs

variants = {"convnet": "ConvNet"}


class ConvNet(Backbone):
    """Stages of 3x3 convolutions, each followed by batch normalisation, ReLU and max pooling.

    Args:
        specs: What the fields learned.
        fields: The input fields.
        give: ``"pooled"`` (mean over the map) or ``"maps"`` (the last map).
        filters: Channels of each stage; each stage halves the map.
        convolutions: Convolutions in a stage.
    """

    expects: ClassVar[tuple[str, ...]] = ("image",)
    gives: ClassVar[tuple[str, ...]] = ("pooled", "maps")
    prefers_bfloat16: bool = True

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "pooled", *,
        filters: Sequence[int] = (32, 64, 128), convolutions: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.give = give
        self.name = self.single(fields)
        channels = specs[self.name]["channels"]
        stages: list[nn.Module] = []
        for count in filters:
            for _ in range(convolutions):
                stages += [
                    nn.Conv2d(channels, count, 3, padding=1, bias=False),
                    nn.BatchNorm2d(count),
                    nn.ReLU(inplace=True),
                ]
                channels = count
            stages.append(nn.MaxPool2d(2, ceil_mode=True))
        self.stages = nn.Sequential(*stages)
        self.width = channels

    @classmethod
    def wish(cls, name: str, field: Field, **arguments: Any) -> dict[str, Any]:
        return {"largest": 64}

    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        return {self.name: inputs[self.name]}

    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        maps = self.stages(stem[self.name])
        if self.give == "maps":
            return {"maps": maps}
        return {"pooled": F.adaptive_avg_pool2d(maps, 1).flatten(1)}
