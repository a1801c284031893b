"""Pictures: those that cannot be read, show nothing, or are of odd size or colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from torch import Tensor

from lepton_ai.data.column import Column, Files, Items
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.fields.image import Image, as_picture, decode
from lepton_ai.errors import DataError
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject, of_all, shown

variants = {
    "unreadable_pictures": "UnreadablePictures",
    "blank_pictures": "BlankPictures",
    "odd_picture_sizes": "OddPictureSizes",
    "mixed_channels": "MixedChannels",
}

_GREY = ("1", "L", "LA", "I", "I;16", "F")


@dataclass
class Measures:
    """What is measured of each picture of a column, ``[N]`` each.

    Attributes:
        contrast: Brightest less darkest value over all channels, 0 to 255; NaN where unreadable.
        height: In pixels, 0 where unreadable.
        width: In pixels, 0 where unreadable.
        grey: Whether it has one channel only.
        faults: Row to why it cannot be read.
    """

    contrast: np.ndarray
    height: np.ndarray
    width: np.ndarray
    grey: np.ndarray
    faults: dict[int, str]


def measures(subject: Subject, name: str, column: Column) -> Measures:
    """The figures of a column of pictures, worked out once for all checks."""
    key = ("pictures", name)
    if key not in subject.kept:
        if isinstance(column, (np.ndarray, Tensor)):
            subject.kept[key] = _of_array(np.asarray(column))
        else:
            subject.kept[key] = _one_by_one(column)
    return subject.kept[key]


def _of_array(pictures: np.ndarray) -> Measures:
    count = len(pictures)
    flat = pictures.reshape(count, -1)
    finite = np.isfinite(flat).all(axis=1) if flat.dtype.kind == "f" else np.ones(count, bool)
    contrast = np.full(count, np.nan)
    layers = pictures.reshape(count, -1, 1 if pictures.ndim == 3 else pictures.shape[-1])[finite]
    spread = layers.max(axis=1).astype(np.float64) - layers.min(axis=1)
    spread = spread[:, :3].max(axis=1)  # transparency is no contrast
    if flat.dtype.kind == "f" and finite.any() and np.abs(flat[finite]).max() <= 2.0:
        spread *= 255.0  # pictures of floats run from 0 to 1
    contrast[finite] = spread
    grey = pictures.ndim == 3 or pictures.shape[-1] == 1
    return Measures(
        contrast,
        np.full(count, pictures.shape[1]),
        np.full(count, pictures.shape[2]),
        np.full(count, grey),
        {},
    )


def _one_by_one(column: Any) -> Measures:
    count = len(column)
    contrast, grey = np.full(count, np.nan), np.zeros(count, dtype=bool)
    height, width = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    faults: dict[int, str] = {}
    for index in range(count):
        try:
            value = column[index]
            value = value.as_py() if isinstance(value, pa.Scalar) else value
            if value is None:
                continue  # a missing value, which another check tells of
            named = column.paths[index] if isinstance(column, Files) else f"picture {index}"
            picture = decode(value, name=named) if isinstance(value, bytes) else as_picture(value)
            bounds = np.atleast_2d(picture.getextrema()).astype(np.float64)
        except (DataError, OSError, ValueError, TypeError) as error:
            faults[index] = str(error)
            continue
        bounds = bounds[:3]  # transparency is no contrast
        contrast[index] = float((bounds[:, 1] - bounds[:, 0]).max())
        height[index], width[index] = picture.height, picture.width
        grey[index] = picture.mode in _GREY
    return Measures(contrast, height, width, grey, faults)


class UnreadablePictures(Check):
    """Files that are no picture, are cut off, or are too large."""

    severity: ClassVar[str] = "blocks"
    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for name, _, column in subject.columns("image"):
            faults = measures(subject, name, column).faults
            if not faults:
                continue
            rows = np.array(sorted(faults))
            yield self.finding(
                subject,
                f"{of_all(len(rows), len(column))} pictures of {name!r} cannot be read "
                f"({shown(rows)}): {faults[int(rows[0])]}",
                column=name,
                rows=rows,
                fix=None if len(rows) == len(column) else "usual",
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        raw = [_encoded(rng) for _ in range(20)]
        raw[6] = raw[6][: len(raw[6]) // 2]
        raw[11] = b"no picture at all"
        return Planted(
            Dataset({"image": raw, "label": ["no", "yes"] * 10}, {"image": Image()}), [6, 11]
        )


class BlankPictures(Check):
    """Pictures of a single colour."""

    fix: ClassVar[str | None] = "drop_rows"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for name, _, column in subject.columns("image"):
            contrast = measures(subject, name, column).contrast
            rows = np.flatnonzero(contrast <= subject.policy.picture_contrast)
            if len(rows):
                yield self.finding(
                    subject,
                    f"{of_all(len(rows), len(column))} pictures of {name!r} show nothing: all of "
                    f"their pixels are alike ({shown(rows)}).",
                    column=name,
                    rows=rows,
                    fix=None if len(rows) == len(column) else "usual",
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = rng.integers(0, 255, (40, 12, 12, 3), dtype=np.uint8)
        pictures[9], pictures[14] = 0, (10, 200, 30)
        pictures[9, 0, 0] = 1
        # a picture of one colour has no contrast in any channel
        return Planted(Dataset({"image": pictures, "label": ["no", "yes"] * 20}), [9, 14])


class OddPictureSizes(Check):
    """Pictures many times larger, smaller or longer than the median."""

    severity: ClassVar[str] = "notes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        ratio = subject.policy.odd_size_ratio
        for name, _, column in subject.columns("image"):
            sizes = measures(subject, name, column)
            known = sizes.height > 0
            if known.sum() < 10:
                continue
            high, wide = (float(np.median(side[known])) for side in (sizes.height, sizes.width))
            with np.errstate(divide="ignore", invalid="ignore"):
                apart = np.maximum.reduce([
                    sizes.height / high, high / sizes.height, sizes.width / wide,
                    wide / sizes.width,
                ])  # fmt: skip
            rows = np.flatnonzero(known & (apart > ratio))
            if len(rows):
                worst = int(rows[apart[rows].argmax()])
                yield self.finding(
                    subject,
                    f"{of_all(len(rows), len(column))} pictures of {name!r} are of odd size: row "
                    f"{worst} has {sizes.width[worst]} x {sizes.height[worst]} pixels, the median "
                    f"is {wide:.0f} x {high:.0f}.",
                    column=name,
                    rows=rows,
                )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = [rng.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(20)]
        pictures[3] = rng.integers(0, 255, (100, 16, 3), dtype=np.uint8)
        return Planted(Dataset({"image": Items(pictures), "label": ["no", "yes"] * 10}), [3])


class MixedChannels(Check):
    """Grey pictures among coloured ones, or the other way round."""

    severity: ClassVar[str] = "notes"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for name, _, column in subject.columns("image"):
            sizes = measures(subject, name, column)
            known = sizes.height > 0
            grey = int((sizes.grey & known).sum())
            if not 0 < grey < known.sum():
                continue
            fewer = sizes.grey if grey <= known.sum() / 2 else ~sizes.grey
            yield self.finding(
                subject,
                f"{of_all(grey, int(known.sum()))} pictures of {name!r} are grey, the rest has "
                "colour; all are read as colour.",
                column=name,
                rows=np.flatnonzero(fewer & known),
            )

    @classmethod
    def planted(cls, rng: np.random.Generator) -> Planted:
        pictures = [rng.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(20)]
        pictures[5] = rng.integers(0, 255, (16, 16), dtype=np.uint8)
        return Planted(Dataset({"image": Items(pictures), "label": ["no", "yes"] * 10}), [5])


def _encoded(rng: np.random.Generator) -> bytes:
    import io

    from PIL import Image as Pillow

    buffer = io.BytesIO()
    pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
