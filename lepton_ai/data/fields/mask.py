"""Mask: one class for each pixel of a picture."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from PIL import Image as Pillow
from torch import Tensor

from lepton_ai.data.column import Column, Files, Items, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.data.fields.image import decode
from lepton_ai.errors import DataError

variants = {"mask": "Mask"}


class Mask(Field):
    """One class for each pixel: ``[height, width]`` of class numbers.

    A column of masks is a ``uint8`` array ``[N, H, W]``, masks of several sizes, or PNG files. In
    files of two classes every value above half of the range is class 1, so black and white will do.

    Args:
        classes: Names of the classes in the order of their numbers.
    """

    widget: ClassVar[str] = "mask"
    plane: ClassVar[str] = "mask"

    def __init__(self, classes: list[str] | None = None) -> None:
        self.classes = [str(name) for name in classes] if classes else ["background", "object"]

    def read(self, values: Any) -> Column:
        if isinstance(values, (list, tuple)) and values and isinstance(values[0], str):
            return Files(list(values))
        return as_column(values)

    def check(self, values: Column) -> None:
        if isinstance(values, (np.ndarray, Tensor)):
            array = np.asarray(values)
            if array.ndim != 3 or array.dtype.kind not in "uib":
                raise DataError(
                    "Expected masks as whole numbers [N, height, width]; received "
                    f"{array.dtype} of the shape {list(array.shape)}."
                )
            if array.size and int(array.max()) >= len(self.classes) and not self._two_tone(array):
                raise DataError(
                    f"Expected class numbers from 0 to {len(self.classes) - 1}; received "
                    f"{int(array.max())}. Type: Mask(classes=[...]) with a name for each."
                )

    def _two_tone(self, array: np.ndarray) -> bool:
        return len(self.classes) == 2 and array.dtype == np.uint8

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if "mask" not in name.lower() and "segment" not in name.lower():
            return 0.0
        if isinstance(values, np.ndarray) and values.ndim == 3 and values.dtype.kind in "uib":
            return 0.95
        if isinstance(values, Items) and np.ndim(values[0]) == 2:
            return 0.95
        return 0.95 if isinstance(values, Files) or _binary(values) else 0.0

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        return {"classes": self.classes}

    def array(self, value: Any) -> np.ndarray:
        """One mask as ``[height, width]`` class numbers."""
        if isinstance(value, pa.Scalar):
            value = value.as_py()
        if isinstance(value, (bytes, bytearray)):
            picture = decode(bytes(value), name="the mask")
            if len(self.classes) == 2:
                return (np.asarray(picture.convert("L")) > 127).astype(np.uint8)
            value = np.asarray(picture if picture.mode in ("L", "P") else picture.convert("L"))
        array = np.asarray(value)
        if array.ndim != 2:
            raise DataError(f"Expected a mask [height, width]; received {list(array.shape)}.")
        if len(self.classes) == 2 and array.dtype == np.uint8 and array.max(initial=0) > 1:
            return (array > 127).astype(np.uint8)
        if array.max(initial=0) >= len(self.classes):
            raise DataError(
                f"Expected class numbers from 0 to {len(self.classes) - 1}; received "
                f"{int(array.max())}."
            )
        return array.astype(np.uint8)

    def to_tensor(self, column: Column, spec: Spec) -> Tensor:
        """``[N, height, width]`` bytes of the size in ``spec``; by default of the first mask."""
        size = spec.get("size") or self.array(column[0]).shape
        out = torch.empty((len(column), *size), dtype=torch.uint8)
        for index in range(len(column)):
            array = self.array(column[index])
            if array.shape != tuple(size):
                array = resize_mask(array, tuple(size), len(self.classes))
            out[index] = torch.from_numpy(np.array(array))
        return out

    def comparable(self, column: Column) -> Tensor:
        flat = [self.array(column[index]).reshape(-1) for index in range(len(column))]
        return torch.from_numpy(np.concatenate(flat).astype(np.int64))

    def to_json(self, value: Any) -> str:
        """PNG of class numbers as base64 text."""
        buffer = io.BytesIO()
        Pillow.fromarray(self.array(value)).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    def from_json(self, data: Any) -> np.ndarray:
        if isinstance(data, str):
            try:
                picture = decode(base64.b64decode(data, validate=True), name="the mask")
            except (binascii.Error, ValueError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError("Expected a mask as base64 text of a PNG file.") from error
            return np.array(picture if picture.mode in ("L", "P") else picture.convert("L"))
        try:
            return self.array(np.asarray(data, dtype=np.uint8))
        except (ValueError, OverflowError, TypeError) as error:
            raise DataError("Expected a mask as base64 PNG or rows of class numbers.") from error

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
            "description": f"Class numbers by pixel: {', '.join(self.classes)}.",
        }

    def distance(self, a: Any, b: Any) -> float:
        """Share of pixels whose class differs; 1 when the sizes differ."""
        first, second = self.array(a), self.array(b)
        if first.shape != second.shape:
            return 1.0
        return float((first != second).mean())

    def parts(self, value: Any) -> list[Part]:
        present = np.unique(self.array(value))
        return [Part(self.classes[int(c)], (int(c),)) for c in present]

    def without(self, value: Any, part: Part) -> np.ndarray:
        array = self.array(value).copy()
        array[array == part.place[0]] = 0
        return array

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        mask = np.zeros((32, 32), dtype=np.uint8)
        top, left = rng.integers(2, 16, size=2)
        mask[top : top + 12, left : left + 12] = rng.integers(1, len(self.classes))
        return mask

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        from lepton_ai.data.fields.drawing import mask_html

        return mask_html(self.array(value), self.classes)


def resize_mask(array: np.ndarray, size: tuple[int, int], classes: int) -> np.ndarray:
    """A mask in another size: of two classes by area, so thin things stay; else the nearest."""
    if classes == 2:
        shares = Pillow.fromarray((array * 255).astype(np.uint8))
        scaled = shares.resize((size[1], size[0]), Pillow.Resampling.BOX)
        return (np.asarray(scaled) > 110).astype(np.uint8)
    picture = Pillow.fromarray(array).resize((size[1], size[0]), Pillow.Resampling.NEAREST)
    return np.asarray(picture)


def _binary(values: Column) -> bool:
    return isinstance(values, pa.Array) and pa.types.is_binary(values.type)
