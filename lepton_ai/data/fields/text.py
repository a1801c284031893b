"""Text: a string in any language."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from lepton_ai.data.column import Column, Ragged, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.errors import DataError, LimitError

variants = {"text": "Text"}

# Scripts written without spaces: every character is a token of its own (Hangul stays a word).
_CHARACTERS = (
    "\u2e80-\u2fff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_TOKEN = re.compile(
    rf"[{_CHARACTERS}]|[^\W_{_CHARACTERS}]+(?:['’][^\W\d_{_CHARACTERS}]+)?|[^\w\s]|_"
)
MAX_CHARACTERS = 1_000_000
PAD, UNKNOWN = 0, 1


def spans(text: str) -> list[tuple[int, int]]:
    """Where the tokens of a text are: words, single characters of Chinese and Japanese, signs.

    Example:
        >>> [("Don't 买它!")[a:b] for a, b in spans("Don't 买它!")]
        ["Don't", '买', '它', '!']
    """
    return [match.span() for match in _TOKEN.finditer(text)]


def tokenize(text: str) -> list[str]:
    """The tokens of a text, normalised (NFKC) and lower-cased."""
    if text.isascii():
        return _TOKEN.findall(text.lower())
    return [unicodedata.normalize("NFKC", token).lower() for token in _TOKEN.findall(text)]


class Text(Field):
    """A string in any language. The encoding is a vocabulary learned on training data.

    Args:
        max_length: Tokens read of a text; ``None`` takes the backbone's wish.
        vocabulary_size: Tokens known; rarer ones are "unknown".
    """

    widget: ClassVar[str] = "text"

    def __init__(self, max_length: int | None = None, vocabulary_size: int | None = None) -> None:
        self.max_length = max_length
        self.vocabulary_size = vocabulary_size

    def read(self, values: Any) -> Column:
        column = as_column([values] if isinstance(values, str) else values)
        if isinstance(column, pa.Array) and pa.types.is_null(column.type):
            return column.cast(pa.string())
        if not isinstance(column, pa.Array) or not (
            pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        ):
            kind = getattr(column, "type", None) or type(column).__name__
            raise DataError(f"Expected a column of texts (strings); received {kind}.")
        return column.cast(pa.string())

    def check(self, values: Column) -> None:
        if not isinstance(values, pa.Array):
            raise DataError(f"Expected a column of texts; received {type(values).__name__}.")
        longest = pc.max(pc.utf8_length(values)).as_py() or 0
        if longest > MAX_CHARACTERS:
            raise LimitError(
                f"Expected texts of at most {MAX_CHARACTERS:,} characters; received {longest:,}. "
                "Split long documents first."
            )

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        ok = isinstance(values, pa.Array) and (
            pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        )
        return 0.5 if ok else 0.0

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        """Vocabulary in order of how many texts hold a token."""
        counts: Counter[str] = Counter()
        for text in column.to_pylist():
            counts.update(set(tokenize(text or "")))
        size = self.vocabulary_size or wish.get("vocabulary_size", 30_000)
        least = wish.get("min_count", 2) if len(column) > 200 else 1
        kept = sorted((t for t, n in counts.items() if n >= least), key=lambda t: (-counts[t], t))
        return {
            "vocabulary": kept[: size - 2],
            "max_length": self.max_length or wish.get("max_length", 512),
        }

    def to_tensor(self, column: Column, spec: Spec) -> Ragged:
        """Token numbers; 0 is filling, 1 unknown."""
        known = {token: index + 2 for index, token in enumerate(spec["vocabulary"])}
        most = spec["max_length"]
        lengths = np.empty(len(column), dtype=np.int64)
        numbers: list[int] = []
        for index, text in enumerate(column.to_pylist()):
            tokens = tokenize(text or "")[:most] or [""]
            lengths[index] = len(tokens)
            numbers += [known.get(token, UNKNOWN) for token in tokens]
        return Ragged(torch.tensor(numbers, dtype=torch.int64), lengths)

    def to_json(self, value: Any) -> str | None:
        return value

    def from_json(self, data: Any) -> str | None:
        if data is not None and not isinstance(data, str):
            raise DataError(f"Expected a text; received {type(data).__name__}.")
        return data

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": MAX_CHARACTERS}

    def distance(self, a: Any, b: Any) -> float:
        """Share of tokens that differ, 0 to 1."""
        first, second = tokenize(a or ""), tokenize(b or "")
        if first == second:
            return 0.0
        same = sum((Counter(first) & Counter(second)).values())
        return 1 - same / max(len(first), len(second), 1) or 1e-6

    def parts(self, value: Any) -> list[Part]:
        text = value or ""
        return [Part(text[start:stop], (start, stop)) for start, stop in spans(text)]

    def without(self, value: Any, part: Part) -> str:
        """The text with one token left out."""
        start, stop = part.place
        return f"{value[:start]}{value[stop:]}"

    def sample(self, rng: np.random.Generator) -> str:
        words = ["good", "bad", "cheap", "late", "很", "好", "差", "shoes", "arrived", "快"]
        return " ".join(rng.choice(words, size=rng.integers(3, 12)))

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        from lepton_ai.data.fields.drawing import text_html

        return text_html(value or "", weights)
