"""What text backbones share: tokens to vectors, and the bag of n-grams beside the sequence."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai.data.column import Ragged
from lepton_ai.data.field import Spec
from lepton_ai.data.fields.text import UNKNOWN
from lepton_ai.data.fields.words import AFFIXES
from lepton_ai.heads.head import sequence_mask
from lepton_ai.layers.randomness import generator

HASHED = 1 << 20
MOST = 250_000


def drop_tokens(ids: Tensor, rate: float) -> Tensor:
    """Make a share of the tokens unknown, so that "unknown" is learned too."""
    draws = torch.empty(ids.shape, device=ids.device).uniform_(generator=generator())
    return ids.masked_fill((draws < rate) & (ids > 0), UNKNOWN)


class TokenStem(nn.Module):
    """Token numbers to vectors.

    Reads ``[N, L]`` token numbers of a text, or ``[N, L, 9]`` of words: number, hashed affixes and
    shape; the vector of a word is then that of its number beside a mixture of the others.

    Args:
        spec: What the field learned.
        width: Numbers in the vector of a token.
        affix_width: Numbers in the vector of an affix.
        token_dropout: Share of tokens made unknown while training.
    """

    def __init__(
        self, spec: Spec, *, width: int = 64, affix_width: int = 32, token_dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.rate = token_dropout
        self.tokens = _table(len(spec["vocabulary"]) + 2, width)
        self.buckets = spec.get("buckets", 0)
        self.width = width
        if self.buckets:
            self.affixes = _table(self.buckets, affix_width)
            self.shapes = _table(64, affix_width)
            self.mix = nn.Linear((len(AFFIXES) + 1) * affix_width, width)
            self.width = 2 * width

    def ids(self, encoded: Tensor) -> Tensor:
        """The token numbers alone, some made unknown while training, ``[N, L]``."""
        ids = encoded[..., 0] if encoded.ndim == 3 else encoded
        return drop_tokens(ids, self.rate) if self.training and self.rate else ids

    def forward(self, encoded: Tensor) -> Tensor:
        vectors = self.tokens(self.ids(encoded))
        if encoded.ndim == 2:
            return vectors
        affixes = self.affixes(encoded[..., 1:-1]).flatten(2)
        parts = torch.cat([affixes, self.shapes(encoded[..., -1])], dim=-1)
        return torch.cat([vectors, torch.tanh(self.mix(parts))], dim=-1)


def _table(rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(rows, width, padding_idx=0)
    nn.init.normal_(table.weight, std=0.1)
    with torch.no_grad():
        table.weight[0].zero_()
    return table


class NgramBag(nn.Module):
    """Weighted sum of the vectors of n-grams (after fastText, Joulin et al. 2017).

    N-grams are hashed; those that occur in two training texts or more have a row of their own.
    Weights are inverse document frequencies, learned once from training data; a sum is brought to
    unit length of its weights. While training a share of the n-grams is left out, so that none is
    leaned on.

    Args:
        spec: What the field learned; how many n-grams there are is kept here too.
        width: Numbers in the vector of an n-gram.
        orders: Tokens in the longest n-gram.
        dropout: Share of n-grams left out while training.
    """

    place: Tensor
    importance: Tensor
    learning_rate_scale = 0.5
    weight_decay_scale = 200.0
    """A row is met by few examples: without a strong decay it learns them by heart."""

    def __init__(
        self, spec: Spec, *, width: int = 32, orders: int = 3, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.spec, self.width, self.orders, self.rate = spec, width, orders, dropout
        self.vocabulary = len(spec["vocabulary"]) + 2
        self.register_buffer("place", torch.zeros(self.vocabulary + HASHED, dtype=torch.int32))
        self._make(int(spec.get("ngrams", 0)))

    def _make(self, count: int) -> None:
        self.spec["ngrams"] = count
        self.table = nn.Embedding(count + 1, self.width)
        nn.init.normal_(self.table.weight, std=0.01)
        self.register_buffer("importance", torch.zeros(count + 1))

    def hashes(self, ids: Tensor) -> Tensor:
        """Numbers of the n-grams of ``[N, L]`` token numbers, single tokens first; 0 is none."""
        known = ids > UNKNOWN
        found = [torch.where(known, ids, 0)]
        mixed, all_known = ids, known
        for order in range(1, self.orders):
            mixed = (mixed[:, :-1] * 1_000_003 + ids[:, order:] * 7_919) % 2_147_483_647
            all_known = all_known[:, :-1] & known[:, order:]
            found.append(torch.where(all_known, self.vocabulary + mixed % HASHED, 0))
        return torch.cat(found, dim=1)

    def adapt(self, column: Ragged) -> None:
        """Learn which n-grams occur more than once, and how much each weighs."""
        counts = np.zeros(self.vocabulary + HASHED, dtype=np.int64)
        for start in range(0, len(column), 512):
            part = column.take(np.arange(start, min(start + 512, len(column))))
            longest = max(self.orders, int(part.lengths.max()))
            found = self.hashes(part.padded(0, longest=longest)).sort(dim=1).values
            first = torch.ones_like(found, dtype=torch.bool)
            first[:, 1:] = found[:, 1:] != found[:, :-1]
            counts += np.bincount(found[first].numpy(), minlength=len(counts))
        total = len(column)
        counts[:2] = 0
        kept = np.flatnonzero(counts >= (2 if total > 200 else 1))
        if len(kept) > MOST:
            kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:MOST]])
        self._make(len(kept))
        self.place.zero_()
        self.place[torch.from_numpy(kept)] = torch.arange(1, len(kept) + 1, dtype=torch.int32)
        weight = np.log((1 + total) / (1 + counts[kept])) + 1
        self.importance[1:] = torch.from_numpy(weight)

    def forward(self, ids: Tensor) -> Tensor:
        if ids.shape[1] < self.orders:
            ids = F.pad(ids, (0, self.orders - ids.shape[1]))
        rows = self.place[self.hashes(ids)].long()
        weight = self.importance[rows]
        if self.training and self.rate:
            draws = torch.empty_like(weight).uniform_(generator=generator())
            weight = weight * (draws >= self.rate)
        scale = weight.square().sum(1, keepdim=True).clamp_min(1e-6).rsqrt()
        if torch.compiler.is_exporting():
            return (self.table(rows) * (weight * scale)[..., None]).sum(1)
        return F.embedding_bag(
            rows, self.table.weight, mode="sum", per_sample_weights=weight * scale
        )


def pooled(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean and maximum over what is there, ``[N, 2 D]``."""
    real = sequence_mask(lengths, states.shape[1])[..., None]
    mean = (states * real).sum(1) / lengths.clamp_min(1)[:, None].to(states.dtype)
    return torch.cat([mean, states.masked_fill(~real, -1e4).amax(1)], dim=1)


def sinusoids(longest: int, width: int) -> Tensor:
    """Positions as sines and cosines (Vaswani et al. 2017), ``[longest, width]``."""
    place = torch.arange(longest)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = torch.zeros(longest, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    return table
