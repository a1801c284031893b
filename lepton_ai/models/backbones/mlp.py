"""Rows of numbers and classes to features: several small networks side by side.

The members see the same row and are averaged in the end (after BatchEnsemble, Wen et al. 2020, and
TabM, Gorishniy et al. 2025). Beside what a member makes of the row stands the row itself, so that a
head is a linear model from the start and the networks only add what a line cannot say.
"""

from __future__ import annotations

import math
from typing import ClassVar, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.field import Field, Spec
from lepton_ai.layers.regularization import Dropout
from lepton_ai.models.backbones.backbone import Backbone, Inputs

variants = {"mlp": "MLP"}

LIMIT = 5.0


class MemberLinear(nn.Module):
    """Linear maps of several members in one product: ``[N, K, in]`` to ``[N, K, out]``."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nki,kio->nko", x, self.weight) + self.bias


def _vector_width(classes: int) -> int:
    """Numbers in the vector of a class, by how many classes there are."""
    return min(16, 2 + int(classes**0.5))


class MLP(Backbone):
    """A table's row to features, one set for each member.

    Args:
        specs: What the fields learned.
        fields: The input fields: numbers (missing ones allowed), classes, arrays.
        give: ``"members"`` ``[N, members, width]`` or ``"pooled"`` ``[N, width]`` (one member).
        members: Networks side by side.
        hidden: Units of a layer.
        layers: Layers of a member.
        dropout: Share of units dropped while training.
    """

    expects: ClassVar[tuple[str, ...]] = ("number", "label", "array")
    gives: ClassVar[tuple[str, ...]] = ("members", "pooled")
    many: ClassVar[bool] = True

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "members", *,
        members: int = 4, hidden: int = 64, layers: int = 2, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.give = give
        self.members = members if give == "members" else 1
        self.specs = {name: specs[name] for name in fields}
        self.classes = {
            name: len(spec["classes"]) for name, spec in self.specs.items() if "classes" in spec
        }
        self.vectors = nn.ModuleDict({
            f"column_{place}": nn.Embedding(count + 1, _vector_width(count))
            for place, count in enumerate(self.classes.values())
        })  # fmt: skip
        self.plain = sum(self._plain_width(name) for name in fields)
        entry = self.plain + sum(_vector_width(count) for count in self.classes.values())
        self.first = MemberLinear(self.members, entry, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers - 1))
        self.further = nn.ModuleList(
            MemberLinear(self.members, hidden, hidden) for _ in range(layers - 1)
        )
        self.dropout = Dropout(dropout)
        self.width = self.plain + hidden

    def _plain_width(self, name: str) -> int:
        """How many numbers stand for an input in the linear part."""
        spec = self.specs[name]
        if name in self.classes:
            return self.classes[name]
        if "shape" in spec:
            return math.prod(spec["shape"])
        return 1 + int(spec.get("missing", False))

    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        """Numbers as floats, classes one-hot: ``[N, numbers]`` for each input."""
        found = {}
        for name in self.specs:
            value = inputs[name]
            if name in self.classes:
                # One row more than classes: the last stands for missing and unknown ones.
                chosen = torch.where(value < 0, self.classes[name], value)
                found[name] = F.one_hot(chosen, self.classes[name] + 1).float()
            else:
                found[name] = value.float().reshape(len(value), -1)
        return found

    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        plain: list[Tensor] = []
        vectors: list[Tensor] = []
        tables = iter(self.vectors.values())
        for name, value in stem.items():
            if name in self.classes:
                plain.append(value[:, :-1])
                vectors.append(value @ cast("nn.Embedding", next(tables)).weight)
                continue
            hole = torch.isnan(value)
            plain.append(torch.where(hole, 0.0, value).clamp(-LIMIT, LIMIT))
            if self.specs[name].get("missing", False):
                plain.append(hole.float())
        row = torch.cat(plain, dim=1)
        x = torch.cat([row, *vectors], dim=1)[:, None].expand(-1, self.members, -1)
        x = self.dropout(F.relu(self.first(x)))
        for norm, linear in zip(self.norms, self.further, strict=True):
            x = x + self.dropout(F.relu(linear(norm(x))))
        features = torch.cat([row[:, None].expand(-1, self.members, -1), x], dim=2)
        if self.give == "pooled":
            return {"pooled": features[:, 0]}
        return {"members": features}
