"""Tagging: one class for each word, by a linear layer and softmax."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.column import Ragged
from lepton_ai.data.fields.tags import Tags
from lepton_ai.heads.head import Features, Head, Outputs, sequence_mask

variants = {"tagging": "TaggingHead"}


class TaggingHead(Head):
    """One class for each word.

    Args:
        width: Numbers in a feature vector of one word.
        field: The tags field, its classes known.
        words: The sentence's name among the inputs.
        name: The output's name.
        dropout: Share of features dropped while training.
    """

    needs: ClassVar[str] = "sequence"

    def __init__(
        self, width: int, field: Tags, *, words: str = "words", name: str = "tags",
        dropout: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__()
        from lepton_ai.layers.regularization import Dropout

        self.field, self.words, self.name = field, words, name
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(width, len(field.classes or ()))

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        return {"logits": self.linear(self.dropout(features["sequence"]))}

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], specs[self.name])}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits, expected = outputs["logits"].float(), targets[self.name]
        loss = F.cross_entropy(logits.movedim(-1, 1), expected, reduction="none", ignore_index=-1)
        return loss.sum(1), (expected >= 0).sum(1).to(loss.dtype)

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        logits = outputs["logits"].float().flatten(0, 1)
        predicted = logits.argmax(-1) if wants == "decisions" else logits.softmax(-1)
        return predicted, targets[self.name].flatten()

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        lengths = outputs[f"{self.words}.lengths"].cpu()
        scores = outputs["logits"].float().softmax(-1).cpu()
        flat = Ragged.unpadded(scores, lengths)
        best = flat.values.max(-1)
        return {
            self.name: Ragged(self.field.names(best.indices), flat.lengths),
            f"{self.name}.scores": Ragged(best.values.numpy(), flat.lengths),
        }

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        """Mean score of the tags that were decided."""
        lengths = outputs[f"{self.words}.lengths"]
        shares = outputs["logits"].float().softmax(-1)
        chosen = self.field.to_tensor(predictions[self.name], {}).padded(0)
        own = shares.gather(-1, chosen.to(shares.device)[..., None])[..., 0]
        mask = sequence_mask(lengths, shares.shape[1]).to(own.dtype)
        return (own * mask).sum(1) / mask.sum(1).clamp_min(1)
