"""Magnetic tiles: photographs of tile surfaces, with the defects marked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.named import NamedDataset, RemoteFile
from lepton_ai.errors import SourceError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"magnetic_tile": "MagneticTile"}

KINDS = ["Blowhole", "Break", "Crack", "Fray", "Free", "Uneven"]


class MagneticTile(NamedDataset):
    """Columns ``image`` (grey, of many sizes), ``mask`` (background, defect) and ``kind``.

    ``test`` is a fixed fifth of each kind; tiles without defect (kind Free) are in both parts.
    """

    title = "Magnetic tile defects"
    kind = "images with masks"
    licence = "free for research; cite Huang et al."
    source = "https://github.com/abin24/Magnetic-tile-defect-datasets."
    citation = "Huang, Qiu and Yuan 2020, Surface defect saliency of magnetic tile"
    size = "692 grey pictures with masks, 392 of them with one of five kinds of defect"
    folder = "magnetic_tile"
    splits = ("train", "test", "all")
    files: ClassVar = (
        RemoteFile(
            "magnetic_tile.tar.gz", size=24543894,
            sha256="aae3ca343dff55e7c89f5d65c7ef60d56cc55f5bfd75273c3f10af53b40bc6cf",
        ),
    )  # fmt: skip

    def available(self) -> bool:
        return self.find("magnetic_tile.tar.gz", "MT_Free") is not None

    def read(self, split: str) -> Dataset:
        import pyarrow as pa

        from lepton_ai.data import Dataset, Skipped
        from lepton_ai.data.fields import Image, Label, Mask
        from lepton_ai.data.sources.decoding import faults

        raws = self._files()
        images = sorted(name for name in raws if name.endswith(".jpg"))
        masks = [name.removesuffix(".jpg") + ".png" for name in images]
        wrong = list(faults(len(images), lambda index: raws[images[index]]))
        for index, mask in enumerate(masks):
            if mask not in raws:
                wrong[index] = wrong[index] or "it has no mask"
        skipped = [Skipped(images[i], str(why)) for i, why in enumerate(wrong) if why]
        pairs = [(images[i], masks[i]) for i in range(len(images)) if not wrong[i]]
        if not pairs:
            raise SourceError("Expected MT_<kind>/Imgs/*.jpg, each with a .png; found none.")
        kinds = [image.split("/")[0].removeprefix("MT_") for image, _ in pairs]
        data = Dataset(
            {
                "image": pa.array([raws[image] for image, _ in pairs], pa.binary()),
                "mask": pa.array([raws[mask] for _, mask in pairs], pa.binary()),
                "kind": kinds,
            },
            {
                "image": Image(channels=1),
                "mask": Mask(["background", "defect"]),
                "kind": Label(KINDS),
            },
            skipped=skipped,
        )
        return data if split == "all" else data.take(_part(kinds, test=split == "test"))

    def _files(self) -> dict[str, bytes]:
        """``MT_<kind>/<name>`` to the bytes of the file."""
        from lepton_ai.data.sources.extraction import members

        place = self.find("magnetic_tile.tar.gz", "MT_Free") or self.obtain(self.files[0])
        if place.is_dir():
            found = ((path.parts, path) for path in sorted(place.parent.glob("MT_*/**/*.*")))
            return {_short(parts): Path(path).read_bytes() for parts, path in found}
        return {_short(parts): stream.read() for parts, stream in members(place)}


def _short(parts: tuple[str, ...]) -> str:
    kind = next((part for part in reversed(parts) if part.startswith("MT_")), parts[0])
    return f"{kind}/{parts[-1]}"


def _part(kinds: list[str], *, test: bool) -> np.ndarray:
    """A fixed fifth of each kind, or the rest."""
    rng = np.random.default_rng(0)
    held = np.zeros(len(kinds), dtype=bool)
    for kind in KINDS:
        own = np.flatnonzero(np.array(kinds) == kind)
        held[rng.permutation(own)[: round(len(own) / 5)]] = True
    return np.flatnonzero(held if test else ~held)
