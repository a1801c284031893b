"""Words: a sentence that is already cut into words."""

from __future__ import annotations

import zlib
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch

from lepton_ai.data.column import Column, Ragged, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.errors import DataError, LimitError

variants = {"words": "Words"}

MAX_WORDS = 100_000
UNKNOWN = 1
AFFIXES = (-1, -2, -3, -4, 1, 2, 3)
"""Endings (negative) and beginnings of a word, by their length, that are encoded beside it."""
COLUMNS = 1 + len(AFFIXES) + 1


class Words(Field):
    """A sentence as a list of words; a column of them is :class:`Ragged` strings.

    A word is encoded as its number, the hashed endings and beginnings of it, and its shape
    (capitals, digits), so that words never met in training are not all alike.
    """

    widget: ClassVar[str] = "words"

    def read(self, values: Any) -> Column:
        if isinstance(values, Ragged):
            return values
        if isinstance(values, (list, tuple)):
            if values and isinstance(values[0], str):
                values = [value.split() for value in values]
            return Ragged.of([list(value) for value in values])
        column = as_column(values)
        if isinstance(column, pa.Array) and pa.types.is_list(column.type):
            return Ragged.of(column.to_pylist())
        if isinstance(column, pa.Array) and pa.types.is_string(column.type):
            return Ragged.of([(value or "").split() for value in column.to_pylist()])
        if not isinstance(column, Ragged):
            raise DataError(
                f"Expected lists of words, one for each example; received {type(column).__name__}."
            )
        return column

    def is_single(self, value: Any) -> bool | None:
        if isinstance(value, (list, tuple)):
            return bool(value) and isinstance(value[0], str)
        return None

    def check(self, values: Column) -> None:
        if not isinstance(values, Ragged) or not (
            isinstance(values.values, pa.Array) and pa.types.is_string(values.values.type)
        ):
            raise DataError(
                f"Expected lists of words, one for each example; received {type(values).__name__}."
            )
        if len(values) and int(values.lengths.max()) > MAX_WORDS:
            raise LimitError(f"Expected sentences of at most {MAX_WORDS:,} words.")
        if len(values) and int(values.lengths.min()) == 0:
            empty = int(np.flatnonzero(values.lengths == 0)[0])
            raise DataError(
                f"Expected at least one word in each sentence; example {empty} is empty."
            )

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if isinstance(values, pa.Array) and pa.types.is_list(values.type):
            return 0.7 if pa.types.is_string(values.type.value_type) else 0.0
        strings = isinstance(values, Ragged) and isinstance(values.values, pa.Array)
        return 0.7 if strings else 0.0

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        """Vocabulary of lower-cased words."""
        counts = Counter(word.lower() for word in column.values.to_pylist())
        least = wish.get("min_count", 2) if len(column) > 200 else 1
        kept = sorted((w for w, n in counts.items() if n >= least), key=lambda w: (-counts[w], w))
        return {
            "vocabulary": kept[: wish.get("vocabulary_size", 50_000) - 2],
            "buckets": wish.get("buckets", 16_384),
        }

    def to_tensor(self, column: Column, spec: Spec) -> Ragged:
        """``[words, 9]``: number, hashed affixes, shape. 0 is filling, number 1 unknown."""
        known = {word: index + 2 for index, word in enumerate(spec["vocabulary"])}
        unique = column.values.dictionary_encode()
        rows = [_encode(word, known, spec["buckets"]) for word in unique.dictionary.to_pylist()]
        table = torch.tensor(rows, dtype=torch.int64).reshape(-1, COLUMNS)
        numbers = np.array(unique.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
        return Ragged(table[torch.from_numpy(numbers)], column.lengths)

    def to_json(self, value: Any) -> list[str]:
        return list(value)

    def from_json(self, data: Any) -> list[str]:
        if isinstance(data, str):
            data = data.split()
        if not isinstance(data, list) or not data or not all(isinstance(w, str) for w in data):
            raise DataError('Expected a list of words, such as ["They", "run"], or a text.')
        return data

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_WORDS}

    def distance(self, a: Any, b: Any) -> float:
        """Share of places with different words; 1 when the lengths differ."""
        if len(a) != len(b):
            return 1.0
        return sum(x != y for x, y in zip(a, b, strict=True)) / max(len(a), 1)

    def parts(self, value: Any) -> list[Part]:
        return [Part(word, (index, index + 1)) for index, word in enumerate(value)]

    def without(self, value: Any, part: Part) -> list[str]:
        """The sentence with one word made unknown, so that the others keep their places."""
        words = list(value)
        words[part.place[0]] = "\u25a1"
        return words

    def sample(self, rng: np.random.Generator) -> list[str]:
        words = ["They", "run", "fast", "in", "London", "2026", "nicely", "the", "dog", "barks"]
        return [str(w) for w in rng.choice(words, size=rng.integers(3, 9))]

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        from lepton_ai.data.fields.drawing import words_html

        return words_html(list(value), weights)


def shape_of(word: str) -> int:
    """The shape of a word as a small number, 1 to 47: capitals, digits, signs, length."""
    if word.isdigit():
        kind = 1
    elif any(c.isdigit() for c in word):
        kind = 2
    elif word.isupper():
        kind = 3
    elif word[:1].isupper():
        kind = 4
    elif word.islower():
        kind = 5
    elif any(c.isalpha() for c in word):
        kind = 6
    else:
        kind = 7
    return kind * 6 + min(len(word), 5)


def _encode(word: str, known: dict[str, int], buckets: int) -> list[int]:
    low = word.lower()
    row = [known.get(low, UNKNOWN)]
    for size in AFFIXES:
        piece = low[size:] if size < 0 else low[:size]
        whole = len(low) < abs(size)
        row.append(0 if whole else 1 + zlib.crc32(f"{size}{piece}".encode()) % (buckets - 1))
    row.append(shape_of(word))
    return row
