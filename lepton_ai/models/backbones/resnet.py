"""Residual networks (He et al. 2016), from torchvision, also for small pictures."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.field import Field, Spec
from lepton_ai.errors import ConfigError, SourceError
from lepton_ai.models.backbones.backbone import Backbone, Inputs

variants = {"resnet": "ResNet"}

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class ResNet(Backbone):
    """A residual network.

    Args:
        specs: What the fields learned.
        fields: The input fields.
        give: ``"pooled"`` (mean over the map) or ``"maps"`` (the last map).
        layers: 18, 34, 50, 101 or 152.
        small: Whether the entry keeps the size (for pictures of 32 to 64 pixels); ``None`` decides
            by the size of the pictures.
        weights: ``None`` begins at random; ``"imagenet"`` downloads weights trained on ImageNet
            (never without this wish).
    """

    expects: ClassVar[tuple[str, ...]] = ("image",)
    gives: ClassVar[tuple[str, ...]] = ("pooled", "maps")
    prefers_bfloat16: bool = True

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "pooled", *,
        layers: int = 18, small: bool | None = None, weights: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        import torchvision

        if layers not in (18, 34, 50, 101, 152):
            raise ConfigError(f"Expected 18, 34, 50, 101 or 152 layers; received {layers}.")
        if weights not in (None, "imagenet"):
            raise ConfigError(f"Expected weights=None or 'imagenet'; received {weights!r}.")
        self.give, self.name = give, self.single(fields)
        spec = specs[self.name]
        network = getattr(torchvision.models, f"resnet{layers}")(weights=None)
        if weights == "imagenet" and not spec.get("weights_loaded"):
            network.load_state_dict(_imagenet(layers))
            spec["weights_loaded"] = True  # a saved model brings its own
        channels = spec["channels"]
        small = max(spec["size"]) <= 64 if small is None else small
        if weights is None and (small or channels != 3):
            kernel, stride = (3, 1) if small else (7, 2)
            network.conv1 = nn.Conv2d(channels, 64, kernel, stride, kernel // 2, bias=False)
            if small:
                network.maxpool = nn.Identity()
        self.entry = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(network.layer1, network.layer2, network.layer3, network.layer4)
        self.width = network.fc.in_features

    @classmethod
    def wish(cls, name: str, field: Field, **arguments: Any) -> dict[str, Any]:
        if arguments.get("weights") == "imagenet":
            return {"size": [224, 224], "channels": 3, "mean": MEAN, "deviation": DEVIATION}
        return {"largest": 224}

    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        return {self.name: inputs[self.name]}

    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        maps = self.stages(self.entry(stem[self.name]))
        if self.give == "maps":
            return {"maps": maps}
        return {"pooled": F.adaptive_avg_pool2d(maps, 1).flatten(1)}


def _imagenet(layers: int) -> dict[str, Tensor]:
    """ImageNet weights from torchvision's official place, hash checked."""
    import torchvision

    weights: Any = torchvision.models.get_model_weights(f"resnet{layers}")
    chosen = weights.DEFAULT
    try:
        return chosen.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise SourceError(
            f"Expected to download {chosen.url} for weights='imagenet'; {error}. Without a network "
            "train with weights=None, or put the file into torch's cache (torch.hub.get_dir())."
        ) from error
