"""Self-attention over tokens, with a bag of n-grams beside it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lepton_ai.data.encoding import Encoded
from lepton_ai.data.field import Field, Spec
from lepton_ai.heads.head import sequence_mask
from lepton_ai.layers.regularization import Dropout
from lepton_ai.models.backbones.backbone import Backbone, Inputs
from lepton_ai.models.backbones.token_stem import NgramBag, TokenStem, pooled, sinusoids

variants = {"text_transformer": "TextTransformer"}


class Block(nn.Module):
    """Attention and a feed-forward part, each after a norm (pre-norm; Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.project(self.before(x)).view(count, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.dropout(self.join(seen.transpose(1, 2).reshape(count, length, width)))
        wide = torch.nn.functional.gelu(self.widen(self.between(x)))
        return x + self.dropout(self.narrow(wide))


class TextTransformer(Backbone):
    """Texts or sentences of words to features (Vaswani et al. 2017).

    Args:
        specs: What the fields learned.
        fields: The input fields.
        give: ``"pooled"`` or ``"sequence"``.
        width: Numbers in the vector of a token.
        blocks: Blocks of attention.
        heads: Heads of attention.
        sequence_length: Tokens that attention reads when pooled; the bag reads all.
        bag: Numbers in the vector of an n-gram; 0 leaves the bag out.
        dropout: Share of numbers dropped while training.
        token_dropout: Share of tokens made unknown while training.
    """

    expects: ClassVar[tuple[str, ...]] = ("text", "words")
    gives: ClassVar[tuple[str, ...]] = ("pooled", "sequence")

    def __init__(
        self, specs: dict[str, Spec], fields: dict[str, Field], give: str = "pooled", *,
        width: int = 64, blocks: int = 2, heads: int = 4, sequence_length: int = 128,
        bag: int = 32, dropout: float = 0.1, token_dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.give, self.name, self.sequence_length = give, self.single(fields), sequence_length
        self.tokens = TokenStem(specs[self.name], width=width, token_dropout=token_dropout)
        size = self.tokens.width
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(size, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(size)
        self.bag: NgramBag | None = None
        self.width = 2 * size
        if give == "pooled" and bag:
            self.bag = NgramBag(specs[self.name], width=bag)
            self.width += bag

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
        vectors = stem[self.name]
        lengths = inputs[f"{self.name}.lengths"].clamp_min(1)
        if self.give == "pooled":
            lengths = lengths.clamp_max(self.sequence_length)
        length, size = vectors.shape[1:]
        x = self.dropout(vectors + sinusoids(length, size).to(vectors) * 0.3)
        mask = sequence_mask(lengths, length)[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        if self.give == "sequence":
            return {"sequence": torch.cat([x, vectors], dim=2), "lengths": lengths}
        sequence = pooled(x, lengths)
        if self.bag is not None:
            sequence = torch.cat([sequence, self.bag(inputs[self.name])], dim=1)
        return {"pooled": sequence}
