"""Finders try on a model and leave it as it was, bit for bit."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.errors import ConfigError, TrainingError
from lepton_ai.layers import BatchNormalization, Dense, Dropout
from lepton_ai.training import finders
from lepton_ai.training.finders import BatchSizes, LearningRates, find_batch_size
from lepton_ai.training.finders import find_learning_rate as find
from lepton_ai.training.memory import Memory, is_out_of_memory


def line(count: int = 128) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 4)).astype("float32")
    return x, x.sum(axis=1)


def linear(optimizer: Any = "sgd") -> Any:
    model = lai.models.Sequential([Dense(1, input_shape=(4,))])
    model.compile(optimizer, "mse")
    return model


def everything(model: nn.Module) -> dict[str, Any]:
    """All that could be changed about a model."""
    return {
        "state": {n: v.clone() for n, v in model.state_dict().items()},
        "grads": {n: None if p.grad is None else p.grad.clone()
                  for n, p in model.named_parameters()},
        "places": [p.data_ptr() for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "random": torch.get_rng_state(),
    }  # fmt: skip


def same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


# -- learning rates --------------------------------------------------------------------------


def test_the_suggestion_is_a_rate_that_trains() -> None:
    found = find(linear(), line(), steps=80, batch_size=32)
    # gradient descent on a square of unit variance is stable below 2 / largest eigenvalue of 2I
    assert 0.003 < found.suggestion < 0.9
    assert found.steepest <= found.best
    x, y = line()
    model = linear(lai.optimizers.SGD(found.suggestion))
    losses = model.fit(x, y, epochs=20, batch_size=32, seed=0, verbose=0).history["loss"]
    assert losses[-1] < 0.05 * losses[0]


def test_the_test_ends_once_the_loss_breaks() -> None:
    found = find(linear(), line(), steps=100, batch_size=32, smallest=1e-4, largest=1e4)
    assert len(found.rates) < 90
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert np.all(np.diff(found.rates) > 0)
    assert found.smoothed[-1] > min(found.smoothed)


def test_the_rates_are_those_that_the_optimiser_had(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    own = finders._Ramp.on_batch_end

    def watching(self: Any, trainer: Any, step: int) -> None:
        seen.append(trainer.optimizer.param_groups[0]["lr"])
        own(self, trainer, step)

    monkeypatch.setattr(finders._Ramp, "on_batch_end", watching)
    found = find(linear(lai.optimizers.SGD(0.3)), line(), smallest=1e-5, largest=1, steps=40)
    assert seen == pytest.approx(found.rates)
    assert found.rates[0] == pytest.approx(1e-5)


def test_the_smoothed_losses_are_means_of_those_before() -> None:
    found = find(linear(), line(), steps=40)
    weights = np.array([0.75**age for age in range(len(found.losses))])
    for place in (0, 5, len(found.losses) - 1):
        before = np.array(found.losses[: place + 1])[::-1]
        assert found.smoothed[place] == pytest.approx(
            (before * weights[: place + 1]).sum() / weights[: place + 1].sum()
        )


def test_steepest_and_suggestion_of_a_known_curve() -> None:
    ramp = finders._Ramp(1e-4, 1.0, 41)
    places = np.log10(ramp.rates)
    ramp.smoothed = (
        1 - 1 / (1 + np.exp(-6 * (places + 2))) + (places > -1) * (places + 1)
    ).tolist()
    ramp.losses = list(ramp.smoothed)
    found = ramp.result()
    assert found.steepest == pytest.approx(1e-2, rel=0.1)
    assert found.best == pytest.approx(1e-1, rel=0.1)
    assert found.suggestion == pytest.approx(math.sqrt(found.steepest * found.best / 10))


def test_a_loss_that_never_falls_has_no_suggestion() -> None:
    for seed in range(5):  # the batches differ, but no rate makes them better
        with pytest.raises(TrainingError, match=r"lai.doctor\(model, data\)"):
            find(linear(), line(), smallest=1e-12, largest=1e-10, steps=40, seed=seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"smallest": 0}, "0 < smallest < largest"),
        ({"smallest": 1, "largest": 0.1}, "0 < smallest < largest"),
        ({"steps": 3}, "steps as a whole number of at least 10"),
        ({"steps": 20.0}, "steps as a whole number"),
        ({"epochs": 3}, "received 'epochs'"),
        ({"optimiser": "sgd"}, "received 'optimiser'"),
        ({"batch_size": 0}, "batch_size as a whole number"),
    ],
)
def test_typical_mistakes(arguments: dict[str, Any], message: str) -> None:
    model = linear()
    with pytest.raises(ConfigError, match=message):
        find(model, line(), **arguments)
    assert not model.bound


@pytest.mark.parametrize("finder", ["learning_rate", "batch_size"])
def test_a_fitted_model_is_left_bit_for_bit(finder: str) -> None:
    x, y = line()
    model = lai.models.Sequential([
        Dense(8, activation="relu", input_shape=(4,)), BatchNormalization(), Dropout(0.3), Dense(1),
    ])  # fmt: skip
    model.compile("adam", "mse")
    run = model.fit(x, y, epochs=1, seed=0, verbose=0)
    before, figures = everything(model), copy.deepcopy(run.history)
    if finder == "learning_rate":
        find(model, (x, y), smallest=1e-4, steps=60)
    else:
        find_batch_size(model, (x, y), largest=32, steps=1)
    assert same(before, everything(model))
    assert model.run is run
    assert run.history == figures


def test_a_model_that_was_not_fitted_stays_so() -> None:
    model = linear()
    find(model, line(), steps=30)
    find_batch_size(model, line(), largest=16, steps=1)
    assert not model.bound


def test_the_same_seed_finds_the_same() -> None:
    first, second = (find(linear(), line(), steps=40, seed=3) for _ in range(2))
    assert first.losses == second.losses
    assert find(linear(), line(), steps=40, seed=4).losses != first.losses


@pytest.mark.parametrize("name", ["image_classification", "sequence_tagging", "tabular"])
def test_tasks(name: str) -> None:
    task = registry.lookup("tasks", name).example()
    data = lai.Dataset(task.sample(np.random.default_rng(0), 64), {**task.inputs, **task.outputs})
    model = lai.Model(None, task)
    model.fit(data, epochs=1, batch_size=16, seed=0, verbose=0)
    before = everything(model)
    sizes = find_batch_size(model, data, smallest=16, steps=1)
    assert sizes.sizes == [16, 32, 64]
    assert same(before, everything(model))


def test_nothing_is_written(own_workspace: Path) -> None:
    find(linear(), line(), steps=30)
    assert not own_workspace.exists()


# -- batch sizes -----------------------------------------------------------------------------


class Clock:
    """Each step takes 10 ms and a part of a millisecond for each example, up to a limit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
        self.now, self.seconds = 0.0, seconds
        clock = self
        own = finders._Stopwatch.on_batch_end

        def worked(self: Any, trainer: Any, step: int) -> None:
            clock.now += clock.seconds[self.size]
            own(self, trainer, step)

        monkeypatch.setattr(finders._Stopwatch, "on_batch_end", worked)

    def __call__(self) -> float:
        return self.now


def test_the_smallest_size_that_is_nearly_as_fast_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, {8: 0.1, 16: 0.1, 32: 0.1, 64: 0.19, 128: 0.37})
    found = find_batch_size(linear(), line(), clock=clock)
    assert found.sizes == [8, 16, 32, 64, 128]
    assert found.examples_per_second == pytest.approx([80, 160, 320, 64 / 0.19, 128 / 0.37])
    assert found.suggestion == 32  # 320 is 92 % of 346
    assert found.largest == 128
    assert found.ended == "there are 128 examples"
    assert "<-" in repr(found).splitlines()[3]


def test_it_stops_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hungry(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 32 and self.training:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")
            return self.linear(x)

    model = lai.Model(Hungry())
    model.compile("sgd", "mse")
    found = find_batch_size(model, line(), steps=1)
    assert found.sizes == [8, 16, 32]
    assert found.ended == "64 does not fit into memory"
    with pytest.raises(TrainingError, match="64 does not fit into memory"):
        find_batch_size(model, line(), smallest=64, steps=1)
    monkeypatch.setattr(Memory, "free", lambda self: 0.0)
    monkeypatch.setattr(finders, "ENOUGH", 0.0)
    found = find_batch_size(linear(), line(), steps=1, smallest=128)
    assert found.sizes == [128]


def test_other_errors_are_not_taken_for_memory() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
            return self.linear(x)

    model = lai.Model(Broken())
    model.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        find_batch_size(model, line(), steps=1)


@pytest.mark.parametrize("name", ["smallest", "largest", "steps"])
def test_counts_that_cannot_be(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} as a whole number above 0"):
        find_batch_size(linear(), line(), **{name: 0})


def test_memory_is_measured() -> None:
    memory = Memory(torch.device("cpu"))
    with memory.measuring() as used:
        numbers = np.ones(30_000_000)
        del numbers
    assert used.bytes > 150_000_000
    assert memory.free() > 0


@pytest.mark.parametrize(
    ("error", "full"),
    [(MemoryError(), True), (torch.OutOfMemoryError("x"), True), (RuntimeError("not enough memory: "
      "you tried to allocate"), True), (RuntimeError("shapes"), False), (ValueError("x"), False)],
)  # fmt: skip
def test_what_counts_as_out_of_memory(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) == full


# -- pictures and words ----------------------------------------------------------------------


def test_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rates = LearningRates([1e-3, 1e-2, 1e-1], [3.0, 2.0, 1.0], [3.0, 2.5, 2.0], 1e-2, 1e-1)
    figure = rates.plot(path=tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 1000
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert list(axes.lines[1].get_ydata()) == [3.0, 2.5, 2.0]
    sizes = BatchSizes([8, 16], [100.0, 200.0], [1, 2], 16, 16, "there are 16 examples")
    assert list(sizes.plot().axes[0].lines[0].get_ydata()) == [100.0, 200.0]


def test_it_reads_well() -> None:
    rates = LearningRates([1e-3, 1e-2, 1e-1], [3.0] * 3, [3.0] * 3, 1e-2, 1e-1)
    assert repr(rates) == (
        "learning_rate=0.01 (3 rates from 0.001 to 0.1 tried; the loss falls fastest at 0.01 and "
        "is least at 0.1)"
    )
