"""Diabetes: how far the illness went on in a year."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepton_ai.datasets.scikit_learn import ScikitLearnTable

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"diabetes": "Diabetes"}


class Diabetes(ScikitLearnTable):
    """10 columns of numbers and ``progression`` after a year."""

    title = "Diabetes"
    licence = "no licence stated; comes with scikit-learn (BSD-3-Clause)"
    source = "https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html"
    citation = "Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression"
    size = "442 rows of 10 numbers, one number to predict"
    loader = "load_diabetes"

    def read(self, split: str) -> Dataset:
        from lepton_ai.data import Dataset
        from lepton_ai.data.fields import Number

        columns, bunch = self.columns()
        data = Dataset(
            {**columns, "progression": bunch.target},
            {name: Number() for name in [*columns, "progression"]},
        )
        return self.part(data, split, None)
