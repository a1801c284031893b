"""A cache of decoded pictures: decoded once, then mapped into memory from the disk."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_ai.errors import WorkspaceError
from lepton_ai.workspace.files import file_digest, new_folder, to_json, write_bytes

if TYPE_CHECKING:
    from lepton_ai.workspace import Workspace


@dataclass(frozen=True)
class Decoded:
    """Pictures and their class numbers.

    Attributes:
        pixels: ``[N, H, W, C]`` or ``[N, H, W]`` bytes.
        labels: ``[N]`` int64.
        skipped: Those that could not be read: name and reason.
    """

    pixels: np.ndarray
    labels: np.ndarray
    skipped: Sequence[tuple[str, str]] = ()


def cached(
    workspace: Workspace, key: str, split: str, make: Callable[[], dict[str, Decoded]]
) -> Decoded:
    """The pictures of a split: from the cache, else all splits are made at once and kept there.

    Without a workspace that can be written to they are made every time.
    """
    try:
        folder = workspace.folder("cache", "decoded") / key
    except WorkspaceError:
        return make()[split]
    found = _open(folder, split)
    if found is not None:
        return found
    made = make()
    try:
        with new_folder(folder) as fresh:
            for each, decoded in made.items():
                np.save(fresh / f"{each}.pixels.npy", decoded.pixels, allow_pickle=False)
                np.save(fresh / f"{each}.labels.npy", decoded.labels, allow_pickle=False)
            sizes = {path.name: path.stat().st_size for path in fresh.iterdir()}
            skipped = {each: [list(pair) for pair in d.skipped] for each, d in made.items()}
            manifest = {"files": sizes, "skipped": skipped}
            write_bytes(fresh / "manifest.json", to_json(manifest).encode())
    except OSError:  # a full disk must not stop the reading
        return made[split]
    return _open(folder, split) or made[split]


def _open(folder: Path, split: str) -> Decoded | None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf8"))
        if any((folder / n).stat().st_size != size for n, size in manifest["files"].items()):
            return None
        pixels = np.load(folder / f"{split}.pixels.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / f"{split}.labels.npy", allow_pickle=False)
        return Decoded(pixels, labels, [(str(n), str(r)) for n, r in manifest["skipped"][split]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def source_key(path: Path) -> str:
    """A name for the content of a file, or for the members of a folder (by size and time)."""
    if path.is_file():
        return file_digest(path)[:32]
    digest = hashlib.sha256()
    for member in sorted(path.rglob("*")):
        if member.is_file():
            about = member.stat()
            name = member.relative_to(path).as_posix()
            digest.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def decode_jpegs(
    raws: Sequence[bytes], names: Sequence[str], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """Decode pictures of one size in two threads.

    Returns:
        Pixels ``[N, height, width, 3]`` of those that could be read, which of them they are
        (indices), and the others with the reason.
    """
    from PIL import Image as Pillow

    from lepton_ai.data.picture import FORMATS
    from lepton_ai.data.sources.decoding import bombs_refused

    out = np.empty((len(raws), *shape, 3), dtype=np.uint8)
    reasons: dict[int, str] = {}

    def some(indices: range) -> None:
        for index in indices:
            try:
                with Pillow.open(io.BytesIO(raws[index]), formats=FORMATS) as picture:
                    if (picture.height, picture.width) == shape:
                        out[index] = picture if picture.mode == "RGB" else picture.convert("RGB")
                    else:
                        reasons[index] = f"{picture.height} x {picture.width} pixels, not {shape}"
            except (OSError, SyntaxError, ValueError, Warning) as error:
                reasons[index] = str(error).split("\n")[0]

    with bombs_refused(), ThreadPoolExecutor(2) as pool:
        list(pool.map(some, [range(i, min(i + 512, len(raws))) for i in range(0, len(raws), 512)]))
    good = np.array([i for i in range(len(raws)) if i not in reasons], dtype=np.int64)
    skipped = [(names[i], reasons[i]) for i in sorted(reasons)]
    return (out[good] if reasons else out), good, skipped
