"""Segmentation: one class for each pixel, by a 1x1 convolution, cross-entropy and dice."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.column import Items
from lepton_ai.data.fields.mask import Mask
from lepton_ai.heads.head import Features, Head, Outputs
from lepton_ai.layers.regularization import SpatialDropout2D

variants = {"segmentation": "SegmentationHead"}


class SegmentationHead(Head):
    """One class for each pixel.

    The loss is cross-entropy and soft dice, the dice pooled over the batch and averaged over the
    classes other than the first that occur (Milletari et al. 2016). Predictions have the size of
    the picture that came in.

    Args:
        width: Channels of the maps.
        field: The mask field.
        size: ``[height, width]`` of the network's picture.
        image: The picture's name among the inputs.
        name: The output's name.
        dropout: Share of channels dropped while training.
    """

    needs: ClassVar[str] = "maps"
    joint: bool = True
    exact_in_columns: ClassVar[bool] = True

    def __init__(
        self, width: int, field: Mask, size: list[int], *, image: str = "image",
        name: str = "mask", dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.field, self.image, self.name = field, image, name
        self.size = (int(size[0]), int(size[1]))
        self.dropout = SpatialDropout2D(dropout)
        self.classify = nn.Conv2d(width, len(field.classes), 1)

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        logits = self.classify(self.dropout(features["maps"])).float()
        return {
            "logits": F.interpolate(logits, size=self.size, mode="bilinear", align_corners=False)
        }

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], {"size": list(self.size)})}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits, expected = outputs["logits"].float(), targets[self.name].long()
        pixels = F.cross_entropy(logits, expected, reduction="none").mean((1, 2))
        shares = logits.softmax(1)
        wanted = F.one_hot(expected, logits.shape[1]).movedim(-1, 1).to(shares.dtype)
        both = (shares * wanted).sum((0, 2, 3))
        size = shares.sum((0, 2, 3)) + wanted.sum((0, 2, 3))
        dice = ((2 * both + 1) / (size + 1))[1:]
        occurs = (wanted.sum((0, 2, 3)) > 0)[1:].to(dice.dtype)
        missed = ((1 - dice) * occurs).sum() / occurs.sum().clamp_min(1)
        return pixels + missed, torch.ones_like(pixels)

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        logits = outputs["logits"].float()
        expected = targets[self.name].long().reshape(-1)
        if wants == "decisions":
            return logits.argmax(1).reshape(-1), expected
        return logits.softmax(1).movedim(1, -1).reshape(-1, logits.shape[1]), expected

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        logits = outputs["logits"].float().cpu()
        sizes = outputs.get(f"{self.image}.size")
        masks, surest = [], []
        for index in range(len(logits)):
            own = logits[index : index + 1]
            size = tuple(sizes[index].tolist()) if sizes is not None else self.size
            if size != self.size:
                own = F.interpolate(own, size=size, mode="bilinear", align_corners=False)
            masks.append(own[0].argmax(0).to(torch.uint8).numpy())
            shares = own[0].softmax(0)
            surest.append([float(plane.max()) for plane in shares])
        return {
            self.name: Items(masks),
            f"{self.name}.scores": np.asarray(surest, dtype=np.float32),
        }

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        """Mean score of the pixels that were decided not to be background (of all, if none)."""
        logits = outputs["logits"].float()
        found = torch.stack([
            torch.from_numpy(np.array(self._at_size(predictions[self.name][index])))
            for index in range(len(logits))
        ]).to(logits.device)  # fmt: skip
        shares = logits.softmax(1)
        chosen = shares.gather(1, found.long()[:, None])[:, 0]
        weight = (found > 0).float()
        none = weight.sum((1, 2)) == 0
        weight[none] = 1.0
        return (chosen * weight).sum((1, 2)) / weight.sum((1, 2))

    def _at_size(self, mask: Any) -> np.ndarray:
        from lepton_ai.data.fields.mask import resize_mask

        array = np.asarray(mask)
        if array.shape == self.size:
            return array
        return resize_mask(array, self.size, max(3, len(self.field.classes)))
