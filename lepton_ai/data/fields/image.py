"""Image: a picture, grey or colour, of one size or of many."""

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

from lepton_ai.data.column import Column, Files, Items, Ragged, as_column
from lepton_ai.data.field import Field, Part, Spec
from lepton_ai.data.picture import (
    as_picture,
    decode,
    decode_smaller,
    flatten_alpha,
    raw_is_jpeg,
    sniff,
)
from lepton_ai.errors import DataError

variants = {"image": "Image"}

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


class Image(Field):
    """A picture, ``[height, width, channels]`` of bytes (0 to 255).

    A column of pictures is a ``uint8`` array ``[N, H, W, C]`` (``[N, H, W]`` when grey), or
    encoded bytes, or files, or decoded pictures of several sizes.

    Args:
        channels: 1 (grey) or 3 (colour); ``None`` takes what the training data has.
        size: ``[height, width]`` that the network shall see; ``None`` lets it be learned.
        patches: Rows and columns into which an explanation cuts the picture.
    """

    widget: ClassVar[str] = "image"
    plane: ClassVar[str] = "picture"

    def __init__(
        self, channels: int | None = None, size: list[int] | None = None, patches: int = 7
    ) -> None:
        if channels not in (None, 1, 3):
            raise DataError(f"Expected 1 (grey) or 3 (colour) channels; received {channels}.")
        self.channels = channels
        self.size = list(size) if size else None
        self.patches = patches

    def read(self, values: Any) -> Column:
        if isinstance(values, (list, tuple)) and values and isinstance(values[0], str):
            return Files(list(values))
        if isinstance(values, (list, tuple)) and values and isinstance(values[0], Pillow.Image):
            values = [np.asarray(value) for value in values]
        column = as_column(values)
        if isinstance(column, pa.Array) and pa.types.is_string(column.type):
            return Files(column.to_pylist())
        return column

    def is_single(self, value: Any) -> bool | None:
        if isinstance(value, (np.ndarray, Tensor)):
            return value.ndim == 2 or (value.ndim == 3 and value.shape[-1] in (1, 3, 4))
        return isinstance(value, (str, bytes, Pillow.Image))

    def check(self, values: Column) -> None:
        if isinstance(values, Ragged):
            raise DataError("Expected pictures; received lists of differing length.")
        if isinstance(values, (np.ndarray, Tensor)):
            array = np.asarray(values)
            if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in (1, 3, 4)):
                raise DataError(
                    "Expected pictures as an array [N, height, width, channels] with 1 or 3 "
                    f"channels, or [N, height, width]; received the shape {list(array.shape)}."
                    + _channels_first_hint(array)
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                bad = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
                raise DataError(
                    f"Expected finite pixel values; {bad} of {len(array)} pictures hold NaN or "
                    "infinite values. Remove them, or use np.nan_to_num(pictures)."
                )
            if array.dtype.kind not in "uif":
                raise DataError(f"Expected pixels as numbers; received {array.dtype}.")

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        if isinstance(values, (np.ndarray, Tensor)):
            shape = tuple(values.shape)
            if len(shape) == 4 and shape[-1] in (1, 3, 4):
                return 0.9
            byte = str(values.dtype).endswith("uint8")
            return 0.8 if len(shape) == 3 and byte and min(shape[1:]) >= 8 else 0.0
        if isinstance(values, Files):
            return 0.9 if str(values.paths[0]).lower().endswith(_ENDINGS) else 0.0
        if isinstance(values, pa.Array) and len(values):
            if pa.types.is_binary(values.type):
                head = values.drop_null()
                return 0.9 if len(head) and sniff(head[0].as_py()) else 0.0
            if pa.types.is_string(values.type):
                head = [v for v in values[:20].to_pylist() if v]
                return 0.85 if head and all(v.lower().endswith(_ENDINGS) for v in head) else 0.0
        if isinstance(values, Items) and len(values):
            first = values[0]
            ok = isinstance(first, np.ndarray) and first.dtype == np.uint8 and first.ndim in (2, 3)
            return 0.9 if ok else 0.0
        return 0.0

    # -- encoding --------------------------------------------------------------------------

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        """Size, channels, mean and deviation, from at most 2,000 training pictures."""
        sizes, channels = self._survey(column)
        size = self.size or wish.get("size") or _usual_size(sizes, wish.get("largest", 128))
        spec: Spec = {
            "size": list(size),
            "channels": self.channels or wish.get("channels") or channels,
            "scale": _scale(column),
            "normalize": wish.get("normalize", "all"),
        }
        if "mean" in wish:
            return {**spec, "mean": list(wish["mean"]), "deviation": list(wish["deviation"])}
        some = np.linspace(0, len(column) - 1, min(len(column), 2000)).astype(int)
        from lepton_ai.data.column import take

        pixels = self.to_tensor(take(column, some), spec).float() * spec["scale"]
        spec["mean"] = [round(v, 6) for v in pixels.mean(dim=(0, 2, 3)).tolist()]
        deviation = pixels.std(dim=(0, 2, 3)).clamp_min(1e-3)
        spec["deviation"] = [round(v, 6) for v in deviation.tolist()]
        return spec

    def _survey(self, column: Column) -> tuple[list[tuple[int, int]], int]:
        if isinstance(column, (np.ndarray, Tensor)):
            deep = 1 if column.ndim == 3 else int(column.shape[-1])
            return [(int(column.shape[1]), int(column.shape[2]))], 1 if deep == 1 else 3
        some = np.unique(np.linspace(0, len(column) - 1, min(len(column), 200)).astype(int))
        pictures = [_open(column, int(index)) for index in some]
        grey = all(picture.mode in ("1", "L", "I;16", "I", "F", "LA") for picture in pictures)
        return [(picture.height, picture.width) for picture in pictures], 1 if grey else 3

    def to_tensor(self, column: Column, spec: Spec) -> Tensor:
        """``[N, channels, height, width]``: bytes stay bytes, floats stay floats."""
        height, width = spec["size"]
        channels = spec["channels"]
        if isinstance(column, (np.ndarray, Tensor)) and len(column):
            self.check(column)
            return _fit_array(np.asarray(column), height, width, channels)
        out = torch.empty((len(column), channels, height, width), dtype=torch.uint8)
        mode = "L" if channels == 1 else "RGB"
        for index in range(len(column)):
            picture = _open(column, index, target=(height, width))
            out[index] = _pixels(picture, mode, height, width)
        return out

    def companions(self, column: Column, spec: Spec) -> dict[str, Tensor]:
        """``size``: the height and width of each picture before it was resized, ``[N, 2]``."""
        if isinstance(column, (np.ndarray, Tensor)):
            size = torch.tensor([int(column.shape[1]), int(column.shape[2])])
            return {"size": size.expand(len(column), 2).contiguous()}
        sizes = []
        for index in range(len(column)):
            picture = _open(column, index)
            sizes.append((picture.height, picture.width))
        return {"size": torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2)}

    def prepare(self, encoded: Tensor, spec: Spec) -> Tensor:
        """Floats with mean 0 and deviation 1 over the training data, or over each picture."""
        if spec.get("normalize") == "each":
            pixels = encoded.float()
            deviation, mean = torch.std_mean(pixels, dim=(1, 2, 3), keepdim=True)
            return (pixels - mean) / (deviation + 8 * (1 / 255) / float(spec["scale"]))
        scale = float(spec["scale"])
        mean = torch.tensor(spec["mean"], device=encoded.device).view(1, -1, 1, 1)
        deviation = torch.tensor(spec["deviation"], device=encoded.device).view(1, -1, 1, 1)
        return encoded.float() * (scale / deviation) - mean / deviation

    # -- JSON ------------------------------------------------------------------------------

    def to_json(self, value: Any) -> str:
        """PNG as base64 text."""
        buffer = io.BytesIO()
        as_picture(value).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    def from_json(self, data: Any) -> np.ndarray:
        """From base64 of a picture file, or nested lists of pixels."""
        if isinstance(data, str):
            try:
                raw = base64.b64decode(data.split(",", 1)[-1], validate=True)
            except (binascii.Error, ValueError) as error:
                raise DataError(
                    "Expected a picture as base64 text; it cannot be decoded."
                ) from error
            return np.asarray(flatten_alpha(decode(raw)))
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise DataError(f"Expected rows of pixels of one length; {error}.") from error
        if array.ndim not in (2, 3) or array.dtype.kind not in "uif":
            raise DataError(
                "Expected a picture as base64 text of a PNG or JPEG file, or as numbers "
                f"[height][width][channels]; received {type(data).__name__}."
            )
        if array.dtype.kind != "f" and array.min() >= 0 and array.max() <= 255:
            array = array.astype(np.uint8)
        self.check(array[None])
        return array

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
            "description": "A PNG, JPEG, WEBP, BMP, GIF or TIFF file as base64 text.",
        }

    # -- comparing, explaining, showing ------------------------------------------------------

    def distance(self, a: Any, b: Any) -> float:
        """Mean absolute difference of the pixels, 0 to 1; 1 when the sizes differ."""
        first, second = np.asarray(as_picture(a)), np.asarray(as_picture(b))
        if first.shape != second.shape:
            return 1.0
        return float(np.abs(first.astype(float) - second.astype(float)).mean() / 255)

    def parts(self, value: Any) -> list[Part]:
        picture = as_picture(value)
        height, width = picture.height, picture.width
        rows = np.linspace(0, height, min(self.patches, height) + 1).astype(int)
        columns = np.linspace(0, width, min(self.patches, width) + 1).astype(int)
        return [
            Part(f"row {r + 1}, column {c + 1}", (int(t), int(x), int(b - t), int(y - x)))
            for r, (t, b) in enumerate(zip(rows[:-1], rows[1:], strict=True))
            for c, (x, y) in enumerate(zip(columns[:-1], columns[1:], strict=True))
        ]

    def without(self, value: Any, part: Part) -> np.ndarray:
        """The picture with one patch in its own mean colour."""
        array = np.array(value if isinstance(value, np.ndarray) else as_picture(value))
        top, left, height, width = part.place
        array[top : top + height, left : left + width] = array.mean(axis=(0, 1)).astype(array.dtype)
        return array

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        height, width = self.size or (32, 32)
        shape = (height, width) if self.channels == 1 else (height, width, 3)
        return rng.integers(0, 256, shape, dtype=np.uint8)

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        from lepton_ai.data.fields.drawing import picture_html

        return picture_html(as_picture(value), weights)


def _open(column: Column, index: int, target: tuple[int, int] | None = None) -> Pillow.Image:
    value = column[index]
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if isinstance(value, (bytes, bytearray)):
        name = column.paths[index] if isinstance(column, Files) else f"picture {index}"
        if target is not None and raw_is_jpeg(value):
            return decode_smaller(bytes(value), target, name)
        return decode(bytes(value), name=name)
    return as_picture(value)


def _pixels(picture: Pillow.Image, mode: str, height: int, width: int) -> Tensor:
    solid = flatten_alpha(picture)
    if solid.mode != mode:
        solid = solid.convert(mode)
    if (solid.height, solid.width) != (height, width):
        solid = solid.resize((width, height), Pillow.Resampling.BILINEAR)
    array = np.array(solid)
    return torch.from_numpy(array[None] if mode == "L" else array.transpose(2, 0, 1))


def _fit_array(array: np.ndarray, height: int, width: int, channels: int) -> Tensor:
    if array.ndim == 3:
        array = array[..., None]
    if array.shape[-1] == 4:
        array = array[..., :3]
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    elif array.dtype.kind in "ui" and array.dtype != np.uint8:
        array = array.astype(np.uint8 if array.min() >= 0 and array.max() <= 255 else np.float32)
    array = np.ascontiguousarray(array)
    pixels = torch.from_numpy(array if array.flags.writeable else array.copy()).permute(0, 3, 1, 2)
    if pixels.shape[1] != channels:
        if channels == 1:
            grey = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
            pixels = (pixels.float() * grey).sum(1, keepdim=True).to(pixels.dtype)
        else:
            pixels = pixels.expand(-1, channels, -1, -1)
    if tuple(pixels.shape[2:]) != (height, width):
        resized = torch.nn.functional.interpolate(
            pixels.float(), (height, width), mode="bilinear", antialias=True
        )
        pixels = resized.round().to(pixels.dtype) if pixels.dtype == torch.uint8 else resized
    return pixels.contiguous()


def _scale(column: Column) -> float:
    if isinstance(column, (np.ndarray, Tensor)):
        array = np.asarray(column)
        if array.dtype.kind == "f" and array.size and float(np.abs(array[:1000]).max()) <= 2.0:
            return 1.0
    return 1 / 255


def _usual_size(sizes: list[tuple[int, int]], largest: int) -> tuple[int, int]:
    """One size as it is; of many the median, square when they differ in shape; at most largest."""
    if len(set(sizes)) == 1:
        height, width = sizes[0]
    else:
        height = width = int(np.median([min(size) for size in sizes]))
    shrink = min(1.0, largest / max(height, width))
    return max(8, round(height * shrink)), max(8, round(width * shrink))


def _channels_first_hint(array: np.ndarray) -> str:
    if array.ndim == 4 and array.shape[1] in (1, 3):
        return " These look channels-first: use pictures.transpose(0, 2, 3, 1)."
    return ""
