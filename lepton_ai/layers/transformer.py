"""Transformer blocks: an encoder's, and a decoder's that reads an encoder's output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.attention import MultiHeadAttention
from lepton_ai.layers.caching import KeyValueCache
from lepton_ai.layers.dense import Dense
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, Shapes, is_shapes, sizes
from lepton_ai.layers.nonlinearity import as_activation
from lepton_ai.layers.normalization import LayerNormalization
from lepton_ai.layers.regularization import Dropout, as_rate
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.rotary import as_wavelength

variants = ("TransformerEncoder", "TransformerDecoder")


class _Block(Layer):
    """What both blocks share: their arguments, and the small network at each step.

    With ``normalize_first`` each part reads ``norm(x)`` and adds to ``x``; without it each sum
    ``x + part(x)`` is normalised, as in the paper.
    """

    takes_lengths = True
    feedforward_norm: LayerNormalization
    intermediate: Dense
    output_dense: Dense
    drop: Dropout

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
        rotary: float | None = None,
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
        self.rotary = None if rotary is None else as_wavelength(rotary, "rotary")
        self.draws = self.dropout > 0

    def check(self, shape: Shape) -> int:
        """The features of sequences.

        Raises:
            ShapeError: No sequences.
            ConfigError: Fewer features than heads.
        """
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
        return shape[-1]

    def plain(self) -> dict[str, Any]:
        """What the parts without kernels are made with."""
        return {"trainable": self.trainable, "dtype": self.dtype}

    def weights(self) -> dict[str, Any]:
        """What the parts with kernels are made with."""
        return {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            **self.plain(),
        }

    def attend(self, features: int, rotary: float | None) -> MultiHeadAttention:
        """An attention of this block's width."""
        return MultiHeadAttention(
            self.num_heads, features // self.num_heads, dropout=self.dropout, rotary=rotary,
            **self.weights(),
        )  # fmt: skip

    def normalise(self) -> LayerNormalization:
        """A normalisation of the features."""
        return LayerNormalization(epsilon=self.layer_norm_epsilon, **self.plain())

    def feedforward(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The small network at each step, its normalisation and the dropout: the last parts."""
        self.feedforward_norm.build(shape, generator)
        self.intermediate = Dense(self.intermediate_dim, self.activation, **self.weights())
        self.output_dense = Dense(shape[-1] or 0, **self.weights())
        self.drop = Dropout(self.dropout)
        self.intermediate.build(shape, generator)
        self.output_dense.build((*shape[:-1], self.intermediate_dim), generator)
        self.drop.build(shape, generator)

    def dropped(self, x: Tensor) -> Tensor:
        """The dropout, which costs no call where it does nothing."""
        return self.drop(x) if self.dropout > 0 and self.training else x

    def fed_forward(self, x: Tensor) -> Tensor:
        """The sum of the input and what the small network makes of it."""
        y = self.feedforward_norm(x) if self.normalize_first else x
        y = x + self.dropped(self.output_dense(self.intermediate(y)))
        return y if self.normalize_first else self.feedforward_norm(y)


class TransformerEncoder(_Block):
    """Self-attention, then a small network at each step, both with a short cut (KerasHub's block).

    ``y = norm(x + attention(x))`` and ``norm(y + dense(activation(dense(y))))`` for sequences
    ``[batch, steps, features]`` (Vaswani et al. 2017). ``normalize_first`` normalises before each
    part and not after it, which trains deep stacks more steadily. ``rotary=10000`` gives queries
    and keys rotary positions.

    Example:
        >>> TransformerEncoder(intermediate_dim=32, num_heads=2)(torch.zeros(3, 5, 16)).shape
        torch.Size([3, 5, 16])
    """

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        self.check(shape)
        return shape

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The parts, in KerasHub's order of weights."""
        self.attention = self.attend(shape[-1] or 0, self.rotary)
        self.attention_norm = self.normalise()
        self.feedforward_norm = self.normalise()
        self.attention.build(shape, generator)
        self.attention_norm.build(shape, generator)
        self.feedforward(shape, generator)

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
        x = self.ready(x)
        if padding_mask is not None:
            padding = padding_mask.bool().unsqueeze(1)
            attention_mask = padding if attention_mask is None else attention_mask.bool() & padding
        named = {"lengths": lengths, "attention_mask": attention_mask}
        y = self.attention_norm(x) if self.normalize_first else x
        y = x + self.dropped(self.attention(y, **named))
        return self.fed_forward(y if self.normalize_first else self.attention_norm(y))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Two heads over short sequences."""
        return cls(8, 2), (5, 4)


class TransformerDecoder(_Block):
    """Attention to earlier steps, to an encoder's output, then a small network at each step.

    Called on one tensor ``[batch, steps, features]`` it is the block of a language model; called on
    two, ``decoder([x, encoded])``, each step looks at all of ``encoded`` ``[batch, other steps,
    other features]`` too (Vaswani et al. 2017; KerasHub's block). ``lengths`` are those of ``x``,
    ``encoder_lengths`` those of ``encoded``.

    To decode one step at a time, make :meth:`new_cache` once and hand it over with each step; the
    outputs are those of the whole sequence at once.

    Example:
        >>> block, x = TransformerDecoder(intermediate_dim=8, num_heads=2), torch.randn(1, 3, 4)
        >>> whole, cache = block(x), block.new_cache()
        >>> steps = [block(x[:, [place]], cache=cache) for place in range(3)]
        >>> torch.allclose(torch.cat(steps, 1), whole, atol=1e-6)
        True
    """

    attention: MultiHeadAttention
    attention_norm: LayerNormalization
    cross_attention: MultiHeadAttention
    cross_attention_norm: LayerNormalization
    crossed = False  # whether the block was built for an encoder's output too

    def infer(self, shape: Any) -> Shape:
        """The shape of the decoder's sequences."""
        several: Shapes = tuple(shape) if is_shapes(shape) else (shape,)
        if len(several) > 2 or len(several[-1]) != 2 or several[-1][-1] is None:
            raise ShapeError(
                f"{self.title} expected the shape of its sequences (length, features), or those of "
                f"its and the encoder's; received {shape}."
            )
        self.check(several[0])
        return several[0]

    def decisive(self, shape: Any) -> Any:
        """The features of both, and whether there are both."""
        return [one[-1] for one in shape] if is_shapes(shape) else [shape[-1]]

    def create(self, shape: Any, generator: torch.Generator | None) -> None:
        """The parts, in KerasHub's order of weights."""
        self.crossed = is_shapes(shape) and len(shape) == 2
        own: Shape = shape[0] if is_shapes(shape) else shape
        features = own[-1] or 0
        self.attention = self.attend(features, self.rotary)
        self.attention_norm = self.normalise()
        self.attention.build(own, generator)
        self.attention_norm.build(own, generator)
        if self.crossed:
            self.cross_attention = self.attend(features, None)
            self.cross_attention_norm = self.normalise()
            self.cross_attention.build([own, shape[1]], generator)
            self.cross_attention_norm.build(own, generator)
        self.feedforward_norm = self.normalise()
        self.feedforward(own, generator)

    def new_cache(self) -> tuple[KeyValueCache, KeyValueCache]:
        """An empty cache for decoding step by step: of own steps, and of the encoder's output."""
        return KeyValueCache(), KeyValueCache(fixed=True)

    def forward(
        self,
        x: Any,
        encoded: Tensor | None = None,
        lengths: Tensor | None = None,
        encoder_lengths: Tensor | None = None,
        attention_mask: Tensor | None = None,
        use_causal_mask: bool = True,
        cache: tuple[KeyValueCache, KeyValueCache] | None = None,
    ) -> Tensor:
        """The transformed sequences."""
        if not isinstance(x, Tensor):
            encoded = x[1] if len(x) > 1 else encoded
            x = x[0]
        self.ready(x if encoded is None else [x, encoded])
        if self.crossed and encoded is None:
            raise ShapeError(
                f"{self.title} expected the encoder's output too, since it was built for it. "
                f"Type decoder([x, encoded])."
            )
        first = self.norm_before(self.attention_norm, x)
        y = self.attention(
            first, lengths=lengths, attention_mask=attention_mask,
            use_causal_mask=use_causal_mask, cache=None if cache is None else cache[0],
        )  # fmt: skip
        x = self.norm_after(self.attention_norm, x + self.dropped(y))
        if self.crossed:
            y = self.cross_attention(
                self.norm_before(self.cross_attention_norm, x), encoded, lengths=encoder_lengths,
                cache=None if cache is None else cache[1],
            )  # fmt: skip
            x = self.norm_after(self.cross_attention_norm, x + self.dropped(y))
        return self.fed_forward(x)

    def norm_before(self, norm: LayerNormalization, x: Tensor) -> Tensor:
        """The normalised input of a part, with ``normalize_first``."""
        return norm(x) if self.normalize_first else x

    def norm_after(self, norm: LayerNormalization, x: Tensor) -> Tensor:
        """The normalised sum after a part, without ``normalize_first``."""
        return x if self.normalize_first else norm(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Any]:
        """Two heads over short sequences, and an encoder's output."""
        return cls(8, 2), ((5, 4), (3, 6))
