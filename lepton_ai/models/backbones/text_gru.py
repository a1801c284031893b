"""Gated recurrent units over tokens in both directions, with a bag of n-grams beside them."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lepton_ai.data.encoding import Encoded
from lepton_ai.data.field import Field, Spec
from lepton_ai.layers.regularization import Dropout
from lepton_ai.models.backbones.backbone import Backbone, Inputs
from lepton_ai.models.backbones.token_stem import NgramBag, TokenStem, pooled

variants = {"text_gru": "TextGRU"}


class BidirectionalGRU(nn.Module):
    """Two GRUs (Cho et al. 2014); what is filled up on the right never changes a result."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.GRU(width, hidden, batch_first=True)
        self.back = nn.GRU(width, hidden, batch_first=True)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        ahead, _ = self.ahead(values)
        back, _ = self.back(reverse_padded(values, lengths))
        return torch.cat([ahead, reverse_padded(back, lengths)], dim=2)


def reverse_padded(values: Tensor, lengths: Tensor) -> Tensor:
    """The first ``lengths`` steps of each row in reverse; the filling stays on the right."""
    steps = torch.arange(values.shape[1], device=values.device)[None]
    index = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return values.gather(1, index[:, :, None].expand_as(values))


class TextGRU(Backbone):
    """Texts or sentences of words to features.

    Args:
        specs: What the fields learned.
        fields: The input fields.
        give: ``"pooled"`` (bag of n-grams, mean and maximum of the states) or ``"sequence"``
            (each token's state beside its vector).
        width: Numbers in the vector of a token.
        hidden: Units in each direction.
        sequence_length: Tokens that the recurrent part reads when pooled; the bag reads all.
        bag: Numbers in the vector of an n-gram; 0 leaves the bag out.
        dropout: Share of numbers dropped while training.
        token_dropout: Share of tokens made unknown while training.
    """

    expects: ClassVar[tuple[str, ...]] = ("text", "words")
    gives: ClassVar[tuple[str, ...]] = ("pooled", "sequence")

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "pooled", *,
        width: int = 64, hidden: int = 64, sequence_length: int = 128, bag: int = 32,
        dropout: float = 0.5, token_dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.give, self.name, self.sequence_length = give, self.single(fields), sequence_length
        self.tokens = TokenStem(specs[self.name], width=width, token_dropout=token_dropout)
        self.dropout = Dropout(dropout)
        self.recurrent = BidirectionalGRU(self.tokens.width, hidden)
        self.bag: NgramBag | None = None
        if give == "sequence":
            self.width = 2 * hidden + self.tokens.width
        else:
            self.width = 4 * hidden + bag
            if bag:
                self.bag = NgramBag(specs[self.name], width=bag)

    def adapt(self, encoded: Encoded) -> None:
        """Learn how much n-grams weigh, from training data."""
        column: Any = encoded.columns[self.name]
        if self.bag is not None and column.values.ndim == 1:
            self.bag.adapt(column)

    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        encoded = inputs[self.name]
        if self.give == "pooled":
            encoded = encoded[:, : self.sequence_length]
        return {self.name: self.tokens(encoded)}

    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        vectors = self.dropout(stem[self.name])
        lengths = inputs[f"{self.name}.lengths"].clamp_min(1)
        if self.give == "sequence":
            states = self.recurrent(vectors, lengths)
            return {"sequence": torch.cat([states, vectors], dim=2), "lengths": lengths}
        lengths = lengths.clamp_max(self.sequence_length)
        sequence = pooled(self.recurrent(vectors, lengths), lengths)
        if self.bag is not None:
            sequence = torch.cat([sequence, self.bag(inputs[self.name])], dim=1)
        return {"pooled": sequence}
