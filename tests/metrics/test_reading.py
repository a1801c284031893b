"""What metrics are handed: shapes they take, and those that they refuse with what to type."""

from __future__ import annotations

import math

import pytest
import torch

from lepton_ai import metrics
from lepton_ai.errors import ConfigError, DataError, ShapeError


def test_weights_of_examples_hold_for_all_their_places():
    said, classes = torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0, 0], [1, -1]])
    accuracy = metrics.Accuracy()
    accuracy.update(said, classes, torch.tensor([1.0, 3.0]))
    assert accuracy.compute() == pytest.approx(4 / 5)  # right: 1 + 3 of 1 + 1 + 3


def test_rows_of_scores_and_one_hot_rows_are_decided():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    for expected in (torch.tensor([1, 1, 1]), torch.eye(2)[[1, 1, 1]]):
        accuracy = metrics.Accuracy()
        accuracy.update(scores, expected)
        assert accuracy.compute() == pytest.approx(2 / 3)


def test_shares_are_no_decisions():
    with pytest.raises(DataError, match=r"received 0\.7.*> 0\.5"):
        metrics.F1().update(torch.tensor([0.7, 1.0]), torch.tensor([1, 1]))


def test_a_class_without_a_score_is_refused():
    for name in ("LogLoss", "AUC", "TopKAccuracy", "Brier"):
        with pytest.raises(DataError, match="from 0 to 2.*received 5"):
            getattr(metrics, name)().update(torch.ones(2, 3) / 3, torch.tensor([0, 5]))


def test_arguments_that_cannot_be_are_refused():
    for make, message in (
        (lambda: metrics.AUC("roc_"), "curve 'ROC' or 'PR'"),
        (lambda: metrics.F1("macr"), "Did you mean 'macro'"),
        (lambda: metrics.FBeta(0.0), "beta above 0"),
        (lambda: metrics.CohenKappa("square"), "weights None"),
        (lambda: metrics.RecallAtPrecision(1.5), "precision between 0 and 1"),
        (lambda: metrics.ExpectedCalibrationError(0), "at least one bin"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()
    with pytest.raises(ConfigError, match="class_id from 0 to 1"):
        metrics.AUC(class_id=2).update(torch.ones(2, 2) / 2, torch.tensor([0, 1]))


def test_single_unknown_numbers_do_not_count():
    found = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    wanted = torch.tensor([[1.0, math.nan], [2.0, 5.0], [math.nan, math.nan]])
    for name, figure in (("MeanAbsoluteError", 2 / 3), ("MaxError", 1.0),
                         ("MedianAbsoluteError", 0.75)):  # fmt: skip
        metric = getattr(metrics, name)()
        metric.update(found, wanted)
        assert metric.compute() == pytest.approx(figure)


def test_rows_of_yes_and_no_with_an_unknown_answer_do_not_count():
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.7]])
    metric = metrics.BinaryAccuracy()
    metric.update(scores, torch.tensor([[1, 0], [0, -1]]))
    assert metric.compute() == 1.0


def test_scores_kept_from_batches_of_other_widths_are_refused():
    metric = metrics.AUC()
    metric.update(torch.ones(2, 3) / 3, torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"metric\.reset\(\)"):
        metric.update(torch.ones(2, 4) / 4, torch.tensor([0, 1]))


def test_what_was_kept_is_not_what_the_caller_changes_later():
    scores, classes = torch.tensor([0.2, 0.9]), torch.tensor([0, 1])
    metric = metrics.AUC()
    metric.update(scores, classes)
    scores.fill_(0.5)
    assert metric.compute() == 1.0


def test_many_classes_cost_a_number_each_and_no_table():
    metric = metrics.F1()
    metric.update(torch.tensor([200_000, 3]), torch.tensor([200_000, 4]))
    assert metric.compute() == pytest.approx(1 / 3)
    assert sum(t.numel() for t in metric.state()["_met"].values()) < 700_000


def test_a_far_mean_costs_no_digits():
    expected = torch.rand(500, generator=torch.Generator().manual_seed(0)).double()
    found = expected + 0.1 * torch.rand(500, generator=torch.Generator().manual_seed(1)).double()
    for name in ("R2", "Pearson", "ExplainedVariance", "Concordance"):
        near, far = getattr(metrics, name)(), getattr(metrics, name)()
        for start in range(0, 500, 50):
            part = slice(start, start + 50)
            near.update(found[part], expected[part])
            far.update(found[part] + 1e7, expected[part] + 1e7)
        assert far.compute() == pytest.approx(near.compute(), abs=1e-6)


def test_uneven_weights_widen_the_interval():
    said, classes = torch.ones(40).long(), torch.arange(40) % 2
    plain, uneven = metrics.Accuracy(), metrics.Accuracy()
    plain.update(said, classes)
    weights = torch.tensor([1.0, 1.0, 9.0, 9.0]).repeat(10)
    uneven.update(said, classes, weights)
    assert uneven.compute() == plain.compute()
    wide, narrow = uneven.interval(), plain.interval()
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
