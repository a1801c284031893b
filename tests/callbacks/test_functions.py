"""LambdaCallback calls as Keras does; TerminateOnNaN stops at once."""

from __future__ import annotations

import math
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.callbacks import LambdaCallback, TerminateOnNaN
from lepton_ai.errors import ConfigError

HOOKS = (
    "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin",
    "on_train_batch_end",
)  # fmt: skip


def watching(calls: list[tuple[Any, ...]]) -> dict[str, Any]:
    """A function for each hook that notes its name and numbers, not the figures."""

    def noting(hook: str) -> Any:
        def note(*arguments: Any, **named: Any) -> None:  # Keras gives logs by name
            count = len(arguments) + len(named)
            calls.append((hook, *(a for a in arguments if isinstance(a, int)), count))

        return note

    return {hook: noting(hook) for hook in HOOKS}


def test_the_order_of_calls_is_that_of_keras() -> None:
    import keras

    x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    theirs: list[tuple[Any, ...]] = []
    reference = keras.Sequential([keras.layers.Dense(1)])
    reference.compile("sgd", "mse")
    reference.fit(x, x.sum(axis=1), epochs=2, batch_size=8, verbose=0,
                  callbacks=[keras.callbacks.LambdaCallback(**watching(theirs))])  # fmt: skip
    ours: list[tuple[Any, ...]] = []
    model = lai.models.Sequential([lai.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
    model.fit(x, x.sum(axis=1), epochs=2, batch_size=8, verbose=0,
              callbacks=[LambdaCallback(**watching(ours))])  # fmt: skip
    assert ours == theirs


def test_figures_are_handed_over(stage: Any) -> None:
    seen: list[Any] = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)),
        on_train_batch_end=lambda batch, logs: seen.append((batch, logs)),
        on_train_end=seen.append,
    )
    stage.play(callback, [{"loss": 1.0}])
    assert seen == [(0, {"loss": 0.5}), (1, {"loss": 0.5}), (0, {"loss": 1.0}), {"loss": 1.0}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_epoch_ends": print}, "Did you mean 'on_epoch_end'"),
        ({"on_epoch_end": 3}, "on_epoch_end as a function"),
        ({"on_test_begin": print}, "It takes: on_epoch_begin"),
    ],
)
def test_typical_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LambdaCallback(**arguments)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_it_stops_at_the_first_batch_that_is_not_finite(stage: Any, loss: float) -> None:
    callback = TerminateOnNaN()
    stage.play(callback, [{"loss": 1.0}])
    assert stage.stopped is None
    stage.last_loss = loss
    callback.on_batch_end(stage, 11)
    assert stage.stopped == f"the loss of step 12 is {loss}"
