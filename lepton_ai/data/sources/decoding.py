"""Pictures looked through before they are used: the unreadable are found now, not in training."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from lepton_ai.data.picture import FORMATS, MAX_PIXELS

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_FRAMES = 1000


@contextmanager
def bombs_refused() -> Generator[None]:
    """Let Pillow refuse huge pictures; set once around threads, as filters are not per thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Pillow.DecompressionBombWarning)
        yield


def fault(raw: bytes) -> str | None:
    """Why a picture cannot be used, ``None`` when it can: its head and all its pixels are read.

    Call it inside :func:`bombs_refused`.
    """
    if not raw:
        return "the file is empty"
    try:
        with Pillow.open(io.BytesIO(raw), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return f"{picture.width:,} x {picture.height:,} pixels, more than {MAX_PIXELS:,}"
            if getattr(picture, "n_frames", 1) > MAX_FRAMES:
                return f"more than {MAX_FRAMES} frames"
            picture.load()
    except (Pillow.DecompressionBombWarning, Pillow.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels"
    except UnidentifiedImageError:
        return f"not a picture file ({', '.join(FORMATS)})"
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return f"truncated or broken: {error}"
    return None


def faults(count: int, read: Callable[[int], bytes], *, threads: int = 2) -> Sequence[str | None]:
    """:func:`fault` of many pictures, in threads."""

    def look(index: int) -> str | None:
        try:
            return fault(read(index))
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"

    with bombs_refused(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(look, range(count)))
