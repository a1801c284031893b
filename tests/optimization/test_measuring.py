"""Measuring in turns, budgets, and how far answers are apart."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from lepton_ai.errors import ConfigError
from lepton_ai.metrics.classification import Accuracy, LogLoss
from lepton_ai.optimization.budget import Budget, seconds
from lepton_ai.optimization.comparing import drop
from lepton_ai.optimization.measuring import Plan, race, torch_threads
from lepton_ai.optimization.step import first_line


def test_a_race_calls_both_alike_and_tells_which_is_faster():
    calls = {"slow": 0, "quick": 0}

    def slow(value):
        calls["slow"] += 1
        time.sleep(0.004)

    def quick(value):
        calls["quick"] += 1
        time.sleep(0.0005)

    plan = Plan(3, True, 9, 0.2)
    timing = race(slow, quick, [1, 2, 3], batch_size=4, plan=plan, rng=np.random.default_rng(0))
    assert calls["slow"] == calls["quick"] >= 3 + 9 * 4
    assert timing.speedup > 2
    assert timing.low <= timing.speedup <= timing.high
    assert timing.original > timing.median
    assert timing.per_second == pytest.approx(4000 / timing.median)
    assert timing.p95 >= timing.median
    assert timing.rounds == 9


def test_sleeping_is_no_work():
    def sleeping(value):
        time.sleep(0.003)

    def working(value):
        begin = time.process_time()
        while time.process_time() - begin < 0.0015:
            pass

    plan = Plan(1, False, 9, 0.05)
    timing = race(sleeping, working, [0], batch_size=1, plan=plan, rng=np.random.default_rng(0))
    assert timing.original_cpu < 1.0 < 1.4 < timing.cpu
    assert timing.cpu_speedup < 0.7


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5min", 300), ("30s", 30), ("1.5 h", 5400), (20, 20), (0.5, 0.5), ("200ms", 0.2),
     ("2 minutes", 120), ("1 hour", 3600), ("10", 10), (None, float("inf"))],
)  # fmt: skip
def test_times_are_read_as_people_write_them(text, expected):
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["soon", "5 apples", "-3s", "", "1e400x"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(ConfigError, match="5min"):
        seconds(text)


def test_a_budget_runs():
    budget = Budget("1h")
    assert 3590 < budget.left <= 3600
    assert Budget(0).left <= 0


def test_a_drop_is_positive_when_it_is_worse():
    assert drop(0.9, 0.8, Accuracy()) == pytest.approx(0.1)
    assert drop(2.0, 2.2, LogLoss()) == pytest.approx(0.1)
    assert drop(2.0, 1.8, None) == pytest.approx(-0.1)


def test_threads_come_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), torch_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_errors_of_converters_are_told_in_a_line():
    inner = ValueError("Exception from src/core.cpp:1:\n\nthe operator Foo is not known\nmore")
    outer = RuntimeError("conversion failed")
    outer.__cause__ = inner
    assert first_line(outer) == "ValueError: the operator Foo is not known"
    assert first_line(ConfigError("x" * 300)).endswith("...")
