"""EarlyStopping stops where Keras's does, and ends with the weights that were judged."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lepton_ai as lai
from lepton_ai.callbacks import EarlyStopping
from lepton_ai.errors import ConfigError
from lepton_ai.metrics.classification import Accuracy
from lepton_ai.metrics.regression import MeanAbsoluteError

figures = st.lists(
    st.integers(0, 6).map(lambda value: value / 4), min_size=1, max_size=12
)  # quarters are exact in binary, so both sides compare the same numbers


class Weights:
    """A model as far as Keras's callback looks at it: its weight is the number of the epoch."""

    def __init__(self) -> None:
        self.stop_training, self.weight = False, -1

    def get_weights(self) -> int:
        return self.weight

    def set_weights(self, weight: int) -> None:
        self.weight = weight


def keras_says(values: list[float], **arguments: Any) -> tuple[int, int]:
    """Epochs until Keras stops, and the epoch whose weights it ends with."""
    import keras

    callback = keras.callbacks.EarlyStopping("val_loss", **arguments)
    model = Weights()
    callback.set_model(model)
    callback.on_train_begin()
    epoch = 0
    for epoch, value in enumerate(values):
        model.weight = epoch
        callback.on_epoch_end(epoch, {"val_loss": value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch + 1, model.weight


@settings(max_examples=150, deadline=None)
@given(
    values=figures, patience=st.integers(0, 3), mode=st.sampled_from(["min", "max"]),
    min_delta=st.sampled_from([0.0, 0.25, 0.5]), start=st.integers(0, 3),
    baseline=st.sampled_from([None, 0.5, 1.0]), restore=st.booleans(),
)  # fmt: skip
def test_as_keras(
    *, values: list[float], patience: int, mode: str, min_delta: float,
    start: int, baseline: float | None, restore: bool,
) -> None:  # fmt: skip
    arguments = {
        "patience": patience, "mode": mode, "min_delta": min_delta, "start_from_epoch": start,
        "baseline": baseline, "restore_best_weights": restore,
    }  # fmt: skip
    model = torch.nn.Linear(1, 1, bias=False)
    trainer: Any = SimpleNamespace(
        model=model, settings=SimpleNamespace(), stopped=None, validation=None,
        run=SimpleNamespace(metrics={}, history={}),
    )  # fmt: skip
    trainer.stop = lambda reason: setattr(trainer, "stopped", reason)
    object.__setattr__(model, "task", None)
    callback = EarlyStopping("val_loss", **arguments)
    callback.on_train_begin(trainer)
    epoch = 0
    for epoch, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(epoch)
        callback.on_epoch_end(trainer, epoch, {"val_loss": value})
        if trainer.stopped:
            break
    callback.on_train_end(trainer)
    assert (epoch + 1, float(model.weight.detach())) == keras_says(values, **arguments)


def losses(*values: float) -> list[dict[str, float]]:
    return [{"val_loss": value} for value in values]


def test_it_says_how_long_it_waited(stage: Any) -> None:
    stage.play(EarlyStopping(patience=2), losses(1.0, 0.5, 0.6, 0.7, 0.1))
    assert stage.stopped == "val_loss has not got better for 2 epochs"
    assert stage.epoch == 3
    assert "best_epoch" not in stage.run.metrics


def test_the_best_weights_are_put_back(stage: Any) -> None:
    callback = EarlyStopping(patience=1, restore_best_weights=True, verbose=1)
    stage.play(callback, losses(1.0, 0.5, 0.6, 0.1))
    assert stage.weight == 1
    assert stage.run.metrics["best_epoch"] == 2
    assert stage.notes == ["The weights of epoch 2 are put back."]


def test_a_loss_that_is_not_a_number_is_never_the_best(stage: Any) -> None:
    callback = EarlyStopping(patience=3, restore_best_weights=True)
    stage.play(callback, losses(float("nan"), 0.5, float("nan"), 0.4))
    assert stage.stopped is None
    assert callback.best_ == 0.4


@pytest.mark.parametrize(
    ("monitor", "metrics", "small"),
    [
        ("val_loss", {}, True),
        ("val_accuracy", {"accuracy": Accuracy()}, False),
        ("mine", {"mine": MeanAbsoluteError()}, True),
        ("val_mine", {"mine": Accuracy()}, False),
        ("absolute_error", {}, True),
        ("f1", {}, False),
    ],
)
def test_auto_asks_the_metric(make_stage: Any, monitor: str, metrics: Any, small: bool) -> None:
    callback = EarlyStopping(monitor, patience=9)
    make_stage(metrics).play(callback, [{monitor: 0.2}, {monitor: 0.1}, {monitor: 0.3}])
    assert callback.best_ == (0.1 if small else 0.3)


def test_epochs_without_validation_do_not_count(stage: Any) -> None:
    stage.settings.validation_freq = 2
    callback = EarlyStopping(patience=2)
    epochs = [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}] * 4
    stage.play(callback, epochs)
    assert stage.epoch == 5  # judged at 1, 3 and 5
    assert callback.waited_ == 2


def test_a_figure_that_is_not_there(stage: Any) -> None:
    with pytest.raises(ConfigError, match=r"received 'val_los'. Did you mean 'val_loss'"):
        stage.play(EarlyStopping("val_los"), losses(1.0))
    stage.settings.validation_freq, stage.validation = 2, None
    with pytest.raises(ConfigError, match="need validation_data"):
        stage.play(EarlyStopping("val_loss"), [{"loss": 1.0}])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "mn"}, "Did you mean 'min'"),
        ({"patience": -1}, "patience as a whole number of at least 0"),
        ({"patience": 1.5}, "patience as a whole number"),
        ({"start_from_epoch": "2"}, "start_from_epoch"),
        ({"monitor": None}, "name of a figure"),
    ],
)
def test_typical_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EarlyStopping(**arguments)


def test_with_a_mean_of_the_weights_the_mean_is_what_is_kept() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    y = x.sum(axis=1)
    kept: list[float] = []

    class Judge(lai.callbacks.Callback):
        def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
            kept.append(logs["val_loss"])

    model = lai.models.Sequential([lai.layers.Dense(1, input_shape=(3,))])
    model.compile(lai.optimizers.SGD(0.05), "mse")
    stop = EarlyStopping(patience=9, restore_best_weights=True)
    model.fit(
        x, y, validation_data=(x, y), epochs=4, batch_size=16, seed=0, verbose=0,
        average_decay=0.9, callbacks=[stop, Judge()],
    )  # fmt: skip
    assert model.evaluate(x, y)[0] == pytest.approx(min(kept), rel=1e-6)
