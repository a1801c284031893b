"""What every metric of the registry promises; a new metric is tested by being listed."""

from __future__ import annotations

import inspect
import json
import math

import pytest
import torch
from torch import Tensor

from lepton_ai import metrics
from lepton_ai.errors import ConfigError, LeptonError, ShapeError, UnknownNameError
from lepton_ai.metrics import metric as contract
from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.registry import lookup, names

EVERY = names("metrics")
WEIGHTED = [name for name in EVERY if lookup("metrics", name).weighted]
COUNTS = ("true_positives", "true_negatives", "false_positives", "false_negatives", "sum_value")
OF_NUMBERS = (
    "mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2",
    "mean_absolute_percentage_error", "mean_squared_logarithmic_error", "log_cosh_error",
    "cosine_similarity", "max_error", "median_absolute_error", "explained_variance", "pearson",
    "spearman", "concordance", "poisson", "mean_value", "sum_value",
)  # fmt: skip


def batches(name: str, count: int = 23, seed: int = 0) -> tuple[Tensor, Tensor]:
    """What the metric wants, and what is expected."""
    source = torch.Generator().manual_seed(seed)
    if name in OF_NUMBERS:
        expected = torch.rand(count, generator=source).double() + 0.1
        return expected + torch.rand(count, generator=source), expected
    expected = torch.randint(2, (count,), generator=source)
    scores = torch.rand((count, 2), generator=source)
    scores[torch.arange(count), expected] += 0.3
    scores = scores / scores.sum(1, keepdim=True)
    wants = lookup("metrics", name).wants
    return (scores if wants == "scores" else scores.argmax(1)), expected


def told(metric: Metric, predicted: Tensor, expected: Tensor, *weights: Tensor) -> float:
    metric.reset()
    metric.update(predicted, expected, *weights)
    return metric.compute()


def every(chosen: list[str] = EVERY):
    return pytest.mark.parametrize("name", chosen)


@every()
def test_names_and_arguments_round_trip(name):
    metric = metrics.get(name)
    assert isinstance(metric, Metric)
    assert metrics.get(metric) is metric
    assert type(metrics.get(type(metric))) is type(metric)
    assert metric.wants in ("decisions", "scores")
    assert metric.classes == (name not in OF_NUMBERS)
    arguments = json.loads(json.dumps(metric.config()))
    assert set(arguments) == set(inspect.signature(type(metric)).parameters)
    assert type(metric)(**arguments).config() == metric.config()


@every()
def test_batches_of_any_size_give_the_same(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    whole = told(metric, predicted, expected)
    assert isinstance(whole, float)
    assert math.isfinite(whole)
    for size in (1, 4, 22):
        metric.reset()
        for start in range(0, 23, size):
            metric.update(predicted[start : start + size], expected[start : start + size])
            metric.compute()  # asking in between changes nothing
        assert metric.compute() == pytest.approx(whole, abs=1e-12)


@every()
def test_the_order_of_examples_does_not_matter(name):
    predicted, expected = batches(name)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(3))
    metric = metrics.get(name)
    whole = told(metric, predicted, expected)
    assert told(metric, predicted[order], expected[order]) == pytest.approx(whole, abs=1e-12)


@every()
def test_nothing_gathered_is_not_a_number(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    nothing = 0.0 if name in COUNTS else math.nan
    assert metric.compute() == pytest.approx(nothing, nan_ok=True)
    metric.update(predicted[:0], expected[:0])
    assert metric.compute() == pytest.approx(nothing, nan_ok=True)
    assert told(metric, predicted, expected) == told(metric, predicted, expected)
    metric.reset()
    assert metric.compute() == pytest.approx(nothing, nan_ok=True)
    assert metric.interval() is None


@every()
def test_half_gathered_it_is_saved_and_goes_on_bit_for_bit(name):
    predicted, expected = batches(name)
    metric, again = metrics.get(name), metrics.get(name)
    fresh = metric.state()
    for start in (0, 5):
        metric.update(predicted[start : start + 5], expected[start : start + 5])
    state = metric.state()
    kept = flat(state)
    again.restore(state)
    assert flat(again.state()) == kept
    assert again.compute() == metric.compute()
    for one in (metric, again):
        one.update(predicted[10:], expected[10:])
    assert again.compute() == metric.compute()  # not nearly: the same bits
    assert flat(state) == kept  # what was saved is not what goes on
    metric.restore(fresh)
    assert flat(metric.state()) == flat(metrics.get(name).state())


def flat(state: object) -> str:
    """A state as text: only tensors, numbers, texts, lists and dicts of them are allowed."""
    if isinstance(state, dict):
        assert all(isinstance(key, str) for key in state)
        return str({key: flat(value) for key, value in state.items()})
    if isinstance(state, list):
        return str([flat(value) for value in state])
    if isinstance(state, Tensor):
        return f"{state.dtype} {state.tolist()}"
    assert state is None or isinstance(state, int | float | str)
    return repr(state)


@every()
def test_a_state_of_something_else_is_refused_and_changes_nothing(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    before = told(metric, predicted, expected)
    for wrong in ({}, {**metric.state(), "more": 1}):
        with pytest.raises(ConfigError, match="Expected the state"):
            metric.restore(wrong)
    if any(isinstance(value, dict) for value in metric.state().values()):
        wrong = {key: {"x": 1} for key in metric.state()}
        with pytest.raises(ConfigError, match="Expected the state"):
            metric.restore(wrong)
    assert metric.compute() == before


@every(WEIGHTED)
def test_a_weight_counts_as_so_many_examples(name):
    predicted, expected = batches(name)
    times = torch.arange(23) % 3 + 1
    metric = metrics.get(name)
    weighed = told(metric, predicted, expected, times.double())
    repeated = told(
        metric, predicted.repeat_interleave(times, 0), expected.repeat_interleave(times, 0)
    )
    assert weighed == pytest.approx(repeated, abs=1e-9)
    ones = told(metric, predicted, expected, torch.ones(23))
    assert ones == pytest.approx(told(metric, predicted, expected), abs=1e-12)
    metric.reset()
    metric.update(predicted, expected, times)
    state, again = metric.state(), metrics.get(name)
    again.restore(state)
    assert again.compute() == metric.compute()


@every(WEIGHTED)
def test_weights_that_do_not_fit_are_refused(name):
    predicted, expected = batches(name)
    with pytest.raises(ShapeError, match="Expected a weight for each of the 23 examples"):
        metrics.get(name).update(predicted, expected, torch.ones(22))


@every([name for name in EVERY if name not in WEIGHTED])
def test_weights_are_refused_where_they_mean_nothing(name):
    predicted, expected = batches(name)
    with pytest.raises(ConfigError, match="Expected no weights"):
        metrics.get(name).update(predicted, expected, torch.ones(23))


@every([name for name in EVERY if name not in ("mean_value", "sum_value")])
def test_values_that_do_not_fit_are_refused_and_change_nothing(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    before = told(metric, predicted, expected)
    with pytest.raises(ShapeError, match=r"(?s)Expected .*received .*Type: "):
        metric.update(predicted[:7], expected[:5])
    assert metric.compute() == before


@every([name for name in EVERY if name not in ("mean_value", "sum_value")])
def test_what_is_unknown_does_not_count(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    kept = told(metric, predicted[:15], expected[:15])
    hidden = expected.clone()
    hidden[15:] = math.nan if name in OF_NUMBERS else -1
    assert told(metric, predicted, hidden) == pytest.approx(kept, abs=1e-12)
    if metric.weighted:
        found = told(metric, predicted, hidden, torch.ones(23))
        assert found == pytest.approx(kept, abs=1e-12)


@every([name for name in EVERY if name not in ("mean_value", "sum_value", "poisson")])
def test_better_predictions_have_better_figures(name):
    _, expected = batches(name)
    metric = metrics.TopKAccuracy(k=1) if name == "top_k_accuracy" else metrics.get(name)
    if name == "cosine_similarity":
        expected = expected[:22].reshape(11, 2)
    if name in OF_NUMBERS:
        good, bad = expected + 1e-3, 1.7 - expected**2
    else:
        rows = torch.nn.functional.one_hot(expected, 2).double() * 0.9 + 0.05
        wrong = rows[torch.randperm(23, generator=torch.Generator().manual_seed(1))]
        good, bad = (rows, wrong) if metric.wants == "scores" else (
            rows.argmax(1), wrong.argmax(1)
        )  # fmt: skip
    better, worse = told(metric, good, expected), told(metric, bad, expected)
    assert better > worse if metric.higher_is_better else better < worse


@every()
def test_an_interval_holds_the_figure(name):
    predicted, expected = batches(name)
    metric = metrics.get(name)
    figure = told(metric, predicted, expected)
    interval = metric.interval()
    if interval is not None:
        assert interval[0] <= figure <= interval[1]


@every()
def test_near_misses_are_offered(name):
    with pytest.raises(UnknownNameError, match="Did you mean"):
        metrics.get(name + "x")


def test_aliases():
    for alias, wanted in contract._ALIASES.items():
        name, arguments = (wanted, {}) if isinstance(wanted, str) else wanted
        for spelt in (alias, alias.upper()):
            found = metrics.get(spelt)
            assert type(found) is lookup("metrics", name)
            assert arguments.items() <= found.config().items()
    with pytest.raises(UnknownNameError, match="Did you mean 'rmse'"):
        metrics.get("rmsee")
    with pytest.raises(LeptonError, match="Expected the name of a metric"):
        metrics.get(3)


def test_a_running_mean_is_saved_half_way():
    mean, again = Mean(), Mean()
    mean.update(torch.tensor(0.1), 3)
    again.restore(mean.state())
    for one in (mean, again):
        one.update(torch.tensor(0.7), 2)
    assert again.compute() == mean.compute() == pytest.approx(0.16)
    with pytest.raises(ConfigError, match="Expected the state of Mean"):
        again.restore({"total": torch.zeros(())})


def test_a_metric_of_ones_own_needs_nothing_more():
    class Longest(Metric):
        def __init__(self) -> None:
            self.reset()

        def reset(self) -> None:
            self.longest, self.seen = 0, [torch.zeros(1)]

        def update(self, predicted, expected):
            self.longest = max(self.longest, len(predicted))
            self.seen = [*self.seen, predicted]

        def compute(self) -> float:
            return float(self.longest)

    metric, again = Longest(), Longest()
    metric.update(torch.arange(4), torch.arange(4))
    assert metric.config() == {}
    assert not metric.weighted
    again.restore(metric.state())
    assert again.compute() == 4.0
    assert len(again.seen) == 2
