"""Attention, and the Transformer block made of it."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.dense import Dense
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, is_shapes, shape_of, sizes
from lepton_ai.layers.lengths import within
from lepton_ai.layers.nonlinearity import as_activation
from lepton_ai.layers.normalization import LayerNormalization
from lepton_ai.layers.randomness import Seeded, keep_mask
from lepton_ai.layers.regularization import Dropout, as_rate
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = ("MultiHeadAttention", "TransformerEncoder")


class MultiHeadAttention(Layer):
    """Each step looks at all others, in several ways at once (Vaswani et al. 2017).

    Called on one tensor it attends to itself; ``layer(query, value)`` attends from one sequence to
    another. ``lengths`` are those of the sequences attended to; their padded steps are not seen.
    ``attention_mask`` holds booleans ``[batch, query steps, value steps]``, True where seen.

    Example:
        >>> MultiHeadAttention(num_heads=2, key_dim=8)(torch.zeros(3, 5, 16)).shape
        torch.Size([3, 5, 16])
    """

    takes_lengths = True
    query_kernel: Tensor
    query_bias: Tensor
    key_kernel: Tensor
    key_bias: Tensor
    value_kernel: Tensor
    value_bias: Tensor
    output_kernel: Tensor
    output_bias: Tensor

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
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.num_heads = sizes(num_heads, 1, "num_heads")[0]
        self.key_dim = sizes(key_dim, 1, "key_dim")[0]
        self.value_dim = self.key_dim if value_dim is None else sizes(value_dim, 1, "value_dim")[0]
        self.dropout = as_rate(dropout, "dropout")
        self.use_bias = bool(use_bias)
        self.output_shape = None if output_shape is None else sizes(output_shape, 1, "output_shape")
        self.kernel_initializer = as_initializer(kernel_initializer, "kernel_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.kernel_regularizer = as_penalty(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")
        self.seed = seed
        self.draws = self.dropout > 0
        self._seeded = Seeded(seed)

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
        heads, found = self.num_heads, []
        for name, inputs, width in (
            ("query", query, self.key_dim),
            ("key", key, self.key_dim),
            ("value", value, self.value_dim),
        ):
            found.append(
                Weight(
                    f"{name}_kernel", (inputs, heads, width), self.kernel_initializer,
                    _joined_heads, _HeadsApart(heads), self.kernel_regularizer,
                )
            )  # fmt: skip
            if self.use_bias:
                found.append(
                    Weight(
                        f"{name}_bias", (heads, width), self.bias_initializer, _flat,
                        _BiasApart(heads), self.bias_regularizer,
                    )
                )  # fmt: skip
        outputs = self.infer(shape)[-1] or 0
        found.append(
            Weight(
                "output_kernel", (heads, self.value_dim, outputs), self.kernel_initializer,
                _joined_outputs, _OutputsApart(heads), self.kernel_regularizer,
            )
        )  # fmt: skip
        if self.use_bias:
            found.append(
                Weight(
                    "output_bias", (outputs,), self.bias_initializer, penalty=self.bias_regularizer
                )
            )
        return found

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
    ) -> Any:
        """What each step of the query gathers; with the scores [batch, heads, ...] when asked."""
        value = query if value is None else value
        key = value if key is None else key
        if not self.built or not torch.jit.is_tracing():
            built = self.built
            self.build([shape_of(query), shape_of(value), shape_of(key)])
            if not built:
                self.to(query.device)
        query, value, key = self._cast(query), self._cast(value), self._cast(key)
        q, k, v = self._projected(query, value, key)
        mask = _seen(lengths, attention_mask, k.shape[2])
        drops = self.training and self.dropout > 0
        scores = None
        if drops or return_attention_scores:
            y, scores = self._attend_openly(q, k, v, mask, use_causal_mask)
        else:
            if use_causal_mask and mask is not None:
                mask = mask & _causal(q, k)
            causal = use_causal_mask and mask is None
            y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)
        y = y.transpose(1, 2).flatten(2)
        y = F.linear(y, self.output_kernel, self.output_bias if self.use_bias else None)
        return (y, scores) if return_attention_scores else y

    def _projected(self, query: Tensor, value: Tensor, key: Tensor) -> list[Tensor]:
        """Queries, keys and values, [batch, heads, steps, width]; in one product where possible."""
        kernels = [self.query_kernel, self.key_kernel, self.value_kernel]
        biases = [self.query_bias, self.key_bias, self.value_bias] if self.use_bias else None
        if query is key and key is value:
            bias = None if biases is None else torch.cat(biases)
            wide, last = self.num_heads * self.key_dim, self.num_heads * self.value_dim
            parts = F.linear(query, torch.cat(kernels), bias).split([wide, wide, last], -1)
        else:
            inputs = (query, key, value)
            parts = [
                F.linear(inputs[i], kernels[i], None if biases is None else biases[i])
                for i in range(3)
            ]
        return [part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts]

    def _attend_openly(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
    ) -> tuple[Tensor, Tensor]:
        """With the scores at hand, to drop some of them or to show them."""
        scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-1, -2)
        if causal:
            mask = _causal(q, k) if mask is None else mask & _causal(q, k)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        scores = scores.softmax(-1)
        kept = scores
        if self.training and self.dropout > 0:
            kept = scores * keep_mask(scores.shape, self.dropout, scores, self._seeded)
        return kept @ v, scores

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Two heads over short sequences."""
        return cls(2, 3), (5, 4)


def _seen(lengths: Tensor | None, attention_mask: Tensor | None, steps: int) -> Tensor | None:
    """What may be looked at, booleans that stretch to [batch, heads, query steps, value steps]."""
    mask = None
    if lengths is not None:
        # An empty sequence sees its first step, since nothing to see has no average.
        mask = within(lengths.clamp(min=1), steps)[:, None, None, :]
    if attention_mask is not None:
        given = attention_mask.bool()
        given = given.unsqueeze(1) if given.ndim == 3 else given
        mask = given if mask is None else mask & given
    return mask


def _causal(q: Tensor, k: Tensor) -> Tensor:
    """Steps up to one's own, booleans [query steps, value steps]."""
    return torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()


def _joined_heads(kernel: Tensor) -> Tensor:
    """Keras's [inputs, heads, width] to torch's [heads * width, inputs]."""
    return kernel.flatten(1).t().contiguous()


def _joined_outputs(kernel: Tensor) -> Tensor:
    """Keras's [heads, width, outputs] to torch's [outputs, heads * width]."""
    return kernel.flatten(0, 1).t().contiguous()


def _flat(bias: Tensor) -> Tensor:
    return bias.flatten()


class _HeadsApart:
    """The way back from :func:`_joined_heads`."""

    def __init__(self, heads: int) -> None:
        self.heads = heads

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.t().unflatten(1, (self.heads, -1)).contiguous()


class _OutputsApart(_HeadsApart):
    """The way back from :func:`_joined_outputs`."""

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.t().unflatten(0, (self.heads, -1)).contiguous()


class _BiasApart(_HeadsApart):
    """A flat bias by heads."""

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.unflatten(0, (self.heads, -1))


class TransformerEncoder(Layer):
    """Self-attention, then a small network at each step, both with a short cut (KerasHub's block).

    ``normalize_first`` normalises before each part and not after it, which trains deep stacks more
    steadily.

    Example:
        >>> TransformerEncoder(intermediate_dim=32, num_heads=2)(torch.zeros(3, 5, 16)).shape
        torch.Size([3, 5, 16])
    """

    takes_lengths = True

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: str | None = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        *,
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        normalize_first: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.intermediate_dim = sizes(intermediate_dim, 1, "intermediate_dim")[0]
        self.num_heads = sizes(num_heads, 1, "num_heads")[0]
        self.dropout = as_rate(dropout, "dropout")
        self.activation = as_activation(activation)
        self.layer_norm_epsilon = float(layer_norm_epsilon)
        self.kernel_initializer = as_initializer(kernel_initializer, "kernel_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.kernel_regularizer = as_penalty(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")
        self.normalize_first = bool(normalize_first)
        self.draws = self.dropout > 0

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        if len(shape) != 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received the shape {shape}. "
                f"Put an Embedding before it."
            )
        if shape[-1] < self.num_heads:
            raise ConfigError(
                f"{self.title} expected at least as many features as heads; received {shape[-1]} "
                f"features and num_heads={self.num_heads}."
            )
        return shape

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The parts, in KerasHub's order of weights."""
        features = shape[-1] or 0
        plain: dict[str, Any] = {"trainable": self.trainable, "dtype": self.dtype}
        weights: dict[str, Any] = {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            **plain,
        }
        self.attention = MultiHeadAttention(
            self.num_heads, features // self.num_heads, dropout=self.dropout, **weights
        )
        self.attention_norm = LayerNormalization(epsilon=self.layer_norm_epsilon, **plain)
        self.feedforward_norm = LayerNormalization(epsilon=self.layer_norm_epsilon, **plain)
        self.intermediate = Dense(self.intermediate_dim, self.activation, **weights)
        self.output_dense = Dense(features, **weights)
        self.drop = Dropout(self.dropout)
        for part in (
            self.attention, self.attention_norm, self.feedforward_norm, self.intermediate,
            self.drop,
        ):  # fmt: skip
            part.build(shape, generator)
        self.output_dense.build((*shape[:-1], self.intermediate_dim), generator)

    def decisive(self, shape: Shape) -> Any:
        """The features."""
        return shape[-1]

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """The transformed sequences."""
        self.ready(x)
        if padding_mask is not None:
            padding = padding_mask.bool().unsqueeze(1)
            attention_mask = padding if attention_mask is None else attention_mask.bool() & padding
        named = {"lengths": lengths, "attention_mask": attention_mask}
        if self.normalize_first:
            x = x + self.drop(self.attention(self.attention_norm(x), **named))
            return x + self.drop(self._feedforward(self.feedforward_norm(x)))
        x = self.attention_norm(x + self.drop(self.attention(x, **named)))
        return self.feedforward_norm(x + self.drop(self._feedforward(x)))

    def _feedforward(self, x: Tensor) -> Tensor:
        return self.output_dense(self.intermediate(x))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Two heads over short sequences."""
        return cls(8, 2), (5, 4)
