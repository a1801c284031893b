"""Classification: one class for each example, by a linear layer and softmax."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.fields.label import Label
from lepton_ai.heads.head import Features, Head, Outputs

variants = {"classification": "ClassificationHead"}


class ClassificationHead(Head):
    """One class for each example: dropout, a linear layer, softmax cross-entropy.

    Args:
        width: Numbers in a pooled feature vector.
        field: The label field, its classes known.
        name: The output's name in the task.
        dropout: Share of features dropped while training.
        label_smoothing: Share of the probability spread over all classes.
    """

    needs: ClassVar[str] = "pooled"

    def __init__(
        self, width: int, field: Label, *, name: str = "label", dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        from lepton_ai.layers.regularization import Dropout

        self.field, self.name, self.label_smoothing = field, name, label_smoothing
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(width, len(field.known))

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        return {"logits": self.linear(self.dropout(features["pooled"]))}

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], specs[self.name])}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        expected = targets[self.name]
        loss = F.cross_entropy(
            outputs["logits"].float(),
            expected,
            reduction="none",
            ignore_index=-1,
            label_smoothing=self.label_smoothing,
        )
        return loss, (expected >= 0).to(loss.dtype)

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        logits = outputs["logits"].float()
        predicted = logits.argmax(-1) if wants == "decisions" else logits.softmax(-1)
        return predicted, targets[self.name]

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        scores = outputs["logits"].float().softmax(-1).cpu()
        return {
            self.name: self.field.names(scores.argmax(-1)),
            f"{self.name}.scores": scores.numpy(),
        }

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        chosen = self.field.to_tensor(predictions[self.name], specs_of(self.field))
        logits = outputs["logits"].float()
        return logits.log_softmax(-1).gather(-1, chosen.to(logits.device)[:, None])[:, 0].exp()


def specs_of(field: Label) -> dict[str, Any]:
    """The spec of a label field whose classes are known."""
    return {"classes": field.classes}
