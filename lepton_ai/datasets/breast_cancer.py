"""Breast cancer: measures of cells, malignant or benign."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepton_ai.datasets.scikit_learn import ScikitLearnTable

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"breast_cancer": "BreastCancer"}


class BreastCancer(ScikitLearnTable):
    """30 columns of numbers and ``diagnosis`` (malignant, benign)."""

    title = "Breast cancer Wisconsin (diagnostic)"
    licence = "CC BY 4.0"
    source = "https://archive.ics.uci.edu/dataset/17/breast+cancer+wisconsin+diagnostic"
    citation = "Wolberg, Mangasarian, Street and Street 1995"
    size = "569 rows of 30 numbers, two classes"
    loader = "load_breast_cancer"

    def read(self, split: str) -> Dataset:
        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Label

        columns, bunch = self.columns()
        classes = [str(name) for name in bunch.target_names]
        data = Dataset({**columns, "diagnosis": bunch.target}, {"diagnosis": Label(classes)})
        return self.part(data, split, "diagnosis")
