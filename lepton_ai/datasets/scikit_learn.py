"""Tables that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lepton_ai.datasets.named import NamedDataset
from lepton_ai.extras import installed, require

if TYPE_CHECKING:
    from lepton_ai.data import Dataset


class ScikitLearnTable(NamedDataset):
    """A table of numbers; ``test`` is a fixed fifth."""

    kind = "rows"
    folder = "scikit_learn"
    splits = ("train", "test", "all")
    loader: ClassVar[str]

    def available(self) -> bool:
        return installed("sklearn")

    def columns(self) -> tuple[dict[str, np.ndarray], Any]:
        """The columns of numbers by name, and what scikit-learn gave."""
        why = f"the data set {self.title!r}"
        loaders = require("sklearn.datasets", extra="tabular", why=why)
        load: Callable[[], Any] = getattr(loaders, self.loader)
        bunch = load()
        names = [str(name).replace(" ", "_") for name in bunch.feature_names]
        return {name: bunch.data[:, i] for i, name in enumerate(names)}, bunch

    def part(self, data: Dataset, split: str, stratify: str | None) -> Dataset:
        """The split of all rows."""
        if split == "all":
            return data
        train, test = data.split(0.2, seed=0, stratify=stratify)
        return train if split == "train" else test
