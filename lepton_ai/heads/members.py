"""Heads for members: several linear models side by side, averaged in the end."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.heads.head import Features, Head, Outputs

variants = {
    "member_classification": "MemberClassification",
    "member_regression": "MemberRegression",
}


class _Members(Head):
    """A linear model for each member, started at the best linear model of the plain row."""

    needs: ClassVar[str] = "members"

    def __init__(self, width: int, members: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(members, width, outputs))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, features: Features, targets: dict[str, Tensor] | None = None) -> Outputs:
        answers = torch.einsum("nki,kio->nko", features["members"], self.weight) + self.bias
        return {"members": answers}

    def begin(self, features: Features, targets: dict[str, Tensor], plain: int) -> None:
        """Start at the best penalised linear model of the first ``plain`` features (L-BFGS)."""
        rows = features["members"][:, 0, :plain].detach()
        weight = torch.zeros(plain, self.weight.shape[-1], requires_grad=True)
        bias = torch.zeros(self.weight.shape[-1], requires_grad=True)
        solver = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            solver.zero_grad()
            sums, _ = self.loss({"members": (rows @ weight + bias)[:, None]}, targets)
            loss = sums.sum() / len(rows) + 0.5 * weight.square().sum() / len(rows)
            loss.backward()
            return loss

        with torch.enable_grad():
            solver.step(closure)
        with torch.no_grad():
            self.weight[:, :plain] = weight
            self.bias[:] = bias


class MemberClassification(_Members):
    """One class for each row; the members' probabilities are averaged.

    Args:
        width: Numbers in a feature vector.
        field: The label field, its classes known.
        members: How many members the backbone has.
        name: The output's name.
    """

    def __init__(self, width: int, field: Label, *, members: int = 4, name: str = "label") -> None:
        super().__init__(width, members, len(field.known))
        self.field, self.name = field, name

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], specs[self.name])}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        answers, expected = outputs["members"].float(), targets[self.name]
        repeated = expected[:, None].expand(-1, answers.shape[1])
        loss = F.cross_entropy(answers.movedim(-1, 1), repeated, reduction="none", ignore_index=-1)
        return loss.mean(1), (expected >= 0).to(loss.dtype)

    def _shares(self, outputs: Outputs) -> Tensor:
        return outputs["members"].float().softmax(-1).mean(1)

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        shares = self._shares(outputs)
        return shares.argmax(-1) if wants == "decisions" else shares, targets[self.name]

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        shares = self._shares(outputs).cpu()
        return {
            self.name: self.field.names(shares.argmax(-1)), f"{self.name}.scores": shares.numpy(),
        }  # fmt: skip

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        chosen = self.field.to_tensor(predictions[self.name], {"classes": self.field.known})
        shares = self._shares(outputs)
        return shares.gather(-1, chosen.to(shares.device)[:, None])[:, 0]


class MemberRegression(_Members):
    """One number for each row; the members' numbers are averaged.

    Args:
        width: Numbers in a feature vector.
        field: The number field.
        spec: What it learned: mean and deviation of the training data.
        members: How many members the backbone has.
        name: The output's name.
    """

    def __init__(
        self, width: int, field: Number, spec: dict[str, Any], *, members: int = 4,
        name: str = "target",
    ) -> None:  # fmt: skip
        super().__init__(width, members, 1)
        self.field, self.spec, self.name = field, spec, name

    def encode(self, columns: dict[str, Any], specs: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {self.name: self.field.to_tensor(columns[self.name], specs[self.name])}

    def loss(self, outputs: Outputs, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        expected = targets[self.name]
        known = torch.isfinite(expected)
        wanted = torch.where(known, expected, 0.0)
        gap = outputs["members"].float()[..., 0] - wanted[:, None]
        return gap.square().mean(1) * known, known.to(gap.dtype)

    def _restored(self, scaled: Tensor) -> Tensor:
        return scaled.double() * self.spec["deviation"] + self.spec["mean"]

    def measured(
        self, outputs: Outputs, targets: dict[str, Tensor], wants: str
    ) -> tuple[Tensor, Tensor]:
        predicted = self._restored(outputs["members"][..., 0].mean(1))
        return predicted, self._restored(targets[self.name])

    def decode(
        self, outputs: Outputs, specs: dict[str, dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        answers = self._restored(outputs["members"][..., 0]).cpu()
        spread = answers.std(1) if answers.shape[1] > 1 else torch.zeros(len(answers))
        return {
            self.name: np.asarray(answers.mean(1)), f"{self.name}.spread": np.asarray(spread),
        }  # fmt: skip

    def score(self, outputs: Outputs, predictions: dict[str, Any]) -> Tensor:
        """The predicted number itself."""
        return self._restored(outputs["members"][..., 0].mean(1)).float()
