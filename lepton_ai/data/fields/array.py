"""Array: plain numbers of one shape, as Keras programs hand them over."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from lepton_ai.data.column import Column, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.errors import DataError

variants = {"array": "Array"}


class Array(Field):
    """Numbers of one shape: ``[N, *shape]``, fed to the network as they are.

    Args:
        shape: Shape of one value; ``None`` takes the data's.
        integers: Whether the values are whole numbers (token or class numbers).
    """

    widget: ClassVar[str] = "array"

    def __init__(self, shape: list[int] | None = None, integers: bool | None = None) -> None:
        self.shape = [int(size) for size in shape] if shape is not None else None
        self.integers = integers

    def read(self, values: Any) -> Column:
        column = as_column(values)
        if isinstance(column, pa.Array):
            column = column.to_numpy(zero_copy_only=False)
        if isinstance(column, Tensor):
            column = column.detach().cpu().numpy()
        if not isinstance(column, np.ndarray) or column.dtype.kind not in "uifb":
            raise DataError(
                "Expected numbers of one shape for all examples; received "
                f"{getattr(column, 'dtype', type(column).__name__)}. Pad values of differing "
                "length first, or use a Dataset with text or image fields."
            )
        return column.astype(np.float32) if column.dtype == np.float64 else column

    def is_single(self, value: Any) -> bool | None:
        return None if self.shape is None else np.ndim(value) == len(self.shape)

    def check(self, values: Column) -> None:
        array = np.asarray(values)
        if self.shape is not None and list(array.shape[1:]) != self.shape:
            raise DataError(
                f"Expected values of the shape {self.shape}; received {list(array.shape[1:])}."
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            raise DataError(
                f"Expected finite numbers; {int(bad.sum())} of {len(array)} examples hold NaN or "
                f"infinite values (first: example {int(np.flatnonzero(bad)[0])}). "
                "Remove them, or use np.nan_to_num(values)."
            )

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        numeric = isinstance(values, Tensor) or (
            isinstance(values, np.ndarray) and values.dtype.kind in "uifb"
        )
        return 0.3 if numeric else 0.0

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        array = np.asarray(column)
        if self.shape is None:
            self.shape = list(array.shape[1:])
        if self.integers is None:
            self.integers = array.dtype.kind in "uib"
        return {"shape": self.shape}

    def to_tensor(self, column: Column, spec: Spec) -> Tensor:
        """``[N, *shape]`` as it is: floats float32, whole numbers int64 (bytes stay bytes)."""
        array = np.ascontiguousarray(self.read(column))
        self.check(array)
        if array.dtype.kind in "uib" and array.dtype != np.uint8:
            array = array.astype(np.int64)
        return torch.from_numpy(array if array.flags.writeable else array.copy())

    def to_json(self, value: Any) -> Any:
        return np.asarray(value).tolist()

    def from_json(self, data: Any) -> np.ndarray:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise DataError(f"Expected nested lists of one shape; {error}.") from error
        if array.dtype.kind not in "uifb":
            raise DataError(f"Expected numbers in nested lists; received {str(data)[:40]!r}.")
        array = array.astype(np.float32 if array.dtype.kind == "f" else array.dtype)
        self.check(array[None])
        return array

    def schema(self) -> dict[str, Any]:
        inner: dict[str, Any] = {"type": "number"}
        for size in reversed(self.shape or []):
            inner = {"type": "array", "items": inner, "minItems": size, "maxItems": size}
        return inner

    def distance(self, a: Any, b: Any) -> float:
        """Largest absolute difference; infinite when the shapes differ."""
        first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        if first.shape != second.shape:
            return float("inf")
        return float(np.abs(first - second).max(initial=0.0))

    def parts(self, value: Any) -> list[Part]:
        shape = np.asarray(value).shape
        size = shape[0] if shape else 1
        return [Part(f"[{index}]", (index, index + 1)) for index in range(min(size, 1000))]

    def without(self, value: Any, part: Part) -> np.ndarray:
        array = np.array(value)
        array[slice(*part.place)] = 0
        return array

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        shape = tuple(self.shape or [4])
        if self.integers:
            return rng.integers(0, 10, shape)
        return rng.normal(size=shape).astype(np.float32)
