"""Fashion-MNIST: grey pictures of clothes; a balanced part of it comes inside the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.named import NamedDataset, RemoteFile

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"fashion_mnist": "FashionMNIST"}

CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
]  # fmt: skip
EMBEDDED = Path(__file__).with_name("fashion_mnist_11k.npz")
_AT = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"


class FashionMNIST(NamedDataset):
    """Columns ``image`` ``[N, 28, 28]`` and ``label``.

    ``train`` and ``test`` are inside the package: the first 1,000 (100) of each class, 10,000 and
    1,000 pictures. ``full_train`` and ``full_test`` (or ``full=True``) are all 60,000 and 10,000.
    """

    title = "Fashion-MNIST"
    kind = "images"
    licence = "MIT"
    source = "https://github.com/zalandoresearch/fashion-mnist"
    citation = "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747"
    size = "10,000 + 1,000 inside the package, 60,000 + 10,000 in full; grey, 28 x 28, ten classes"
    folder = "fashion_mnist"
    splits = ("train", "test", "full_train", "full_test")
    files: ClassVar = (
        RemoteFile(
            "train-images-idx3-ubyte.gz", size=26421880, url=_AT + "train-images-idx3-ubyte.gz",
            sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz", size=29515, url=_AT + "train-labels-idx1-ubyte.gz",
            sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz", size=4422102, url=_AT + "t10k-images-idx3-ubyte.gz",
            sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz", size=5148, url=_AT + "t10k-labels-idx1-ubyte.gz",
            sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    )  # fmt: skip

    def available(self) -> bool:
        return True

    def read(self, split: str, *, full: bool = False) -> Dataset:
        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Image, Label

        part = split.removeprefix("full_")
        if full or split != part:
            from lepton_ai.data.sources.idx import read_idx

            images, labels = self.files[:2] if part == "train" else self.files[2:]
            pixels, numbers = read_idx(self.obtain(images)), read_idx(self.obtain(labels))
        else:
            with np.load(EMBEDDED, allow_pickle=False) as arrays:
                pixels, numbers = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        return Dataset(
            {"image": pixels, "label": numbers.astype(np.int64)},
            {"image": Image(), "label": Label(CLASSES)},
        )
