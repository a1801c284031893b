"""Metrics are those of scikit-learn, on random data and on what is at the edge."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai import metrics

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle")
few = settings(max_examples=60, deadline=None)


def told(metric, *columns, weights=None, size=7):
    """The figure, gathered in batches of a size."""
    metric.reset()
    for start in range(0, max(len(columns[0]), 1), size):
        part = slice(start, start + size)
        share = () if weights is None else (torch.as_tensor(weights[part]),)
        metric.update(*(torch.as_tensor(column[part]) for column in columns), *share)
    return metric.compute()


def same(found, oracle):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns where a figure cannot be told
        wanted = oracle()
    if math.isnan(wanted):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(wanted, abs=1e-6, rel=1e-6)


@st.composite
def decided(draw, classes=4, least=1):
    """Expected and decided classes, and weights."""
    count = draw(st.integers(least, 30))
    kinds = st.integers(0, draw(st.integers(0, classes - 1)))
    expected = draw(st.lists(kinds, min_size=count, max_size=count))
    said = draw(st.lists(kinds, min_size=count, max_size=count))
    weights = draw(st.lists(st.floats(0.125, 4), min_size=count, max_size=count))
    return np.array(expected), np.array(said), np.array(weights)


@st.composite
def scored(draw, classes=2, least=1):
    """Expected classes, scores with ties, and weights."""
    expected, _, weights = draw(decided(classes, least))
    steps = draw(st.integers(1, 12))  # few steps: many ties
    raw = draw(
        st.lists(
            st.lists(st.integers(1, steps), min_size=classes, max_size=classes),
            min_size=len(expected), max_size=len(expected),
        )
    )  # fmt: skip
    scores = np.array(raw, float)
    return expected, scores / scores.sum(1, keepdims=True), weights


def optional(weights, used):
    return {"sample_weight": weights} if used else {}


# Of decisions

DECIDED = {
    "accuracy": (metrics.Accuracy, sk.accuracy_score),
    "balanced": (metrics.BalancedAccuracy, sk.balanced_accuracy_score),
    "matthews": (metrics.Matthews, sk.matthews_corrcoef),
    "kappa": (metrics.CohenKappa, sk.cohen_kappa_score),
}


@pytest.mark.parametrize("name", DECIDED)
@given(data=decided(), weighted=st.booleans())
@few
def test_decisions(name, data, weighted):
    (expected, said, weights), (ours, theirs) = data, DECIDED[name]
    found = told(ours(), said, expected, weights=weights if weighted else None)
    same(found, lambda: theirs(expected, said, **optional(weights, weighted)))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@given(data=decided(), weighted=st.booleans(), beta=st.floats(0.25, 3))
@few
def test_precision_recall_f(average, data, weighted, beta):
    expected, said, weights = data
    rest = {"average": average, "zero_division": 0.0, **optional(weights, weighted)}
    weights = weights if weighted else None
    for ours, theirs, more in (
        (metrics.Precision(average), sk.precision_score, {}),
        (metrics.Recall(average), sk.recall_score, {}),
        (metrics.F1(average), sk.f1_score, {}),
        (metrics.FBeta(beta, average), sk.fbeta_score, {"beta": beta}),
    ):
        found = told(ours, said, expected, weights=weights)
        same(found, lambda t=theirs, m=more: t(expected, said, **m, **rest))


@given(data=decided(classes=2))
@few
def test_of_one_class(data):
    expected, said, _ = data
    for ours, theirs in (
        (metrics.Precision, sk.precision_score), (metrics.Recall, sk.recall_score),
        (metrics.F1, sk.f1_score),
    ):  # fmt: skip
        found = told(ours(class_id=1), said, expected)
        same(found, lambda t=theirs: t(expected, said, zero_division=0.0))


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
@given(data=decided())
@few
def test_kappa_of_classes_in_an_order(weights, data):
    expected, said, share = data
    named = {"weights": weights, "labels": range(4), "sample_weight": share}
    found = told(metrics.CohenKappa(weights), said, expected, weights=share)
    same(found, lambda: sk.cohen_kappa_score(expected, said, **named))


@given(data=decided())
@few
def test_adjusted_balanced_accuracy_and_intersection_over_union(data):
    expected, said, weights = data
    if len(set(expected)) > 1:
        found = told(metrics.BalancedAccuracy(adjusted=True), said, expected)
        same(found, lambda: sk.balanced_accuracy_score(expected, said, adjusted=True))
    found = told(metrics.MeanIoU(), said, expected, weights=weights)
    same(found, lambda: sk.jaccard_score(expected, said, average="macro", sample_weight=weights))


# Of scores


@pytest.mark.parametrize("classes", [2, 3, 5])
@given(data=st.data(), weighted=st.booleans(), k=st.integers(1, 4))
@few
def test_scores(classes, data, weighted, k):
    expected, scores, weights = data.draw(scored(classes))
    rest = {"labels": range(classes), **optional(weights, weighted)}
    share = weights if weighted else None
    found = told(metrics.LogLoss(), scores, expected, weights=share)
    same(found, lambda: sk.log_loss(expected, scores, **rest))
    found = told(metrics.Brier(), scores, expected, weights=share)
    brier = scores[:, 1] if classes == 2 else scores
    named = {**rest, "pos_label": 1} if classes == 2 else rest
    same(found, lambda: sk.brier_score_loss(expected, brier, **named))
    if classes > 2:
        found = told(metrics.TopKAccuracy(k), scores, expected, weights=share)
        same(found, lambda: sk.top_k_accuracy_score(expected, scores, k=k, **rest))


@given(data=scored(2), weighted=st.booleans(), single=st.booleans())
@few
def test_rankings_of_yes_and_no(data, weighted, single):
    expected, scores, weights = data
    shape = scores[:, 1] if single else scores
    share, rest = (weights, {"sample_weight": weights}) if weighted else (None, {})
    same(
        told(metrics.AUC(), shape, expected, weights=share),
        lambda: sk.roc_auc_score(expected, scores[:, 1], **rest),
    )
    same(
        told(metrics.AveragePrecision(), shape, expected, weights=share),
        lambda: sk.average_precision_score(expected, scores[:, 1], **rest),
    )
    area = told(metrics.AUC("PR"), shape, expected, weights=share)
    if expected.any():
        precision, recall, _ = sk.precision_recall_curve(expected, scores[:, 1], **rest)
        same(area, lambda: sk.auc(recall, precision))
    else:
        assert math.isnan(area)


@given(data=scored(2), bound=st.sampled_from([0.1, 0.5, 0.75, 0.9, 1.0]))
@few
def test_points_on_curves(data, bound):
    expected, scores, _ = data
    if len(set(expected)) < 2:
        for kind in (metrics.SensitivityAtSpecificity, metrics.SpecificityAtSensitivity):
            assert math.isnan(told(kind(bound), scores, expected))
        return
    precision, recall, _ = sk.precision_recall_curve(expected, scores[:, 1])
    precision, recall = precision[:-1], recall[:-1]  # without the point that no threshold gives
    fall_out, hits, _ = sk.roc_curve(expected, scores[:, 1], drop_intermediate=False)
    fits = 1e-12

    def highest(values, others):
        found = values[others >= bound - fits]
        return float(found.max()) if len(found) else 0.0

    for kind, wanted in (
        (metrics.PrecisionAtRecall, highest(precision, recall)),
        (metrics.RecallAtPrecision, highest(recall, precision)),
        (metrics.SensitivityAtSpecificity, highest(hits, 1 - fall_out)),
        (metrics.SpecificityAtSensitivity, highest(1 - fall_out, hits)),
    ):
        assert told(kind(bound), scores, expected) == pytest.approx(wanted, abs=1e-6)


def test_rankings_of_several_classes_and_of_several_labels():
    rng = np.random.default_rng(0)
    expected, scores = rng.integers(0, 4, 80), rng.random((80, 4)).round(1) + 0.01
    scores /= scores.sum(1, keepdims=True)
    same(
        told(metrics.AUC(), scores, expected),
        lambda: sk.roc_auc_score(expected, scores, multi_class="ovr"),
    )
    rows = np.eye(4)[expected]
    same(
        told(metrics.AveragePrecision(), scores, expected),
        lambda: sk.average_precision_score(rows, scores),
    )
    same(
        told(metrics.AUC(class_id=2), scores, expected),
        lambda: sk.roc_auc_score(expected == 2, scores[:, 2]),
    )
    labels = rng.integers(0, 2, (80, 4))
    same(told(metrics.AUC(), scores, labels), lambda: sk.roc_auc_score(labels, scores))


# Of quantities

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 3))


@st.composite
def measured(draw, least=1):
    count, width = draw(st.integers(least, 25)), draw(st.sampled_from([None, 1, 3]))
    size = count * (width or 1)
    kind = st.lists(draw(st.sampled_from([numbers, st.integers(0, 2).map(float)])),
                    min_size=size, max_size=size)  # fmt: skip
    shape = (count,) if width is None else (count, width)
    weights = np.array(draw(st.lists(st.floats(0.125, 4), min_size=count, max_size=count)))
    return np.array(draw(kind)).reshape(shape), np.array(draw(kind)).reshape(shape), weights


@given(data=measured(), weighted=st.booleans(), offset=st.sampled_from([0.0, 1e6]))
@few
def test_quantities(data, weighted, offset):
    expected, found, weights = data
    expected, found = expected + offset, found + offset
    rest = optional(weights, weighted)
    share = weights if weighted else None
    root = lambda e, f, **r: math.sqrt(sk.mean_squared_error(e, f, **r))  # noqa: E731
    percent = lambda e, f, **r: 100 * sk.mean_absolute_percentage_error(e, f, **r)  # noqa: E731
    pairs = [
        (metrics.MeanSquaredError, sk.mean_squared_error),
        (metrics.RootMeanSquaredError, root),
        (metrics.MeanAbsoluteError, sk.mean_absolute_error),
        (metrics.R2, sk.r2_score),
        (metrics.ExplainedVariance, sk.explained_variance_score),
    ]
    if (np.abs(expected) > 1e-6).all():
        pairs.append((metrics.MeanAbsolutePercentageError, percent))
    for ours, theirs in pairs:
        if ours in (metrics.R2, metrics.ExplainedVariance):
            spread = np.ptp(expected.reshape(len(expected), -1), axis=0)
            if ((spread > 0) & (spread < 1e-2)).any() or (spread == 0).any() and offset:
                continue  # the variance is lost in the last digits
        value = told(ours(), found, expected, weights=share)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = theirs(expected, found, **rest)
        assert value == pytest.approx(wanted, rel=1e-6, abs=1e-6, nan_ok=True)
    median = told(metrics.MedianAbsoluteError(), found, expected)
    same(median, lambda: sk.median_absolute_error(expected, found))
    logs = told(metrics.MeanSquaredLogarithmicError(), abs(found), abs(expected), weights=share)
    same(logs, lambda: sk.mean_squared_log_error(abs(expected), abs(found), **rest))
    if expected.ndim == 1:
        same(told(metrics.MaxError(), found, expected), lambda: sk.max_error(expected, found))


@given(data=measured(least=2), weighted=st.booleans())
@few
def test_correlations(data, weighted):
    from scipy import stats

    expected, found, weights = data
    if expected.ndim == 2:
        expected, found = expected[:, 0], found[:, 0]
    constant = len(set(expected)) == 1 or len(set(found)) == 1
    pearson = told(metrics.Pearson(), found, expected, weights=weights if weighted else None)
    spearman = told(metrics.Spearman(), found, expected)
    if constant:
        assert math.isnan(pearson)
        assert math.isnan(spearman)
        return
    same(spearman, lambda: float(stats.spearmanr(expected, found).statistic))
    table = np.cov(found, expected, aweights=weights if weighted else None)
    same(pearson, lambda: table[0, 1] / math.sqrt(table[0, 0] * table[1, 1]))


# Unlabelled, empty, alone


def test_negative_labels_do_not_count():
    rng = np.random.default_rng(1)
    expected = rng.integers(-1, 3, 60)
    scores = rng.dirichlet(np.ones(3), 60)
    kept = expected >= 0
    for name in (
        "Accuracy", "F1", "Matthews", "LogLoss", "Brier", "AUC", "CohenKappa", "Hinge", "MeanIoU",
        "ExpectedCalibrationError", "TopKAccuracy", "BinaryAccuracy",
    ):  # fmt: skip
        metric = getattr(metrics, name)()
        said = scores if metric.wants == "scores" else scores.argmax(1)
        whole = told(metric, said, expected, weights=None)
        assert whole == pytest.approx(told(metric, said[kept], expected[kept]), abs=1e-12)


@given(data=scored(3), bins=st.integers(1, 20))
@few
def test_expected_calibration_error_by_hand(data, bins):
    expected, scores, weights = data
    sure, right = scores.max(1), scores.argmax(1) == expected
    edges, total = np.linspace(0, 1, bins + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (sure > low) & (sure <= high)
        if inside.any():
            gap = np.average(right[inside], weights=weights[inside])
            gap -= np.average(sure[inside], weights=weights[inside])
            total += abs(gap) * weights[inside].sum() / weights.sum()
    found = told(metrics.ExpectedCalibrationError(bins), scores, expected, weights=weights)
    assert found == pytest.approx(total, abs=1e-9)


def test_a_perfect_and_a_constant_answer():
    y = np.array([0, 1, 1, 0])
    assert told(metrics.AUC(), np.full(4, 0.3), y) == 0.5
    assert told(metrics.Matthews(), np.ones(4, int), y) == 0.0
    assert math.isnan(told(metrics.CohenKappa(), np.ones(4, int), np.ones(4, int)))
    assert told(metrics.R2(), np.full(3, 5.0), np.full(3, 5.0)) == 1.0
    assert told(metrics.R2(), np.full(3, 4.0), np.full(3, 5.0)) == 0.0
    assert math.isnan(told(metrics.R2(), np.ones(1), np.ones(1)))
    assert told(metrics.Pearson(), np.full(3, 0.1), np.arange(3.0)) != 1
