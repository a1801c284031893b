"""Metrics that scikit-learn lacks are those of Keras, on its torch backend."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
import torch

from lepton_ai import metrics

keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)
# Keras 3.15 hands its variables to numpy 2 without the keyword that numpy asks for.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(ours, theirs, predicted, expected, keras_expected=None, weights=None, keras_said=None):
    for start in range(0, len(predicted), 3):
        part = slice(start, start + 3)
        ours.update(
            predicted[part], expected[part], *([] if weights is None else [weights[part]])
        )  # fmt: skip
    truth = expected if keras_expected is None else keras_expected
    theirs.update_state(
        truth, predicted if keras_said is None else keras_said, sample_weight=weights
    )
    assert ours.compute() == pytest.approx(float(theirs.result()), abs=1e-5, rel=1e-5)


WEIGHTS = draw(8, seed=9).abs() + 0.1
CLASSES = torch.tensor([0, 2, 1, 1, 2, 0, 1, 2])
ONE_HOT = torch.nn.functional.one_hot(CLASSES, 3).float()
YES = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
weighing = pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])


@weighing
@pytest.mark.parametrize(
    "name",
    ["MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "LogCoshError",
     "MeanAbsolutePercentageError", "CosineSimilarity"],
)  # fmt: skip
def test_quantities(name, weights):
    expected = draw(8, 3, seed=1)
    same(
        getattr(metrics, name)(), getattr(keras.metrics, name)(), draw(8, 3), expected,
        weights=weights,
    )  # fmt: skip


@weighing
@pytest.mark.parametrize("name", ["MeanSquaredLogarithmicError", "Poisson"])
def test_quantities_that_are_not_negative(name, weights):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    same(ours, theirs, draw(8, 2).abs(), draw(8, 2, seed=1).abs(), weights=weights)


@weighing
@pytest.mark.parametrize("expected", [CLASSES, ONE_HOT], ids=["numbers", "one-hot"])
@pytest.mark.parametrize("name", ["KLDivergence", "CategoricalHinge"])
def test_distributions_and_margins(name, expected, weights):
    same(
        getattr(metrics, name)(), getattr(keras.metrics, name)(), draw(8, 3).softmax(-1), expected,
        ONE_HOT, weights,
    )  # fmt: skip


@weighing
@pytest.mark.parametrize("name", ["Hinge", "SquaredHinge"])
def test_hinges(name, weights):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    same(ours, theirs, draw(8, 1).tanh(), YES, YES[:, None].float(), weights)
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    same(ours, theirs, draw(8, 3).softmax(-1), CLASSES, ONE_HOT, weights)


@weighing
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_yes_and_no_over_a_threshold(threshold, weights):
    scores = draw(8).sigmoid()
    for name in ("BinaryAccuracy", "TruePositives", "TrueNegatives", "FalsePositives",
                 "FalseNegatives"):  # fmt: skip
        ours = getattr(metrics, name)(threshold)
        named = {"threshold" if name == "BinaryAccuracy" else "thresholds": threshold}
        theirs = getattr(keras.metrics, name)(**named)
        truth = YES.float()[:, None]
        same(ours, theirs, torch.stack([1 - scores, scores], 1), YES, truth, weights,
             scores[:, None])  # fmt: skip


def test_yes_and_no_of_several_classes_and_labels():
    scores, labels = draw(8, 3).sigmoid(), (draw(8, 3, seed=4) > 0).float()
    for expected, truth in ((CLASSES, ONE_HOT), (labels, labels)):
        same(metrics.BinaryAccuracy(), keras.metrics.BinaryAccuracy(), scores, expected, truth)
        same(metrics.TruePositives(), keras.metrics.TruePositives(), scores, expected, truth)


def test_precision_and_recall_of_yes():
    said = (draw(8) > 0).long()
    for name in ("Precision", "Recall"):
        ours, theirs = getattr(metrics, name)(class_id=1), getattr(keras.metrics, name)()
        same(ours, theirs, said, YES)


def test_overlap():
    said = draw(8, 3).argmax(-1)
    same(metrics.MeanIoU(3), keras.metrics.MeanIoU(3), said, CLASSES)
    same(
        metrics.MeanIoU(ignore_class=2), keras.metrics.IoU(3, [0, 1], ignore_class=2),
        said.clamp_max(1), CLASSES,
    )  # fmt: skip
    for targets in ((0, 1), (1,)):
        scores = draw(8).sigmoid()
        same(
            metrics.BinaryIoU(targets, 0.4), keras.metrics.BinaryIoU(targets, 0.4), scores, YES,
            YES.float(),
        )  # fmt: skip


def test_areas_are_what_ever_finer_thresholds_come_to():
    scores = draw(400).sigmoid()
    yes = (scores + 0.3 * draw(400, seed=1) > 0.5).long()
    for curve in ("ROC", "PR"):
        ours, theirs = metrics.AUC(curve), keras.metrics.AUC(5000, curve=curve)
        ours.update(scores, yes)
        theirs.update_state(yes, scores)
        assert ours.compute() == pytest.approx(float(theirs.result()), abs=2e-3)


def test_concordance_is_the_formula():
    predicted, expected = draw(9), draw(9, seed=1) + 0.5
    ours = metrics.Concordance()
    ours.update(predicted, expected)
    p, y = predicted.double(), expected.double()
    covariance = ((p - p.mean()) * (y - y.mean())).mean()
    spread = p.var(correction=0) + y.var(correction=0) + (p.mean() - y.mean()) ** 2
    assert ours.compute() == pytest.approx(float(2 * covariance / spread), abs=1e-9)
