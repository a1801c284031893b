"""CIFAR-10: small colour photographs of ten kinds of things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.decoded import Decoded, cached, decode_jpegs, source_key
from lepton_ai.datasets.named import NamedDataset, RemoteFile
from lepton_ai.errors import SourceError
from lepton_ai.workspace import as_workspace

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"cifar10": "CIFAR10"}

CLASSES = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
RECORD = 1 + 3 * 32 * 32
_SPLITS = ("train", "test")
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
        places = [place, place.with_name("test")] if place.name == "train" else [place]
        key = "cifar10-" + "-".join(source_key(each) for each in places)
        found = cached(as_workspace(self.workspace), key, split, lambda: _decode(place))
        return Dataset(
            {"image": found.pixels, "label": found.labels},
            {"image": Image(), "label": Label(CLASSES)},
            skipped=[Skipped(member, reason) for member, reason in found.skipped],
        )


def _decode(place: Path) -> dict[str, Decoded]:
    """Both splits, in one pass through the archive."""
    if place.name == "cifar-10-batches-bin":
        batches = {path.name: path.read_bytes() for path in place.glob("*.bin")}
        return {split: _binary(batches, split, place) for split in _SPLITS}
    named: dict[str, list[tuple[str, bytes]]] = {split: [] for split in _SPLITS}
    if place.is_dir():
        for split, found in named.items():
            for path in sorted((place.parent / split).glob("*/*")):
                found.append((f"{path.parent.name}/{path.name}", path.read_bytes()))
        return {split: _pictures(found, place) for split, found in named.items()}
    from lepton_ai.data.sources.extraction import members

    if "binary" in place.name:
        batches = {
            parts[-1]: stream.read()
            for parts, stream in members(place)
            if parts[-1].endswith(".bin")
        }
        return {split: _binary(batches, split, place) for split in _SPLITS}
    for parts, stream in members(place):
        if len(parts) >= 3 and parts[-3] in named:
            named[parts[-3]].append(("/".join(parts[-2:]), stream.read()))
    return {split: _pictures(found, place) for split, found in named.items()}


def _binary(batches: dict[str, bytes], split: str, place: Path) -> Decoded:
    """Records of a class number and the red, green and blue planes."""
    train = [f"data_batch_{number}.bin" for number in range(1, 6)]
    wanted = train if split == "train" else ["test_batch.bin"]
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


def _pictures(named: list[tuple[str, bytes]], place: Path) -> Decoded:
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
