"""The head of ``compile``: the network's own output, judged by the loss that was chosen."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.fields.label import Label
from lepton_ai.errors import ShapeError
from lepton_ai.heads.head import Features, Head, Outputs
from lepton_ai.losses.loss import Loss, activate

variants = {"supervised": "SupervisedHead"}


class SupervisedHead(Head):
    """Takes the network's output before its last activation, so that losses are stable.

    Args:
        field: What comes out: an array, or a label when the data set has one.
        loss: The loss that was compiled.
        name: The output's name.
        activation: The activation at the network's end, applied on decoding.
    """

    needs: ClassVar[str] = "raw"

    def __init__(self, field: Field, loss: Loss, *, name: str, activation: str) -> None:
        super().__init__()
        self.field, self.criterion, self.name, self.activation = field, loss, name, activation
        self.joint = loss.joint

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        return {"logits": features["raw"]}

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], specs[self.name])}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        logits, expected = outputs["logits"].float(), targets[self.name]
        if isinstance(self.field, Label):
            self._check_classes(logits)
        return self.criterion(logits, expected, self.activation)

    def _check_classes(self, logits: Tensor) -> None:
        classes = len(cast("Label", self.field).known)
        units = logits.shape[-1]
        if units != classes and not (units == 1 and classes == 2):
            raise ShapeError(
                f"Expected an output for each of the {classes} classes; the last layer has {units} "
                f"units. Type: Dense({classes}, activation='softmax')."
            )

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        logits, expected = outputs["logits"].detach().float(), targets[self.name]
        classes = isinstance(self.field, Label) or self.criterion.classes
        if not classes:
            return activate(logits, self.activation), expected
        if (
            logits.shape[-1] > 1
            and expected.ndim == logits.ndim
            and (expected.shape[-1] == logits.shape[-1])
        ):
            expected = expected.argmax(-1)
        elif expected.ndim == logits.ndim and expected.shape[-1] == 1:
            expected = expected[..., 0]
        scores = activate(logits, self.activation)
        if logits.shape[-1] == 1:
            if self.activation == "linear" and self.criterion.from_logits:
                scores = scores.sigmoid()
            scores = torch.cat([1 - scores, scores], dim=-1)
        decided = scores.argmax(-1) if wants == "decisions" else scores
        return decided, expected.long()

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        values = activate(outputs["logits"].float(), self.activation).cpu()
        if not isinstance(self.field, Label):
            return {self.name: values.numpy()}
        if values.shape[-1] == 1:
            values = torch.cat([1 - values, values], dim=-1)
        elif self.activation == "linear":
            values = values.softmax(-1)
        return {
            self.name: self.field.names(values.argmax(-1)),
            f"{self.name}.scores": values.numpy(),
        }

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        values = activate(outputs["logits"].float(), self.activation)
        flat = values.reshape(len(values), -1)
        if isinstance(self.field, Label):
            if self.activation == "linear":
                flat = flat.softmax(-1)
            chosen = self.field.to_tensor(predictions[self.name], {"classes": self.field.classes})
            if flat.shape[-1] == 1:
                return torch.where(chosen == 1, flat[:, 0], 1 - flat[:, 0])
            return flat.gather(-1, chosen.to(flat.device)[:, None])[:, 0]
        return flat.max(-1).values
