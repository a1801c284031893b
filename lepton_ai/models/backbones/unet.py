"""U-Net: maps as fine as the picture, from coarse and fine evidence together.

After Ronneberger et al. 2015 with residual blocks (He et al. 2016), additive lateral connections
(Lin et al. 2017) and a global context added to the coarsest map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.field import Field, Spec
from lepton_ai.models.backbones.backbone import Backbone, Inputs

variants = {"unet": "UNet"}


def _conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Residual(nn.Module):
    """Two convolutions beside a short cut; at first the block is its short cut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _conv_norm(inputs, outputs, 3, stride)
        self.second = _conv_norm(outputs, outputs)
        nn.init.zeros_(cast("nn.BatchNorm2d", self.second[1]).weight)
        same = inputs == outputs and stride == 1
        self.short = nn.Identity() if same else _conv_norm(inputs, outputs, 1)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.short(self.pool(x)))


class GlobalContext(nn.Module):
    """Adds a projection of the mean over the map to every place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze, self.expand = nn.Linear(width, width // 2), nn.Linear(width // 2, width)
        nn.init.zeros_(self.expand.weight)
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(F.relu(self.squeeze(x.mean((2, 3)))))[:, :, None, None]


class UNet(Backbone):
    """A small U-Net.

    Args:
        specs: What the fields learned.
        fields: The input fields.
        give: ``"maps"`` (at half the picture's size) or ``"pooled"`` (mean of the coarsest).
        widths: Channels of each level; the first works at half the size, each further at half of
            the one before.
        size: ``[height, width]`` the picture is brought to.
    """

    expects: ClassVar[tuple[str, ...]] = ("image",)
    gives: ClassVar[tuple[str, ...]] = ("maps", "pooled")
    prefers_bfloat16: bool = True

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "maps", *,
        widths: Sequence[int] = (24, 32, 64, 96, 128), size: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.give, self.name = give, self.single(fields)
        channels = specs[self.name]["channels"]
        self.entry = nn.Sequential(_conv_norm(channels, widths[0], 5, 2), nn.ReLU())
        self.enter = Residual(widths[0], widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(Residual(a, b, 2), Residual(b, b)) for a, b in pairwise(widths)
        )
        self.context = GlobalContext(widths[-1])
        self.lateral = nn.ModuleList(_conv_norm(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Residual(a, a) for a, _ in pairwise(widths))
        self.width = widths[0] if give == "maps" else widths[-1]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @classmethod
    def wish(cls, name: str, field: Field, **arguments: Any) -> dict[str, Any]:
        wish: dict[str, Any] = {"largest": 128, "normalize": "each"}
        if arguments.get("size"):
            wish["size"] = list(arguments["size"])
        return wish

    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        return {self.name: inputs[self.name]}

    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        maps = [self.enter(self.entry(stem[self.name]))]
        for stage in self.down:
            maps.append(stage(maps[-1]))
        y = self.context(maps[-1])
        if self.give == "pooled":
            return {"pooled": y.mean((2, 3))}
        for level in range(len(self.up) - 1, -1, -1):
            fine = maps[level]
            y = F.interpolate(
                self.lateral[level](y), size=fine.shape[2:], mode="bilinear", align_corners=False
            )
            y = self.up[level](y + fine)
        return {"maps": y}
