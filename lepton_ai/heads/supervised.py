"""The head of ``compile``: the network's own outputs, judged by the losses that were chosen."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from lepton_ai.data.field import Field
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ShapeError
from lepton_ai.heads.head import Features, Head, Outputs
from lepton_ai.losses.hinge import Hinge
from lepton_ai.losses.loss import activate

variants = {"supervised": "SupervisedHead"}


class SupervisedHead(Head):
    """Takes the network's outputs before their last activation, so that losses are stable.

    Args:
        fields: What comes out, by name: arrays, numbers, or labels where the data set has them.
        judges: The loss, its weight and the last activation of each output, by name.
    """

    needs: ClassVar[str] = "raw"

    def __init__(self, fields: dict[str, Field], judges: dict[str, Any]) -> None:
        super().__init__()
        self.fields, self.judges = dict(fields), dict(judges)
        self.joint = any(judge.loss.joint for judge in self.judges.values())
        self.first = next(iter(self.fields))

    def _key(self, name: str) -> str:
        """Where the outputs hold what belongs to one of them."""
        return "logits" if len(self.fields) == 1 else f"{name}.logits"

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        if len(self.fields) == 1:
            return {"logits": features["raw"]}
        return {self._key(name): features[name] for name in self.fields}

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {
            name: field.to_tensor(columns[name], specs[name]) for name, field in self.fields.items()
        }

    # -- judging ---------------------------------------------------------------------------

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        if len(self.fields) == 1:
            return self._loss(self.first, outputs, targets)
        total: Any = 0
        for name, judge in self.judges.items():
            sums, counts = self._loss(name, outputs, targets)
            total = total + judge.weight * sums / counts.clamp_min(1)
        return total, torch.ones_like(total)

    def _loss(
        self, name: str, outputs: Outputs, targets: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        logits, judge = outputs[self._key(name)].float(), self.judges[name]
        if isinstance(self.fields[name], Label):
            self._check_classes(name, logits)
        sums, counts = judge.loss(logits, targets[name], judge.activation)
        alone = len(self.fields) == 1
        return (sums * judge.weight if alone and judge.weight != 1 else sums), counts

    def _check_classes(self, name: str, logits: Tensor) -> None:
        field: Any = self.fields[name]
        classes, units = len(field.known), logits.shape[-1]
        if units != classes and not (units == 1 and classes == 2):
            raise ShapeError(
                f"Expected an output for each of the {classes} classes; the last layer has {units} "
                f"units. Type: Dense({classes}, activation='softmax')."
            )

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Any]:
        from lepton_ai.tasks.judging import asked_of, weights_of

        kind, name, weighted = asked_of(wants, self.first)
        if kind == "loss":
            sums, counts = self._loss(name, outputs, targets)
            weights = weights_of(targets, sums).to(sums)
            return (sums * weights).detach(), counts
        logits = outputs[self._key(name)].detach().float()
        found = self._measured(name, logits, targets[name], kind)
        if weighted:
            return found[0], (found[1], weights_of(targets, logits).to(logits))
        return found

    def _measured(
        self, name: str, logits: Tensor, expected: Tensor, kind: str
    ) -> tuple[Tensor, Tensor]:
        judge = self.judges[name]
        answers = activate(logits, judge.activation)
        if judge.activation == "linear" and judge.loss.from_logits:
            answers = answers.softmax(-1) if self._exclusive(name, answers) else answers.sigmoid()
        return self.compared(name, answers, expected, kind)

    def _exclusive(self, name: str, answers: Tensor) -> bool:
        """Whether one class out of several is right, and not each yes or no on its own."""
        binary = type(self.judges[name].loss).__name__.startswith("Binary")
        return answers.shape[-1] > 1 and not binary

    def compared(
        self, name: str, answers: Tensor, expected: Tensor, kind: str
    ) -> tuple[Tensor, Tensor]:
        """Predicted and expected values for metrics, from outputs after their last activation."""
        judge = self.judges[name]
        classes = isinstance(self.fields[name], Label) or judge.loss.classes
        if not classes and kind not in ("classes", "scores"):
            return answers, expected
        units = answers.shape[-1]
        alike = expected.ndim == answers.ndim and expected.shape[-1] == units
        if alike and kind == "scores" and not self._exclusive(name, answers) and units > 1:
            return answers, expected.long()  # several answers of yes and no, each on its own
        if units > 1 and alike:
            expected = expected.argmax(-1)
        elif expected.ndim == answers.ndim and expected.shape[-1] == 1:
            expected = expected[..., 0]
        if units == 1 and isinstance(judge.loss, Hinge):  # its border is 0, its labels -1 and 1
            expected = expected > 0
            answers = torch.cat([-answers, answers], dim=-1)
        elif units == 1:
            answers = torch.cat([1 - answers, answers], dim=-1)
        return (answers if kind == "scores" else answers.argmax(-1)), expected.long()

    # -- answering -------------------------------------------------------------------------

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, field in self.fields.items():
            columns |= self._decoded(name, field, outputs, specs.get(name, {}))
        return columns

    def _decoded(
        self, name: str, field: Field, outputs: Outputs, spec: dict[str, Any]
    ) -> dict[str, Any]:
        values = self._answers(name, outputs).cpu()
        if isinstance(field, Number):
            return {name: field.restore(values.reshape(len(values), -1)[:, 0], spec)}
        if not isinstance(field, Label):
            return {name: values.numpy()}
        if values.shape[-1] == 1:
            values = torch.cat([1 - values, values], dim=-1)
        return {name: field.names(values.argmax(-1)), f"{name}.scores": values.numpy()}

    def _answers(self, name: str, outputs: Outputs) -> Tensor:
        """An output after its last activation; of classes by name always probabilities."""
        judge, logits = self.judges[name], outputs[self._key(name)].float()
        values = activate(logits, judge.activation)
        if isinstance(self.fields[name], Label) and judge.activation == "linear":
            return values.softmax(-1) if values.shape[-1] > 1 else self._single(name, values)
        return values

    def _single(self, name: str, values: Tensor) -> Tensor:
        return values.sigmoid() if self.judges[name].loss.from_logits else values

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        """Of the first output: the probability of the predicted class, or the largest value."""
        field = self.fields[self.first]
        values = self._answers(self.first, outputs)
        flat = values.reshape(len(values), -1)
        if isinstance(field, Label):
            chosen = field.to_tensor(predictions[self.first], {"classes": field.classes})
            chosen = chosen.to(flat.device)
            if flat.shape[-1] == 1:
                return torch.where(chosen == 1, flat[:, 0], 1 - flat[:, 0])
            return flat.gather(-1, chosen[:, None])[:, 0]
        return flat.max(-1).values
