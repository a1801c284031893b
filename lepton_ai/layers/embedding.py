"""Numbers for words, and for places in a sequence."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import DataError, NotReadyError, ShapeError
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, sizes
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = (
    "Embedding", "ReversibleEmbedding", "PositionEmbedding", "TokenAndPositionEmbedding", "Masking",
)  # fmt: skip


def lengths_of(inside: Tensor, title: str) -> Tensor:
    """The lengths of sequences from booleans ``[batch, steps]``.

    Raises:
        DataError: A masked step comes before one that is not.
    """
    lengths = inside.sum(1)
    if inside.shape[1] > 1 and bool((inside[:, 1:] & ~inside[:, :-1]).any()):
        raise DataError(
            f"{title} expected padding on the right only, received a masked step before another "
            f"step. Pad with padding='post' and keep the mask value for padding alone."
        )
    return lengths


class Embedding(Layer):
    """A learned vector for each whole number from 0 to ``input_dim - 1``.

    Takes whole numbers ``[batch, length]``, gives ``[batch, length, output_dim]``. With
    ``mask_zero=True`` the number 0 is padding on the right: :meth:`find_lengths` tells the lengths,
    and layers after it skip what lies beyond.

    Raises:
        DataError: A number outside the range.

    Example:
        >>> Embedding(1000, 16)(torch.tensor([[4, 7, 0]])).shape
        torch.Size([1, 3, 16])
    """

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {"embeddings_constraint": ("embeddings",)}
    embeddings: Tensor

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | dict = "uniform",
        embeddings_regularizer: str | dict | None = None,
        embeddings_constraint: str | dict | None = None,
        mask_zero: bool = False,
        weights: np.ndarray | list | None = None,
        **common: Any,
    ) -> None:
        super().__init__(embeddings_constraint=embeddings_constraint, **common)
        self.input_dim = sizes(input_dim, 1, "input_dim")[0]
        self.output_dim = sizes(output_dim, 1, "output_dim")[0]
        self.embeddings_initializer = as_initializer(
            embeddings_initializer, "embeddings_initializer"
        )
        self.embeddings_regularizer = as_penalty(embeddings_regularizer, "embeddings_regularizer")
        self.mask_zero = bool(mask_zero)
        self.weights = weights

    def config(self) -> dict[str, Any]:
        """The arguments; first weights are not among them, since they become the weights."""
        return {**super().config(), "weights": None}

    def infer(self, shape: Shape) -> Shape:
        """A vector for each number."""
        return (*shape, self.output_dim)

    def declare(self, shape: Shape) -> list[Weight]:
        """The table [input_dim, output_dim]."""
        size = (self.input_dim, self.output_dim)
        return [
            Weight(
                "embeddings", size, self.embeddings_initializer,
                penalty=self.embeddings_regularizer,
            )
        ]  # fmt: skip

    def decisive(self, shape: Shape) -> tuple:
        """Nothing of the shape: the table is the same for all."""
        return ()

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The table, drawn or given."""
        super().create(shape, generator)
        if self.weights is not None:
            given = self.weights[0] if isinstance(self.weights, list) else self.weights
            if np.shape(given) != (self.input_dim, self.output_dim):
                raise ShapeError(
                    f"{self.title} expected weights of shape {(self.input_dim, self.output_dim)}, "
                    f"received {np.shape(given)}."
                )
            with torch.no_grad():
                self.embeddings.copy_(torch.as_tensor(np.asarray(given)))

    def ready(self, x: Tensor) -> Tensor:
        """Numbers of any type as whole numbers."""
        if not self.built:
            self.build(tuple(x.shape[1:]))
            self.to(x.device)
        return x if x.dtype in (torch.int64, torch.int32) else x.long()

    def forward(self, x: Tensor) -> Tensor:
        """The vectors of the numbers."""
        x = self.ready(x)
        try:
            y = F.embedding(x, self.embeddings)
        except IndexError:
            raise DataError(
                f"{self.title} expected whole numbers from 0 to {self.input_dim - 1}, received "
                f"numbers from {int(x.min())} to {int(x.max())}. Type "
                f"input_dim={int(x.max()) + 1}, or map unknown words to a number of their own."
            ) from None
        return y.movedim(-1, 1) if y.ndim >= 4 else y

    def find_lengths(self, x: Tensor) -> Tensor | None:
        """The counts of numbers before the zeros, with ``mask_zero``; else None."""
        return lengths_of(x != 0, self.title) if self.mask_zero and x.ndim == 2 else None

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sequences of seven numbers below 11."""
        return cls(11, 4), (7,)


class ReversibleEmbedding(Embedding):
    """An embedding that also gives the scores of all numbers for a vector: ``reverse=True``.

    ``x @ embeddings.T`` for ``[batch, length, output_dim]`` (Press & Wolf 2017), or a kernel of its
    own without ``tie_weights``. ``logit_soft_cap`` keeps scores within it by
    ``cap * tanh(score / cap)``.

    Example:
        >>> layer = ReversibleEmbedding(9, 4)
        >>> layer(layer(torch.tensor([[1, 2]])), reverse=True).shape
        torch.Size([1, 2, 9])
    """

    reverse_embeddings: Tensor

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: str | dict = "uniform",
        embeddings_regularizer: str | dict | None = None,
        embeddings_constraint: str | dict | None = None,
        mask_zero: bool = False,
        logit_soft_cap: float | None = None,
        weights: np.ndarray | list | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
            embeddings_constraint, mask_zero, weights, **common,
        )  # fmt: skip
        self.tie_weights = bool(tie_weights)
        self.logit_soft_cap = None if logit_soft_cap is None else float(logit_soft_cap)

    def declare(self, shape: Shape) -> list[Weight]:
        """The table, and the kernel of the way back where it is another."""
        back = Weight(
            "reverse_embeddings", (self.output_dim, self.input_dim), self.embeddings_initializer
        )
        return super().declare(shape) + [back] * (not self.tie_weights)

    def forward(self, x: Tensor, reverse: bool = False) -> Tensor:
        """The vectors of the numbers, or the scores of all numbers for vectors."""
        if not reverse:
            return super().forward(x)
        if not self.built:
            raise NotReadyError(
                f"{self.title} has no weights yet. Type layer.build((length,)), or embed first."
            )
        y = x @ (self.embeddings.t() if self.tie_weights else self.reverse_embeddings)
        cap = self.logit_soft_cap
        return y if cap is None else cap * (y / cap).tanh()


class PositionEmbedding(Layer):
    """A learned vector for each place of a sequence (Devlin et al. 2019), as in KerasHub.

    Gives the vectors of the places alone, in the shape of the input, to be added to it;
    ``add_to_input=True`` adds them, which is what a chain of layers needs.

    Raises:
        ShapeError: A sequence longer than ``sequence_length``.

    Example:
        >>> PositionEmbedding(128, add_to_input=True)(torch.zeros(2, 50, 16)).shape
        torch.Size([2, 50, 16])
    """

    position_embeddings: Tensor

    def __init__(
        self,
        sequence_length: int,
        initializer: str | dict = "glorot_uniform",
        *,
        add_to_input: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.sequence_length = sizes(sequence_length, 1, "sequence_length")[0]
        self.initializer = as_initializer(initializer, "initializer")
        self.add_to_input = bool(add_to_input)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        if len(shape) != 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received {shape}. "
                f"Put an Embedding before it."
            )
        self._fits(shape[0])
        return shape

    def _fits(self, length: int | None) -> None:
        if length is not None and length > self.sequence_length:
            raise ShapeError(
                f"{self.title} expected at most {self.sequence_length} steps, received {length}. "
                f"Type sequence_length={length}, or cut the sequences."
            )

    def declare(self, shape: Shape) -> list[Weight]:
        """The table [sequence_length, features]."""
        size = (self.sequence_length, shape[-1] or 0)
        return [Weight("position_embeddings", size, self.initializer)]

    def forward(self, x: Tensor, start_index: int = 0) -> Tensor:
        """The vectors of the places from ``start_index`` on."""
        x = self.ready(x)
        end = start_index + x.shape[1]
        self._fits(end)
        places = self.position_embeddings[start_index:end]
        return x + places if self.add_to_input else places.expand_as(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Up to nine places."""
        return cls(9, add_to_input=True), (7, 4)


class TokenAndPositionEmbedding(Layer):
    """The vectors of words plus those of their places, as in KerasHub."""

    def __init__(
        self,
        vocabulary_size: int,
        sequence_length: int,
        embedding_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: str | dict = "uniform",
        mask_zero: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.vocabulary_size = sizes(vocabulary_size, 1, "vocabulary_size")[0]
        self.sequence_length = sizes(sequence_length, 1, "sequence_length")[0]
        self.embedding_dim = sizes(embedding_dim, 1, "embedding_dim")[0]
        self.tie_weights = bool(tie_weights)
        self.embeddings_initializer = as_initializer(
            embeddings_initializer, "embeddings_initializer"
        )
        self.mask_zero = bool(mask_zero)
        inner: dict[str, Any] = {"trainable": self.trainable, "dtype": self.dtype}
        self.token_embedding = Embedding(
            vocabulary_size, embedding_dim, self.embeddings_initializer, mask_zero=mask_zero,
            **inner,
        )  # fmt: skip
        self.position_embedding = PositionEmbedding(
            sequence_length, self.embeddings_initializer, add_to_input=True, **inner
        )

    def infer(self, shape: Shape) -> Shape:
        """A vector for each number."""
        return self.position_embedding.infer(self.token_embedding.infer(shape))

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """Both tables."""
        self.position_embedding.build(self.token_embedding.build(shape, generator), generator)

    def forward(self, x: Tensor) -> Tensor:
        """The sums of both vectors."""
        self.ready(x)
        return self.position_embedding(self.token_embedding(x))

    def find_lengths(self, x: Tensor) -> Tensor | None:
        """The counts of numbers before the zeros, with ``mask_zero``; else None."""
        return self.token_embedding.find_lengths(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sequences of seven numbers below 11."""
        return cls(11, 9, 4), (7,)


class Masking(Layer):
    """Takes steps whose features all equal ``mask_value`` as padding on the right, and zeroes them.

    Example:
        >>> Masking().find_lengths(torch.tensor([[[1.0], [2.0], [0.0]]]))
        tensor([2])
    """

    def __init__(self, mask_value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        self.mask_value = float(mask_value)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        if len(shape) != 2:
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received {shape}."
            )
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """The input with padded steps set to zero."""
        x = self.ready(x)
        return x * (x != self.mask_value).any(-1, keepdim=True)

    def find_lengths(self, x: Tensor) -> Tensor | None:
        """The counts of steps before the padding."""
        return lengths_of((x != self.mask_value).any(-1), self.title)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Short sequences."""
        return cls(), (6, 3)
