"""Attention with several heads: each step looks at all others."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.caching import KeyValueCache
from lepton_ai.layers.head_kernels import (
    BiasApart,
    HeadsApart,
    OutputsApart,
    flat_bias,
    joined_heads,
    joined_outputs,
)
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, is_shapes, shape_of, sizes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.regularization import as_rate
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.rotary import as_wavelength, rotated
from lepton_ai.layers.weight import Weight

variants = ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention")

_KERNELS = ("query_kernel", "key_kernel", "value_kernel", "output_kernel")
_BIASES = ("query_bias", "key_bias", "value_bias", "output_bias")


class HeadAttention(Layer):
    """What attentions with heads share.

    ``softmax(q @ k.T / sqrt(width)) @ v`` for each head, where queries, keys and values are
    learned projections of the inputs ``[batch, steps, features]``; the heads side by side are
    projected to the output ``[batch, query steps, features]``.

    Called on one tensor it attends to itself; ``layer(query, value)`` attends from one sequence to
    another. ``lengths`` are those of the sequences attended to; their padded steps are not seen.
    ``attention_mask`` holds booleans ``[batch, query steps, value steps]``, True where seen.
    ``sliding_window=n`` sees steps less than ``n`` away. ``rotary`` is the longest wavelength of
    rotary positions (10000 is usual), by which queries and keys are turned. With a ``cache`` the
    steps read before are seen too, and none after: decoding one step at a time.
    """

    takes_lengths = True
    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": _KERNELS,
        "bias_constraint": _BIASES,
    }
    num_heads: int
    groups: int  # heads of keys and values
    key_dim: int
    value_dim: int
    output_shape: tuple[int, ...] | None = None
    query_kernel: Tensor
    query_bias: Tensor
    key_kernel: Tensor
    key_bias: Tensor
    value_kernel: Tensor
    value_bias: Tensor
    output_kernel: Tensor
    output_bias: Tensor

    def _store(
        self, dropout: float, use_bias: bool, seed: int | None, sliding_window: int | None,
        rotary: float | None, width: int, weights: dict[str, Any],
    ) -> None:  # fmt: skip
        self.dropout = as_rate(dropout, "dropout")
        self.use_bias = bool(use_bias)
        self.sliding_window = (
            None if sliding_window is None else sizes(sliding_window, 1, "sliding_window")[0]
        )
        self.rotary = None if rotary is None else as_wavelength(rotary, "rotary")
        if rotary is not None and width % 2:
            raise ConfigError(
                f"rotary expected heads of an even width; received {width}. Leave rotary out, or "
                f"type {width + 1}."
            )
        for name, check in (("initializer", as_initializer), ("regularizer", as_penalty)):
            for kind in ("kernel", "bias"):
                argument = f"{kind}_{name}"
                setattr(self, argument, check(weights[argument], argument))
        self.seed = seed
        self.draws = self.dropout > 0
        self._seeded = Seeded(seed)

    kernel_initializer: str | dict
    bias_initializer: str | dict
    kernel_regularizer: dict[str, float] | None
    bias_regularizer: dict[str, float] | None

    def _three(self, shape: Any) -> tuple[Shape, Shape, Shape]:
        """The shapes of query, value and key."""
        shapes = tuple(shape) if is_shapes(shape) else (shape,)
        query, value = shapes[0], shapes[1] if len(shapes) > 1 else shapes[0]
        key = shapes[2] if len(shapes) > 2 else value
        for one in (query, value, key):
            if len(one) != 2 or one[-1] is None:
                raise ShapeError(
                    f"{self.title} expected sequences (length, features), received the shape "
                    f"{one}. Put an Embedding before it, or Reshape((-1, features))."
                )
        return query, value, key

    def infer(self, shape: Any) -> Shape:
        """The steps of the query, with its features or ``output_shape``."""
        query = self._three(shape)[0]
        return (query[0], self.output_shape[0] if self.output_shape else query[-1])

    def decisive(self, shape: Any) -> Any:
        """The features of query, value and key."""
        return [one[-1] for one in self._three(shape)]

    def declare(self, shape: Any) -> list[Weight]:
        """Kernels and biases of query, key, value and output."""
        query, value, key = (one[-1] or 0 for one in self._three(shape))
        found = []
        for name, inputs, heads, width in (
            ("query", query, self.num_heads, self.key_dim),
            ("key", key, self.groups, self.key_dim),
            ("value", value, self.groups, self.value_dim),
        ):
            found.append(
                Weight(
                    f"{name}_kernel", (inputs, heads, width), self.kernel_initializer,
                    joined_heads, HeadsApart(heads), self.kernel_regularizer,
                )
            )  # fmt: skip
            if self.use_bias:
                found.append(
                    Weight(
                        f"{name}_bias", (heads, width), self.bias_initializer, flat_bias,
                        BiasApart(heads), self.bias_regularizer,
                    )
                )  # fmt: skip
        outputs = self.infer(shape)[-1] or 0
        found.append(
            Weight(
                "output_kernel", (self.num_heads, self.value_dim, outputs),
                self.kernel_initializer, joined_outputs, OutputsApart(self.num_heads),
                self.kernel_regularizer,
            )
        )  # fmt: skip
        if self.use_bias:
            found.append(
                Weight(
                    "output_bias", (outputs,), self.bias_initializer, penalty=self.bias_regularizer
                )
            )
        return found

    def ready(self, x: Any) -> Any:
        """Check (or build for) query, value and key; one tensor may stand for all three."""
        query, value, key = x
        if value is query and key is query and self._expected is not None:
            query = super().ready(query)
            return query, query, query
        if not self.built or not torch.jit.is_tracing():
            built = self.built
            alone = value is query and key is query
            shape = shape_of(query)
            self.build(shape if alone else [shape, shape_of(value), shape_of(key)])
            if not built:
                self.to(query.device)
        type_ = self.query_kernel.dtype
        return tuple(one if one.dtype is type_ else self._cast(one, type_) for one in x)

    def forward(
        self,
        query: Tensor,
        value: Tensor | None = None,
        key: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Any:
        """What each step of the query gathers; with the scores [batch, heads, ...] when asked."""
        value = query if value is None else value
        query, value, key = self.ready((query, value, value if key is None else key))
        q, k, v, past = self._projected(query, value, key, cache)
        causal = use_causal_mask or (cache is not None and not cache.fixed and q.shape[2] > 1)
        scores = None
        mask = self._mask(lengths, attention_mask, causal, q, k, past)
        if self.groups != self.num_heads:
            times = self.num_heads // self.groups
            k, v = k.repeat_interleave(times, 1), v.repeat_interleave(times, 1)
        if (self.training and self.dropout > 0) or return_attention_scores:
            if causal and mask is None:
                mask = _causal(q, k, past)
            y, scores = self._attend_openly(q, k, v, mask)
        else:
            # No mask is made where the kernel itself knows the rule: it takes half the time then.
            y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal and mask is None)
        y = y.transpose(1, 2).flatten(2)
        y = F.linear(y, self.output_kernel, self.output_bias if self.use_bias else None)
        return (y, scores) if return_attention_scores else y

    def _projected(
        self, query: Tensor, value: Tensor, key: Tensor, cache: KeyValueCache | None
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        """Queries, keys and values [batch, heads, steps, width], and how many steps came before."""
        biases = [self.query_bias, self.key_bias, self.value_bias] if self.use_bias else None
        past = cache.length if cache is not None and not cache.fixed else 0
        if cache is not None and cache.fixed and cache.filled:
            bias = None if biases is None else biases[0]
            return (self._apart(F.linear(query, self.query_kernel, bias), 0), *cache.all(), 0)
        kernels = [self.query_kernel, self.key_kernel, self.value_kernel]
        if query is key and key is value:  # one product instead of three
            bias = None if biases is None else torch.cat(biases)
            joined = F.linear(query, torch.cat(kernels), bias)
            parts = joined.split([kernel.shape[0] for kernel in kernels], -1)
        else:
            inputs = (query, key, value)
            parts = tuple(
                F.linear(inputs[i], kernels[i], None if biases is None else biases[i])
                for i in range(3)
            )
        q, k, v = (self._apart(part, past) if i < 2 else _heads(part, self.groups)
                   for i, part in enumerate(parts))  # fmt: skip
        if cache is not None:
            k, v = cache.append(k, v)
        return q, k, v, past

    def _apart(self, projected: Tensor, past: int) -> Tensor:
        """The heads of queries or keys, turned by their places where positions are rotary."""
        heads = _heads(projected, projected.shape[-1] // self.key_dim)
        return heads if self.rotary is None else rotated(heads, past, self.rotary)

    def _mask(
        self, lengths: Tensor | None, given: Tensor | None, causal: bool, q: Tensor, k: Tensor,
        past: int,
    ) -> Tensor | None:  # fmt: skip
        """What is seen, stretching to [batch, heads, query steps, value steps]; None: see forward.

        None stands for all steps, and for those up to one's own when ``causal``.
        """
        parts = []
        if lengths is not None:
            # An empty sequence sees its first step, since nothing to see has no average.
            parts.append(within(lengths.clamp(min=1), k.shape[2])[:, None, None, :])
        if given is not None:
            seen = given.bool()
            parts.append(seen.unsqueeze(1) if seen.ndim == 3 else seen)
        if self.sliding_window is not None:
            parts.append(_near(q, k, past, self.sliding_window))
        if causal and (parts or past):
            parts.append(_causal(q, k, past))
        if not parts:
            return None
        mask = parts[0]
        for part in parts[1:]:
            mask = mask & part
        return mask

    def _attend_openly(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """With the scores at hand, to drop some of them or to show them."""
        scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        scores = scores.softmax(-1)
        kept = scores
        if self.training and self.dropout > 0:
            kept = scores * keep_mask(scores.shape, self.dropout, scores, self._seeded)
        return kept @ v, scores


class MultiHeadAttention(HeadAttention):
    """Each step looks at all others, in several ways at once (Vaswani et al. 2017).

    Example:
        >>> MultiHeadAttention(num_heads=2, key_dim=8)(torch.zeros(3, 5, 16)).shape
        torch.Size([3, 5, 16])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | None = None,
        *,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        seed: int | None = None,
        sliding_window: int | None = None,
        rotary: float | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.num_heads = self.groups = sizes(num_heads, 1, "num_heads")[0]
        self.key_dim = sizes(key_dim, 1, "key_dim")[0]
        self.value_dim = self.key_dim if value_dim is None else sizes(value_dim, 1, "value_dim")[0]
        self.output_shape = None if output_shape is None else sizes(output_shape, 1, "output_shape")
        weights = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
        }  # fmt: skip
        self._store(dropout, use_bias, seed, sliding_window, rotary, self.key_dim, weights)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Two heads over short sequences."""
        return cls(2, 3), (5, 4)


class GroupQueryAttention(HeadAttention):
    """Heads that share keys and values in groups (Ainslie et al. 2023): a smaller cache.

    Example:
        >>> GroupQueryAttention(8, num_query_heads=4, num_key_value_heads=2).build((5, 16))
        (5, 16)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        *,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        seed: int | None = None,
        sliding_window: int | None = None,
        rotary: float | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.head_dim = self.key_dim = self.value_dim = sizes(head_dim, 1, "head_dim")[0]
        self.num_heads = self.num_query_heads = sizes(num_query_heads, 1, "num_query_heads")[0]
        self.groups = sizes(num_key_value_heads, 1, "num_key_value_heads")[0]
        self.num_key_value_heads = self.groups
        if self.num_heads % self.groups:
            raise ConfigError(
                f"num_query_heads expected a multiple of num_key_value_heads; received "
                f"{num_query_heads} and {num_key_value_heads}."
            )
        weights = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
        }  # fmt: skip
        self._store(dropout, use_bias, seed, sliding_window, rotary, self.head_dim, weights)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Four heads in two groups over short sequences."""
        return cls(3, 4, 2), (5, 4)


GroupedQueryAttention = GroupQueryAttention


def _heads(projected: Tensor, heads: int) -> Tensor:
    return projected.unflatten(-1, (heads, -1)).transpose(1, 2)


def _causal(q: Tensor, k: Tensor, past: int) -> Tensor:
    """Steps up to one's own, booleans [query steps, value steps]."""
    whole = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
    return whole.tril(past)


def _near(q: Tensor, k: Tensor, past: int, window: int) -> Tensor:
    """Steps less than a window away, booleans [query steps, value steps]."""
    own = torch.arange(q.shape[2], device=q.device).unsqueeze(1) + past
    return (own - torch.arange(k.shape[2], device=q.device)).abs() < window
