"""Number: a quantity; a column of a table, or what a regression predicts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lepton_ai.data.column import Column, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.errors import DataError

variants = {"number": "Number"}


class Number(Field):
    """A quantity. Missing values are allowed in inputs; infinite ones never are.

    Args:
        unit: What it is measured in, for people.
        usual: The value that stands for "not known" in explanations; learned when ``None``.
    """

    widget: ClassVar[str] = "number"

    def __init__(self, unit: str | None = None, usual: float | None = None) -> None:
        self.unit = unit
        self.usual = usual

    def read(self, values: Any) -> Column:
        column = as_column(values)
        if isinstance(column, Tensor):
            column = column.numpy()
        if isinstance(column, pa.Array):
            try:
                column = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise DataError(f"Expected a column of numbers; {error}.") from error
        if not isinstance(column, np.ndarray) or column.dtype.kind not in "uifb":
            raise DataError(f"Expected a column of numbers; received {type(column).__name__}.")
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        if column.ndim != 1:
            raise DataError(
                "Expected one number for each example, [N]; received the shape "
                f"{list(column.shape)}."
            )
        return column.astype(np.float64)

    def check(self, values: Column) -> None:
        if isinstance(values, pa.Array):
            values = self.read(values)
        array = np.asarray(values)
        infinite = np.flatnonzero(np.isinf(array))
        if len(infinite):
            raise DataError(
                f"Expected finite numbers; {len(infinite)} of {len(array)} are infinite (first in "
                f"example {infinite[0]}). Replace them with None where they are not known."
            )

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if isinstance(values, np.ndarray):
            return 0.7 if values.ndim == 1 and values.dtype.kind in "uif" else 0.0
        if isinstance(values, Tensor):
            return 0.7 if values.ndim == 1 else 0.0
        if isinstance(values, pa.Array):
            kind = values.type
            numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            return 0.7 if numeric or pa.types.is_decimal(kind) else 0.0
        return 0.0

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        """Median, mean and deviation of the training data."""
        array = np.asarray(self.read(column), dtype=np.float64)
        known = array[np.isfinite(array)]
        if not len(known):
            return {"mean": 0.0, "deviation": 1.0, "median": 0.0, "missing": True}
        return {
            "mean": float(known.mean()),
            "deviation": float(known.std()) or 1.0,
            "median": float(np.median(known)),
            "missing": bool(len(known) < len(array)),
        }

    def to_tensor(self, column: Column, spec: Spec) -> Tensor:
        """``[N]`` float32 in deviations from the mean; missing values are NaN."""
        array = np.asarray(self.read(column), dtype=np.float64)
        self.check(array)
        scaled = (array - spec.get("mean", 0.0)) / spec.get("deviation", 1.0)
        return torch.from_numpy(scaled.astype(np.float32))

    def restore(self, scaled: Tensor, spec: Spec) -> np.ndarray:
        """The way back from :meth:`to_tensor`."""
        numbers = scaled.detach().double().cpu().numpy()
        return numbers * spec.get("deviation", 1.0) + spec.get("mean", 0.0)

    def prepare(self, encoded: Tensor, spec: Spec) -> Tensor:
        return encoded

    def to_json(self, value: Any) -> float | None:
        if value is None or not math.isfinite(float(value)):
            return None
        return float(value)

    def from_json(self, data: Any) -> float:
        if data is None:
            return math.nan
        if isinstance(data, bool) or not isinstance(data, (int, float, str)):
            raise DataError(f"Expected a number or null; received {type(data).__name__}.")
        try:
            number = float(data)
        except (ValueError, OverflowError) as error:
            raise DataError(f"Expected a number or null; received {str(data)[:40]!r}.") from error
        if math.isinf(number) or (isinstance(data, str) and math.isnan(number)):
            raise DataError(f"Expected a finite number or null; received {str(data)[:40]!r}.")
        return number

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": ["number", "null"]}
        if self.unit:
            schema["description"] = f"in {self.unit}"
        return schema

    def distance(self, a: Any, b: Any) -> float:
        """Relative difference: |a - b| / max(1, |a|, |b|); 0 when both are missing."""
        first, second = self.to_json(a), self.to_json(b)
        if first is None or second is None:
            return 0.0 if first is second else 1.0
        return abs(first - second) / max(1.0, abs(first), abs(second))

    def parts(self, value: Any) -> list[Part]:
        return [Part(f"{value:g}" if isinstance(value, (int, float)) else str(value))]

    def without(self, value: Any, part: Part) -> float:
        """What is usual, or a missing value when nothing is known of it."""
        return math.nan if self.usual is None else self.usual

    def sample(self, rng: np.random.Generator) -> float:
        return round(float(rng.normal()), 3)
