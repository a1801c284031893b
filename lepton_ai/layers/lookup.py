"""Numbers for words and for other numbers, by a vocabulary that is given or learned."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, DataError, NotReadyError
from lepton_ai.layers.adapting import (
    MODES,
    Preparing,
    as_array,
    batches,
    encoded,
    encoded_shape,
    words_of,
)
from lepton_ai.layers.fingerprints import each, farm, sip
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes

variants = ("StringLookup", "IntegerLookup")


class IndexLookup(Preparing):
    """What both lookups share.

    Numbers are given out in this order: the mask (0, in ``"int"`` mode, where there is a
    ``mask_token``), ``num_oov_indices`` numbers for what is not in the vocabulary (several: by
    fingerprint), then the vocabulary. :meth:`adapt` learns it: the most frequent first, at most
    ``max_tokens`` numbers in all. What was learned is a part of the arguments that are saved.

    ``output_mode`` is ``"int"``, ``"one_hot"``, ``"multi_hot"``, ``"count"`` or ``"tf_idf"``
    (counts times ``log(1 + documents / (1 + documents with the token))``). ``invert=True`` goes the
    way back, from numbers to the vocabulary.
    """

    tokens: ClassVar[type] = str

    def _store(
        self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any,
        vocabulary: Any, idf_weights: Any, invert: bool, output_mode: str, pad_to_max_tokens: bool,
        salt: Any,
    ) -> None:  # fmt: skip
        kind = type(self).__name__
        self.max_tokens = None if max_tokens is None else sizes(max_tokens, 1, "max_tokens")[0]
        self.num_oov_indices = sizes(num_oov_indices, 1, "num_oov_indices", least=0)[0]
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = bool(invert)
        self.output_mode = choice(output_mode, (*MODES, "tf_idf"), "output_mode")
        self.pad_to_max_tokens = bool(pad_to_max_tokens)
        both = (salt, salt) if isinstance(salt, int) else salt
        self.salt = None if both is None else sizes(tuple(both), 2, "salt", least=0)
        if self.invert and self.output_mode != "int":
            raise ConfigError(f"{kind} expected output_mode='int' with invert=True.")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ConfigError(f"{kind} expected max_tokens with pad_to_max_tokens=True.")
        if self.max_tokens is not None and self.max_tokens <= self.first():
            raise ConfigError(
                f"max_tokens expected more than the {self.first()} numbers for mask and unknown; "
                f"received {max_tokens}."
            )
        self.vocabulary: list[Any] | None = None
        self.idf_weights: list[float] | None = None
        if isinstance(vocabulary, str | Path):
            vocabulary = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def first(self) -> int:
        """The number of the first word of the vocabulary."""
        masked = self.mask_token is not None and self.output_mode == "int"
        return self.num_oov_indices + masked

    def vocabulary_size(self) -> int:
        """How many numbers are given out."""
        return self.first() + len(self.vocabulary or ())

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The vocabulary in the order of its numbers, with the tokens for mask and unknown."""
        words = list(self.vocabulary or ())
        if not include_special_tokens:
            return words
        masked = self.mask_token is not None and self.output_mode == "int"
        return [self.mask_token] * masked + [self.oov_token] * self.num_oov_indices + words

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary, with or without the tokens for mask and unknown before it.

        Raises:
            ConfigError: Repeated or too many words, or weights that do not fit.
        """
        words = [self.tokens(word) for word in as_array(vocabulary).tolist()]
        special = IndexLookup.get_vocabulary(self, True)[: self.first()]
        had = bool(special) and words[: len(special)] == special
        words = words[len(special) :] if had else words
        again = [word for word, count in Counter(words).items() if count > 1]
        reserved = {self.mask_token, self.oov_token} & set(words)
        if again or reserved:
            raise ConfigError(
                f"vocabulary expected each word once, and the tokens for mask and unknown at the "
                f"start only; received {(again or sorted(reserved, key=str))[:5]} again."
            )
        if self.max_tokens is not None and self.first() + len(words) > self.max_tokens:
            raise ConfigError(
                f"vocabulary expected at most {self.max_tokens - self.first()} words, since "
                f"max_tokens={self.max_tokens}; received {len(words)}."
            )
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            raise ConfigError(
                f"idf_weights expected one number for each word with output_mode='tf_idf', and "
                f"nothing else; received {idf_weights!r} and {self.output_mode!r}."
            )
        weights = None
        if idf_weights is not None:
            weights = [float(weight) for weight in as_array(idf_weights).tolist()]
            if had and len(weights) == len(special) + len(words):
                weights = weights[len(special) :]
            if len(weights) != len(words):
                raise ConfigError(
                    f"idf_weights expected {len(words)} numbers, received {len(weights)}."
                )
        self._learned(words, weights)

    def _learned(self, words: list[Any], weights: list[float] | None) -> None:
        self.vocabulary, self.idf_weights = words, weights
        self._order = None

    _order: tuple[np.ndarray, np.ndarray] | None = None

    def split(self, batch: Any) -> np.ndarray:
        """The tokens of a batch, an array of any shape, the batch first."""
        raise NotImplementedError

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary, anew; ``data`` is an array, or an iterable of batches.

        ``steps`` ends an iterable after so many batches.

        Raises:
            EmptyDataError: No values.
        """
        counts: Counter = Counter()
        holding: Counter = Counter()
        documents = 0
        for batch in batches(data, steps):
            tokens = self.split(batch)
            words, found = np.unique(tokens, return_counts=True)
            counts.update(dict(zip(words.tolist(), found.tolist(), strict=True)))
            if self.output_mode == "tf_idf":
                rows = tokens.reshape(1, -1) if tokens.ndim < 2 else tokens
                rows = rows.reshape(rows.shape[0], -1)
                documents += len(rows)
                for row in rows:
                    holding.update(np.unique(row).tolist())
        self.take(counts, holding, documents)

    def take(self, counts: Counter, holding: Counter, documents: int) -> None:
        """Make the vocabulary of counted tokens: the most frequent first, ties from the end."""
        for special in (self.mask_token, self.oov_token):
            counts.pop(special, None)
        words = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
        if self.max_tokens is not None:
            words = words[: self.max_tokens - self.first()]
        weights = None
        if self.output_mode == "tf_idf":
            weights = [float(np.log(1 + documents / (1 + holding[word]))) for word in words]
        self._learned(words, weights)

    # Running

    def depth(self) -> int | None:
        """The size of the vectors."""
        if self.pad_to_max_tokens:
            return self.max_tokens
        return None if self.vocabulary is None else self.vocabulary_size()

    def infer(self, shape: Shape) -> Shape:
        """The same shape, or vectors of the vocabulary."""
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return encoded_shape(shape, mode, self.depth())

    def ready(self, x: Any) -> Any:
        """Build at the first call."""
        if self.vocabulary is None:
            raise NotReadyError(
                f"{self.title} has no vocabulary yet. Type layer.adapt(data), or give a vocabulary."
            )
        if not self.built:
            self.build(tuple(x.shape[1:]))
        return x

    def numbers(self, tokens: np.ndarray) -> np.ndarray:
        """The number of each token."""
        if self._order is None:
            words = np.array(self.vocabulary, dtype=str if self.tokens is str else np.int64)
            places = np.argsort(words, kind="stable")
            self._order = (words[places], places)
        words, places = self._order
        at = np.searchsorted(words, tokens).clip(max=max(len(words) - 1, 0))
        known = words[at] == tokens if len(words) else np.zeros(tokens.shape, bool)
        found = np.where(known, places[at] + self.first() if len(words) else 0, -1)
        masked = np.zeros(tokens.shape, bool)
        if self.mask_token is not None:
            masked = tokens == self.mask_token
        unknown = ~known & ~masked
        if unknown.any():
            if self.num_oov_indices == 0:
                raise DataError(
                    f"{self.title} expected tokens of its vocabulary only, received "
                    f"{tokens[unknown][:5].tolist()}. Type num_oov_indices=1 for a number of "
                    f"their own."
                )
            start = self.first() - self.num_oov_indices
            found[unknown] = start + self.unknown(tokens[unknown])
        # Without a number of its own, the mask is a token like any other that is not known.
        has_number = self.mask_token is not None and self.output_mode == "int"
        return np.where(masked, 0, found) if has_number or self.num_oov_indices else found

    def unknown(self, tokens: np.ndarray) -> np.ndarray:
        """Which of the numbers for unknown tokens each gets."""
        if self.num_oov_indices == 1:
            return np.zeros(tokens.shape, np.int64)
        fingerprint = farm if self.salt is None else partial(sip, key=self.salt)
        return each(tokens.astype(str), fingerprint, self.num_oov_indices)

    def looked_up(self, tokens: np.ndarray) -> Tensor:
        """The numbers, or vectors, of an array of tokens."""
        numbers = torch.as_tensor(self.numbers(tokens))
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        y = encoded(numbers, mode, self.depth() or 0, self.weight_type())
        return self.weigh(y) if self.output_mode == "tf_idf" else y

    def weigh(self, counts: Tensor) -> Tensor:
        """Counts times the weights of the words; unknown words weigh as much as the average."""
        known = self.idf_weights or []
        weights = [float(np.mean(known)) if known else 0.0] * self.first() + known
        weights += [0.0] * (counts.shape[-1] - len(weights))
        return counts * counts.new_tensor(weights)

    def words_at(self, numbers: np.ndarray) -> np.ndarray:
        """The way back: the token of each number."""
        table = np.array(self.get_vocabulary())
        outside = (numbers < 0) | (numbers >= len(table))
        return np.where(outside, self.oov_token, table[np.where(outside, 0, numbers)])


class StringLookup(IndexLookup):
    """A number for each word; text is given as a list or an array of strings.

    Example:
        >>> layer = StringLookup()
        >>> layer.adapt(["cat", "dog", "cat"])
        >>> layer(["dog", "cat", "bird"]).tolist(), layer.get_vocabulary()
        ([2, 1, 0], ['[UNK]', 'cat', 'dog'])
    """

    reads: ClassVar[str] = "words"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",  # noqa: S107
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        *,
        salt: int | tuple[int, int] | list[int] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._store(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, pad_to_max_tokens, salt,
        )  # fmt: skip

    def split(self, batch: Any) -> np.ndarray:
        """The words."""
        return words_of(batch)

    def forward(self, x: Any) -> Any:
        """The numbers or vectors of words; with ``invert`` an array of words."""
        if self.invert:
            return self.words_at(self.ready(as_array(x)))
        return self.looked_up(self.ready(words_of(x)))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Five words, counted."""
        return cls(vocabulary=["a", "b", "c"], output_mode="count"), (5,)


class IntegerLookup(IndexLookup):
    """A number from 0 on for each whole number of a vocabulary.

    Example:
        >>> layer = IntegerLookup(vocabulary=[12, 36, 1138])
        >>> layer(torch.tensor([[12, 7, 1138]])).tolist()
        [[1, 0, 3]]
    """

    reads: ClassVar[str] = "whole_numbers"
    tokens: ClassVar[type] = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._store(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, pad_to_max_tokens, None,
        )  # fmt: skip

    def split(self, batch: Any) -> np.ndarray:
        """The numbers."""
        array = as_array(batch)
        if array.dtype.kind not in "iub":
            raise DataError(
                f"{self.title} expected whole numbers, received {array.dtype}. For words type "
                f"StringLookup()."
            )
        return array.astype(np.int64)

    def unknown(self, tokens: np.ndarray) -> np.ndarray:
        """By the remainder."""
        return tokens % self.num_oov_indices

    def forward(self, x: Any) -> Tensor:
        """The numbers, or vectors."""
        given = self.ready(self.split(x))
        y = torch.as_tensor(self.words_at(given)) if self.invert else self.looked_up(given)
        return y.to(x.device) if isinstance(x, Tensor) else y

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Five numbers, marked."""
        return cls(vocabulary=[3, 5, 8], output_mode="multi_hot"), (5,)
