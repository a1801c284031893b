"""Tags: one class for each word of a sentence."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lepton_ai.data.column import Column, Ragged, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.data.fields.label import Label
from lepton_ai.errors import DataError

variants = {"tags": "Tags"}


class Tags(Field):
    """One class for each word; a column of them is :class:`Ragged` strings.

    Args:
        classes: Names of the tags; ``None`` learns them from training data.
    """

    widget: ClassVar[str] = "tags"

    def __init__(self, classes: list[str] | None = None) -> None:
        self.classes = [str(name) for name in classes] if classes is not None else None

    def read(self, values: Any) -> Column:
        if isinstance(values, Ragged):
            return values
        if isinstance(values, (list, tuple)):
            return Ragged.of([list(value) for value in values])
        column = as_column(values)
        if isinstance(column, pa.Array) and pa.types.is_list(column.type):
            return Ragged.of(column.to_pylist())
        if not isinstance(column, Ragged):
            raise DataError(
                f"Expected lists of tags, one for each example; received {type(column).__name__}."
            )
        return column

    def check(self, values: Column) -> None:
        if not isinstance(values, Ragged):
            raise DataError(f"Expected lists of tags; received {type(values).__name__}.")
        if self.classes is not None:
            Label(self.classes).check(values.values)

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if "tag" not in name.lower() and name.lower() not in ("pos", "ner", "labels"):
            return 0.0
        if isinstance(values, pa.Array) and pa.types.is_list(values.type):
            return 0.9 if pa.types.is_string(values.type.value_type) else 0.0
        strings = isinstance(values, Ragged) and isinstance(values.values, pa.Array)
        return 0.9 if strings else 0.0

    def adapt(self, column: Column) -> None:
        """Take the classes from training data unless they were given."""
        if self.classes is None:
            self.classes = sorted(pc.unique(column.values.drop_null()).to_pylist())
            if len(self.classes) < 2:
                raise DataError(
                    f"Expected at least two tags to learn from; received {self.classes}."
                )

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        self.adapt(column)
        return {"classes": self.classes}

    def to_tensor(self, column: Column, spec: Spec) -> Ragged:
        """Tag numbers; unknown ones are -1."""
        classes = pa.array(spec.get("classes") or self.classes, pa.string())
        numbers = pc.fill_null(pc.index_in(column.values, classes), -1)
        encoded = numbers.to_numpy(zero_copy_only=False).astype(np.int64)
        return Ragged(torch.from_numpy(encoded), column.lengths)

    def fill(self) -> float:
        return -1

    def names(self, numbers: Tensor | np.ndarray) -> pa.Array:
        """The names of tag numbers."""
        return pa.array(self.classes, pa.string()).take(pa.array(np.asarray(numbers)))

    def to_json(self, value: Any) -> list[str]:
        return list(value)

    def from_json(self, data: Any) -> list[str]:
        if not isinstance(data, list) or not all(isinstance(tag, str) for tag in data):
            raise DataError('Expected a list of tags, such as ["PRON", "VERB"].')
        return data

    def schema(self) -> dict[str, Any]:
        tag: dict[str, Any] = {"type": "string"}
        if self.classes:
            tag["enum"] = list(self.classes)
        return {"type": "array", "items": tag}

    def distance(self, a: Any, b: Any) -> float:
        """Share of places with different tags; 1 when the lengths differ."""
        if len(a) != len(b):
            return 1.0
        return sum(x != y for x, y in zip(a, b, strict=True)) / max(len(a), 1)

    def parts(self, value: Any) -> list[Part]:
        return [Part(tag, (index, index + 1)) for index, tag in enumerate(value)]

    def without(self, value: Any, part: Part) -> list[str]:
        tags = list(value)
        del tags[part.place[0]]
        return tags

    def sample(self, rng: np.random.Generator) -> list[str]:
        return [str(t) for t in rng.choice(self.classes or ["NOUN", "VERB"], rng.integers(3, 9))]

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        from lepton_ai.data.fields.drawing import words_html

        return words_html(list(value), weights)
