"""Learning rates fall where Keras lets them fall."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lepton_ai as lai
from lepton_ai.callbacks import LearningRateScheduler, ReduceLROnPlateau
from lepton_ai.errors import ConfigError


def keras_rates(values: list[float], **arguments: Any) -> list[float]:
    import keras

    callback = keras.callbacks.ReduceLROnPlateau("val_loss", **arguments)
    model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=1.0), metrics=[])
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {"val_loss": value})
        rates.append(float(model.optimizer.learning_rate))
    return rates


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.integers(0, 6).map(lambda v: v / 4), min_size=1, max_size=14),
    factor=st.sampled_from([0.5, 0.25]), patience=st.integers(0, 3),
    mode=st.sampled_from(["min", "max"]), min_delta=st.sampled_from([0.0, 0.25]),
    cooldown=st.integers(0, 3), min_lr=st.sampled_from([0.0, 0.2]),
)  # fmt: skip
def test_plateaus_as_keras(values: list[float], **arguments: Any) -> None:
    callback = ReduceLROnPlateau("val_loss", **arguments)
    trainer: Any = SimpleNamespace(
        learning_rate=1.0, settings=SimpleNamespace(), model=SimpleNamespace(task=None)
    )
    callback.on_train_begin(trainer)
    rates = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(trainer, epoch, {"val_loss": value})
        rates.append(trainer.learning_rate)
    assert rates == pytest.approx(keras_rates(values, **arguments), rel=1e-6)


def test_it_says_what_it_does(stage: Any) -> None:
    callback = ReduceLROnPlateau(factor=0.1, patience=1, verbose=1)
    stage.play(callback, [{"val_loss": 1.0}, {"val_loss": 1.0}])
    assert stage.notes == ["val_loss has not got better: the learning rate is 0.1 from now on."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor between 0 and 1"),
        ({"factor": -0.1}, "factor between 0 and 1"),
        ({"min_lr": -1.0}, "min_lr"),
        ({"cooldown": -1}, "cooldown"),
        ({"mode": "maxi"}, "Did you mean 'max'"),
    ],
)
def test_typical_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ReduceLROnPlateau(**arguments)


def test_a_schedule_of_ones_own(stage: Any) -> None:
    seen = []

    def halved(epoch: int, rate: float) -> float:
        seen.append((epoch, rate))
        return rate / 2

    stage.play(LearningRateScheduler(halved, verbose=1), [{"loss": 1.0}] * 3)
    assert seen == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert stage.notes[-1] == "The learning rate of epoch 3 is 0.125."


@pytest.mark.parametrize("returned", [None, "much", -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(stage: Any, returned: Any) -> None:
    with pytest.raises(ConfigError, match="learning rate of at least 0"):
        stage.play(LearningRateScheduler(lambda epoch, rate: returned), [{"loss": 1.0}])
    assert stage.learning_rate == 1.0
    with pytest.raises(ConfigError, match="schedule='cosine'"):
        LearningRateScheduler("cosine")  # type: ignore[arg-type]


def test_the_optimiser_follows() -> None:
    import numpy as np

    rates = []

    class Rates(lai.callbacks.Callback):
        def on_batch_end(self, trainer: Any, step: int) -> None:
            rates.append(trainer.optimizer.param_groups[0]["lr"])

    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    model = lai.models.Sequential([lai.layers.Dense(1, input_shape=(3,))])
    model.compile(lai.optimizers.SGD(0.1), "mse")
    chosen = LearningRateScheduler(lambda epoch, rate: [0.1, 0.02, 0.004][epoch])
    model.fit(x, x.sum(axis=1), epochs=3, batch_size=16, callbacks=[chosen, Rates()], verbose=0)
    assert rates == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004])
