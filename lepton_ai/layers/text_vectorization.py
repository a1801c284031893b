"""Text made ready: cleaned, split into words, and given their numbers."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.adapting import Preparing, batches, words_of
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, sizes
from lepton_ai.layers.lookup import StringLookup

variants = ("TextVectorization",)

_PUNCTUATION = re.compile("[!\"#$%&()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~\\']")
_CLEANING = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLITTING = ("whitespace", "character")


class TextVectorization(Preparing):
    """The numbers of the words of texts, or a vector for each text.

    A text is cleaned (``standardize``: ``"lower_and_strip_punctuation"``, ``"lower"``,
    ``"strip_punctuation"`` or None), split (``split``: ``"whitespace"``, ``"character"`` or None)
    and looked up in a vocabulary, which is given or learned by :meth:`adapt`; ``ngrams=2`` takes
    pairs of neighbours too. ``output_mode="int"`` gives ``[batch, words]``, padded on the right
    with 0 (unknown words are 1), ``"multi_hot"``, ``"count"`` and ``"tf_idf"`` a vector a text.
    The vocabulary is a part of the arguments that are saved.

    Example:
        >>> layer = TextVectorization()
        >>> layer.adapt(["The cat sat.", "The dog!"])
        >>> layer(["the dog sat", "A cat"]).tolist(), layer.get_vocabulary()[:3]
        ([[2, 4, 3], [1, 5, 0]], ['', '[UNK]', 'the'])
    """

    reads: ClassVar[str] = "words"

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | None = "lower_and_strip_punctuation",
        split: str | None = "whitespace",
        ngrams: int | tuple[int, ...] | list[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        for name, value in (("standardize", standardize), ("split", split)):
            if callable(value):
                raise ConfigError(
                    f"{name} expected a word or None; received a function, which cannot be saved "
                    f"with a model. Do it to the data: data.map(...), and type {name}=None."
                )
        self.standardize = (
            None if standardize is None else choice(standardize, _CLEANING, "standardize")
        )
        self.split = None if split is None else choice(split, _SPLITTING, "split")
        several = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        self.ngrams = None if several is None else sizes(tuple(several), len(several), "ngrams")
        modes = ("int", "multi_hot", "count", "tf_idf")
        self.output_mode = choice(output_mode, modes, "output_mode")
        length = output_sequence_length
        if length is not None and self.output_mode != "int":
            raise ConfigError("output_sequence_length expected output_mode='int'.")
        self.output_sequence_length = (
            None if length is None else sizes(length, 1, "output_sequence_length")[0]
        )
        self._lookup = StringLookup(
            max_tokens, mask_token="", vocabulary=vocabulary, idf_weights=idf_weights,  # noqa: S106
            output_mode=self.output_mode, pad_to_max_tokens=pad_to_max_tokens,
        )  # fmt: skip
        self.max_tokens = self._lookup.max_tokens
        self.pad_to_max_tokens = self._lookup.pad_to_max_tokens

    def _inner(self) -> list[Layer]:
        return []

    @property
    def vocabulary(self) -> list[str] | None:
        """The words, without the tokens for padding and unknown."""
        return self._lookup.vocabulary

    @property
    def idf_weights(self) -> list[float] | None:
        """The weight of each word, with ``output_mode="tf_idf"``."""
        return self._lookup.idf_weights

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their numbers, with the tokens for padding and unknown."""
        return self._lookup.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary, with or without the tokens for padding and unknown before it."""
        self._lookup.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """How many numbers are given out."""
        return self._lookup.vocabulary_size()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary, anew; ``data`` is an array of texts, or an iterable of batches.

        ``steps`` ends an iterable after so many batches.

        Raises:
            EmptyDataError: No texts.
        """
        counts: Counter = Counter()
        holding: Counter = Counter()
        documents = 0
        for batch in batches(data, steps):
            for words in self.words(batch):
                counts.update(words)
                holding.update(set(words))
                documents += 1
        self._lookup.take(counts, holding, documents)

    def words(self, texts: Any) -> list[list[str]]:
        """The words of each text."""
        array = words_of(texts)
        if array.ndim > 1 and array.shape[-1] == 1 and self.split is not None:
            array = array.squeeze(-1)
        if array.ndim != (1 if self.split is not None else 2) and array.ndim != 1:
            raise ShapeError(
                f"{self.title} expected texts [batch] or [batch, 1], received an array of the "
                f"shape {array.shape}."
            )
        rows: list[list[str]] = (
            [[text] for text in array.tolist()] if array.ndim == 1 else array.tolist()
        )
        return [self._with_neighbours(self._cut(row)) for row in rows]

    def _cut(self, row: list[str]) -> list[str]:
        found: list[str] = []
        for text in row:
            if self.standardize in ("lower", "lower_and_strip_punctuation"):
                text = text.lower()
            if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
                text = _PUNCTUATION.sub("", text)
            if self.split == "whitespace":
                found += text.split()
            else:
                found += list(text) if self.split == "character" else [text]
        return found

    def _with_neighbours(self, words: list[str]) -> list[str]:
        if self.ngrams is None:
            return words
        return [
            " ".join(words[start : start + width])
            for width in self.ngrams
            for start in range(len(words) - width + 1)
        ]

    def infer(self, shape: Shape) -> Shape:
        """The number of words, or a vector."""
        if self.output_mode != "int":
            return (self._lookup.depth(),)
        return (self.output_sequence_length,)

    def ready(self, x: np.ndarray) -> np.ndarray:
        """Build at the first call."""
        if not self.built:
            self.build(tuple(x.shape[1:]))
        return x

    def forward(self, x: Any) -> Tensor:
        """The numbers of the words, or vectors."""
        rows = self.words(self.ready(words_of(x)))
        lookup, counts = self._lookup, np.array([len(row) for row in rows])
        flat = lookup.ready(np.array([word for row in rows for word in row], dtype=str))
        numbers = torch.as_tensor(lookup.numbers(flat))
        places = torch.as_tensor(np.repeat(np.arange(len(rows)), counts))
        if self.output_mode != "int":
            y = torch.zeros(len(rows), lookup.depth() or 0, dtype=self.weight_type())
            adds = self.output_mode != "multi_hot"
            y.index_put_((places, numbers), y.new_ones(()), accumulate=adds)
            return lookup.weigh(y) if self.output_mode == "tf_idf" else y
        longest = int(counts.max(initial=0))
        steps = torch.as_tensor(np.concatenate([np.arange(n) for n in counts] or [np.empty(0)]))
        y = torch.zeros(len(rows), longest, dtype=torch.int64)
        y[places, steps.long()] = numbers
        wanted = self.output_sequence_length
        return y if wanted is None else F.pad(y, (0, wanted - longest))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """A short text to five numbers."""
        return cls(output_sequence_length=5, vocabulary=["a", "b", "c"]), (1,)
