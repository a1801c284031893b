"""Pictures from the bytes of files, within limits, and from arrays."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from lepton_ai.errors import DataError, LimitError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000


def sniff(raw: bytes) -> bool:
    """Whether bytes begin like one of the picture formats that are read."""
    return raw[:3] == b"\xff\xd8\xff" or raw[:4] in (
        b"\x89PNG", b"GIF8", b"RIFF", b"II*\x00", b"MM\x00*",
    ) or raw[:2] in (b"BM", b"P5", b"P6")  # fmt: skip


def decode(raw: bytes, *, name: str = "the picture") -> Pillow.Image:
    """A picture from the bytes of a file, within limits.

    Raises:
        LimitError: More pixels than 64 million.
        DataError: Not a picture, of a format that is not read, or truncated.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            picture = Pillow.open(io.BytesIO(raw), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise LimitError(
                f"Expected at most {MAX_PIXELS:,} pixels; {name} has {picture.width:,} x "
                f"{picture.height:,}. Resize it first."
            )
        picture.load()
        return picture
    except (Pillow.DecompressionBombWarning, Pillow.DecompressionBombError) as error:
        raise LimitError(f"Expected at most {MAX_PIXELS:,} pixels; {name}: {error}") from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"Expected a picture file ({', '.join(FORMATS)}); {name} is none of these."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Expected a whole picture file; {name} cannot be read: {error}."
        ) from error


def as_picture(value: Any) -> Pillow.Image:
    """A Pillow picture from an array (bytes, or floats of 0 to 1), bytes of a file, or one."""
    if isinstance(value, Pillow.Image):
        return value
    if isinstance(value, (bytes, bytearray)):
        return decode(bytes(value))
    array = np.asarray(value)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8:
        top = 255 if array.dtype.kind == "f" and array.size and array.max() <= 1.0 else 1
        array = np.clip(array * top, 0, 255).astype(np.uint8)
    return Pillow.fromarray(array)


def flatten_alpha(picture: Pillow.Image) -> Pillow.Image:
    """The picture in grey or colour; transparency is laid on white, palettes are resolved."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        solid = picture.convert("RGBA")
        ground = Pillow.new("RGBA", solid.size, "white")
        return Pillow.alpha_composite(ground, solid).convert("RGB")
    if picture.mode in ("I", "I;16", "F"):
        array = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if array.max() > 255 else 255.0
        return Pillow.fromarray((np.clip(array / top, 0, 1) * 255).astype(np.uint8))
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def raw_is_jpeg(raw: bytes) -> bool:
    """Whether bytes begin like a JPEG file."""
    return raw[:3] == b"\xff\xd8\xff"


def decode_smaller(raw: bytes, target: tuple[int, int], name: str) -> Pillow.Image:
    """A JPEG decoded at the smallest scale that is still larger than the target."""
    try:
        picture = Pillow.open(io.BytesIO(raw), formats=("JPEG",))
        if picture.width * picture.height <= MAX_PIXELS:
            picture.draft(None, (2 * target[1], 2 * target[0]))
            picture.load()
            return picture
    except (OSError, SyntaxError, ValueError):
        pass  # decode() below finds the same fault and words it
    return decode(raw, name=name)
