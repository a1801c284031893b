"""Attention without projections: by products (Luong), or by a small network (Bahdanau)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, Shapes, choice, is_shapes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.regularization import as_rate
from lepton_ai.layers.weight import Weight

variants = ("Attention", "AdditiveAttention")


class _Scored(Layer):
    """What both share: called on ``[query, value]`` or ``[query, value, key]``.

    Queries ``[batch, query steps, features]``, values and keys ``[batch, steps, features]``; the
    output ``[batch, query steps, value features]`` is ``softmax(scores(query, key)) @ value``.
    ``lengths`` are those of the values, ``query_lengths`` those of the queries: outputs beyond
    them are zero.
    """

    takes_lengths = True
    use_scale: bool

    def __init__(self, dropout: float, seed: int | None, **common: Any) -> None:
        super().__init__(**common)
        self.dropout = as_rate(dropout, "dropout")
        self.seed = seed
        self.draws = self.dropout > 0
        self._seeded = Seeded(seed)

    def three(self, shape: Any) -> tuple[Shape, Shape, Shape]:
        """The shapes of query, value and key.

        Raises:
            ShapeError: Not two or three sequences that fit.
        """
        if not is_shapes(shape) or len(shape) not in (2, 3) or any(len(s) != 2 for s in shape):
            raise ShapeError(
                f"{self.title} expected two or three sequences (length, features), received "
                f"{shape}. Call it on a list: {type(self).__name__}()([query, value])."
            )
        shapes: Shapes = tuple(shape)
        query, value, key = shapes[0], shapes[1], shapes[2] if len(shapes) == 3 else shapes[1]
        if query[-1] != key[-1] or query[-1] is None:
            raise ShapeError(
                f"{self.title} expected queries and keys with as many features, received {shape}. "
                f"Put a Dense({key[-1]}) before the query."
            )
        return query, value, key

    def infer(self, shape: Any) -> Shape:
        """The steps of the query with the features of the value."""
        query, value, _ = self.three(shape)
        return (query[0], value[-1])

    def decisive(self, shape: Any) -> Any:
        """The features of the query."""
        return self.three(shape)[0][-1]

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well each query suits each key, [batch, query steps, steps]."""
        raise NotImplementedError

    def lengths_after(self, lengths: Tensor | None) -> None:
        """The lengths of the values say nothing of the output."""
        return

    def forward(
        self,
        inputs: Sequence[Tensor],
        *more: Tensor,
        lengths: Tensor | None = None,
        query_lengths: Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """What each query gathers; with the weights [batch, query steps, steps] when asked."""
        given = [inputs, *more] if isinstance(inputs, Tensor) else list(inputs)
        self.ready(given)
        query, value = given[0], given[1]
        scores = self.scores(query, given[2] if len(given) > 2 else value)
        mask = None
        if lengths is not None:
            mask = within(lengths.clamp(min=1), value.shape[1]).unsqueeze(1)
        if use_causal_mask:
            up_to = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).tril()
            mask = up_to if mask is None else mask & up_to
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        if self.training and self.dropout > 0:
            weights = weights * keep_mask(weights.shape, self.dropout, weights, self._seeded)
        y = weights @ value
        if query_lengths is not None:
            y = y.masked_fill(~within(query_lengths, y.shape[1]).unsqueeze(-1), 0.0)
        return (y, weights) if return_attention_scores else y

    @classmethod
    def sample(cls) -> tuple[Layer, Shapes]:
        """Short sequences of four features."""
        make: Any = cls
        return make(use_scale=True), ((5, 4), (3, 4))


class Attention(_Scored):
    """Scores are products of queries and keys (Luong et al. 2015).

    ``use_scale`` learns a factor. ``score_mode="concat"`` sums ``tanh(scale * (query + key))``.

    Example:
        >>> Attention()([torch.zeros(2, 5, 4), torch.zeros(2, 3, 4)]).shape
        torch.Size([2, 5, 4])
    """

    scale: Tensor
    concat_score_weight: Tensor

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(dropout, seed, **common)
        self.use_scale = bool(use_scale)
        self.score_mode = choice(score_mode, ("dot", "concat"), "score_mode")

    def declare(self, shape: Any) -> list[Weight]:
        """A factor of the scores, and one of the summed ones."""
        scale = [Weight("scale", (), "ones")] * self.use_scale
        return scale + [Weight("concat_score_weight", (), "ones")] * (self.score_mode == "concat")

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Products, or sums of hyperbolic tangents."""
        if self.score_mode == "dot":
            found = query @ key.transpose(-1, -2)
            return found * self.scale if self.use_scale else found
        joined = query.unsqueeze(2) + key.unsqueeze(1)
        if self.use_scale:
            joined = self.scale * joined
        return self.concat_score_weight * joined.tanh().sum(-1)


class AdditiveAttention(_Scored):
    """Scores are ``sum(scale * tanh(query + key))`` (Bahdanau et al. 2015).

    Example:
        >>> AdditiveAttention()([torch.zeros(2, 5, 4), torch.zeros(2, 3, 4)]).shape
        torch.Size([2, 5, 4])
    """

    scale: Tensor

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, seed: int | None = None, **common: Any
    ) -> None:
        super().__init__(dropout, seed, **common)
        self.use_scale = bool(use_scale)

    def declare(self, shape: Any) -> list[Weight]:
        """A factor for each feature."""
        features = self.three(shape)[0][-1] or 0
        return [Weight("scale", (features,), "glorot_uniform")] * self.use_scale

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Sums of hyperbolic tangents."""
        joined = (query.unsqueeze(2) + key.unsqueeze(1)).tanh()
        return (joined * self.scale).sum(-1) if self.use_scale else joined.sum(-1)
