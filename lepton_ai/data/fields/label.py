"""Label: one class out of several; also a categorical column of a table."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from lepton_ai.data.column import Column, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.errors import DataError, NotReadyError
from lepton_ai.registry import near_miss

variants = {"label": "Label"}


class Label(Field):
    """One class out of several, by name.

    A column of labels is an arrow array of strings. Numbers and truth values become their text.

    Args:
        classes: Names in the order of their numbers; ``None`` learns them from training data.
        open: Whether classes never met in training are borne (in inputs they count as unknown).
    """

    widget: ClassVar[str] = "choice"

    def __init__(self, classes: list[str] | None = None, open: bool = False) -> None:  # noqa: A002
        self.classes = [str(name) for name in classes] if classes is not None else None
        self.open = open

    @property
    def known(self) -> list[str]:
        """The classes.

        Raises:
            NotReadyError: They are not known yet.
        """
        if self.classes is None:
            raise NotReadyError(
                "Expected a label whose classes are known; it has not met training data. "
                "Type: Label(['cat', 'dog'])."
            )
        return self.classes

    def read(self, values: Any) -> Column:
        column = as_column(values)
        if isinstance(column, Tensor):
            column = column.numpy()
        if isinstance(column, np.ndarray):
            if column.ndim == 2 and column.shape[1] == 1:
                column = column[:, 0]
            if column.ndim != 1:
                raise DataError(
                    "Expected one class for each example, [N]; received the shape "
                    f"{list(column.shape)}. For one-hot rows use values.argmax(axis=1)."
                )
            column = pa.array(column, from_pandas=True)
        if not isinstance(column, pa.Array):
            raise DataError(
                f"Expected one class for each example; received {type(column).__name__}."
            )
        return self._named(column)

    def _named(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if pa.types.is_dictionary(kind):
            return self._named(column.dictionary_decode())
        if pa.types.is_string(kind):
            return column
        if pa.types.is_floating(kind):
            whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
            column = column.cast(pa.int64()) if whole is not False else column
        if pa.types.is_integer(column.type) and self.classes and not _numeric(self.classes):
            return self._by_number(column)
        return column.cast(pa.string())

    def _by_number(self, column: pa.Array) -> pa.Array:
        low, high = pc.min_max(column).as_py().values()
        if low is not None and (low < 0 or high >= len(self.known)):
            raise DataError(
                f"Expected class numbers from 0 to {len(self.known) - 1} (the classes are "
                f"{', '.join(self.known[:10])}); received {low if low < 0 else high}."
            )
        return pa.array(self.known, pa.string()).take(column)

    def check(self, values: Column) -> None:
        if not isinstance(values, pa.Array):
            raise DataError(f"Expected a column of classes; received {type(values).__name__}.")
        if self.classes is None or self.open:
            return
        outside = pc.and_(pc.invert(pc.is_in(values, pa.array(self.classes, pa.string()))),
                          pc.is_valid(values))  # fmt: skip
        if pc.any(outside).as_py():
            strange = values.filter(outside)
            raise DataError(
                f"Expected one of the classes {', '.join(self.classes[:20])}; received "
                f"{strange[0].as_py()!r} ({len(strange)} of {len(values)} values are outside)."
                f"{near_miss(strange[0].as_py(), self.classes)}"
            )

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iub":
            values = pa.array(values)
        if not isinstance(values, pa.Array) or not len(values):
            return 0.0
        kind = values.type
        if pa.types.is_boolean(kind) or pa.types.is_dictionary(kind):
            return 0.95
        distinct = pc.count_distinct(values).as_py()
        if pa.types.is_integer(kind):
            named = name.lower() in ("label", "class", "target", "y", "category")
            return 0.9 if named and distinct <= max(20, len(values) ** 0.5) else 0.0
        if not pa.types.is_string(kind):
            return 0.0
        length = pc.mean(pc.utf8_length(values)).as_py() or 0
        few = distinct <= max(20, 0.1 * len(values)) and distinct <= 1000
        return 0.8 if few and length <= 40 and distinct < len(values) + (len(values) < 3) else 0.1

    def adapt(self, column: Column) -> None:
        """Take the classes from training data, in natural order, unless they were given."""
        if self.classes is None:
            found = pc.unique(column.drop_null()).to_pylist()
            if len(found) < 2:
                raise DataError(
                    f"Expected at least two classes to learn from; received {found[0]!r} only."
                    if found
                    else "Expected classes; every value is missing."
                )
            self.classes = sorted(found, key=_natural)

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        self.adapt(column)
        return {"classes": self.classes}

    def to_tensor(self, column: Column, spec: Spec) -> Tensor:
        """``[N]`` int64 class numbers; missing and (as an input) unknown ones are -1."""
        classes = pa.array(spec.get("classes") or self.known, pa.string())
        numbers = pc.fill_null(pc.index_in(self._named(column), classes), -1)
        return torch.from_numpy(numbers.to_numpy(zero_copy_only=False).astype(np.int64))

    def names(self, numbers: Tensor | np.ndarray) -> pa.Array:
        """The names of class numbers, ``[N]``."""
        return pa.array(self.classes, pa.string()).take(pa.array(np.asarray(numbers)))

    def to_json(self, value: Any) -> str | None:
        return None if value is None else str(value)

    def from_json(self, data: Any) -> str | None:
        if data is None:
            return None
        if isinstance(data, bool) or not isinstance(data, (str, int, float)):
            if isinstance(data, bool):
                return "true" if data else "false"
            raise DataError(f"Expected a class as text; received {type(data).__name__}.")
        return str(int(data)) if isinstance(data, float) and data.is_integer() else str(data)

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string"}
        if self.classes:
            schema["enum"] = list(self.classes)
        return schema

    def distance(self, a: Any, b: Any) -> float:
        return 0.0 if self.to_json(a) == self.to_json(b) else 1.0

    def parts(self, value: Any) -> list[Part]:
        return [Part(str(value))]

    def without(self, value: Any, part: Part) -> None:
        """A missing class."""
        return

    def sample(self, rng: np.random.Generator) -> str:
        return str(rng.choice(self.classes or ["no", "yes"]))


def _numeric(classes: list[str]) -> bool:
    return all(name.lstrip("-").isdigit() for name in classes)


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)
