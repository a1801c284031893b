"""Breast cancer (a class) and diabetes (a number), beside linear models in the same folds."""

import sys

import numpy as np
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lepton_ai as lai
from lepton_ai.data.fields import Label, Number
from lepton_ai.tasks import Tabular


def compare(name: str, seeds: int = 1) -> tuple[float, float]:
    """Mean figure over the folds: ours, and the linear model's."""
    bunch = getattr(datasets, f"load_{name}")()
    rows, target, classes = bunch.data, bunch.target, name == "breast_cancer"
    ours, linear = [], []
    for seed in range(seeds):
        for train, test in KFold(5, shuffle=True, random_state=seed).split(rows):
            fields = {f"x{i}": Number() for i in range(rows.shape[1])}
            task = Tabular(fields, {"y": Label() if classes else Number()})
            columns = {**{f"x{i}": rows[:, i] for i in range(rows.shape[1])}, "y": target}
            data = lai.Dataset(columns, {**fields, "y": Label() if classes else Number()})
            model = lai.Model(None, task)
            model.fit(data.take(train), seed=seed, verbose=0)
            ours.append(lai.evaluate(model, data.take(test))[task.headline])
            plain = LogisticRegression(max_iter=3000) if classes else Ridge()
            fitted = make_pipeline(StandardScaler(), plain).fit(rows[train], target[train])
            linear.append(fitted.score(rows[test], target[test]))
    return float(np.mean(ours)), float(np.mean(linear))


def main(seeds: int = 1) -> dict[str, tuple[float, float]]:
    found = {name: compare(name, seeds) for name in ("breast_cancer", "diabetes")}
    for name, (ours, linear) in found.items():
        figure = "accuracy" if name == "breast_cancer" else "R2"
        print(f"{name}: {figure} {ours:.4f}, linear in the same folds {linear:.4f}")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
