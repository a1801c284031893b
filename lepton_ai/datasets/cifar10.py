"""CIFAR-10: small colour photographs of ten kinds of things."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.decoded import Decoded, cached, decode_jpegs, source_key
from lepton_ai.datasets.named import NamedDataset, RemoteFile, read_raw
from lepton_ai.errors import SourceError
from lepton_ai.workspace import as_workspace

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"cifar10": "CIFAR10"}

CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
RECORD = 1 + 3 * 32 * 32
_FOLDERS = ("cifar-10-batches-bin", "train")
_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar10-jpeg.tar.gz")


class CIFAR10(NamedDataset):
    """Columns ``image`` ``[N, 32, 32, 3]`` and ``label``; splits train (50,000) and test (10,000).

    Read from the official binary archive (packed or unpacked), or from the pictures as JPEG files
    ``train/<class>/*.jpg`` (a folder, or packed as ``cifar10-jpeg.tar.gz``). The Python version of
    the archive is not read: it is a pickle, which could run code.
    """

    title = "CIFAR-10"
    kind = "images"
    licence = "for research; no licence stated by its authors"
    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    citation = "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images"
    size = "50,000 + 10,000 colour pictures of 32 x 32, ten classes"
    folder = "cifar10"
    files: ClassVar = (
        RemoteFile(
            "cifar-10-binary.tar.gz",
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            size=170052171,
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        ),
    )

    def available(self) -> bool:
        return self.find(*_FOLDERS, *_ARCHIVES) is not None

    def read(self, split: str) -> Dataset:
        from lepton_ai.data import Dataset, Skipped
        from lepton_ai.data.fields import Image, Label

        place = self.find(*_FOLDERS, *_ARCHIVES) or self.obtain(self.files[0])
        if place.name == "train":
            place = place.parent / split
            if not place.is_dir():
                raise SourceError(f"Expected the folder {place} beside train; it is missing.")
        key = f"cifar10-{split}-{source_key(place)}"
        found = cached(as_workspace(self.workspace), key, lambda: _decode(place, split))
        return Dataset(
            {"image": found.pixels, "label": found.labels},
            {"image": Image(), "label": Label(CLASSES)},
            skipped=[Skipped(member, reason) for member, reason in found.skipped],
        )


def _decode(place: Path, split: str) -> Decoded:
    if place.name == "cifar-10-batches-bin":
        return _binary({p.name: p.read_bytes() for p in place.glob("*.bin")}, split, place)
    if place.is_dir():
        files = sorted(place.glob("*/*.jp*g"))
        return _pictures(((f"{p.parent.name}/{p.name}", p.read_bytes()) for p in files), place)
    from lepton_ai.data.sources.extraction import members

    if "binary" in place.name:
        batches = {
            parts[-1]: stream.read()
            for parts, stream in members(place)
            if parts[-1].endswith(".bin")
        }
        return _binary(batches, split, place)
    pictures = (
        ("/".join(parts[-2:]), stream.read())
        for parts, stream in members(place)
        if len(parts) >= 3 and parts[-3] == split
    )
    return _pictures(pictures, place)


def _binary(batches: dict[str, bytes], split: str, place: Path) -> Decoded:
    """Records of a class number and the red, green and blue planes."""
    wanted = [f"data_batch_{i}.bin" for i in range(1, 6)] if split == "train" else ["test_batch.bin"]
    for name in wanted:
        if name not in batches or not batches[name] or len(batches[name]) % RECORD:
            raise SourceError(
                f"Expected {name} with records of {RECORD:,} bytes in {place}; "
                + (f"it has {len(batches[name]):,} bytes." if name in batches else "it is missing.")
                + " Remove the folder or archive and get it again."
            )
    raw = b"".join(batches[name] for name in wanted)
    records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        raise SourceError(f"Expected class numbers from 0 to 9 in {place}; found {labels.max()}.")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return Decoded(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _pictures(named: Iterator[tuple[str, bytes]], place: Path) -> Decoded:
    """JPEG files ``<class>/<number>.jpg``, taken class by class in turn."""
    numbers = {name: number for number, name in enumerate(CLASSES)}
    found: list[tuple[str, int, str, bytes]] = []
    for name, raw in named:
        folder, _, file = name.rpartition("/")
        if folder in numbers and file.lower().endswith((".jpg", ".jpeg")):
            found.append((file, numbers[folder], name, raw))
    if not found:
        raise SourceError(
            f"Expected pictures in folders {', '.join(CLASSES)} in {place}; found none."
        )
    found.sort(key=lambda item: item[:2])
    pixels, good, skipped = decode_jpegs([f[3] for f in found], [f[2] for f in found], (32, 32))
    return Decoded(pixels, np.array([f[1] for f in found], dtype=np.int64)[good], skipped)
