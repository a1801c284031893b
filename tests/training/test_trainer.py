"""What fit's settings do to the one loop, against plain loops and Keras's meaning of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError, TrainingError
from lepton_ai.models import Sequential
from lepton_ai.training.cost import WORTH_SPLITTING, multiply_adds

layers = lai.layers


def table(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(count, 5)).astype("float32")
    return x, (x @ rng.normal(size=5)).astype("float32")


def network(*more, optimizer="sgd") -> Sequential:
    model = Sequential([layers.Dense(4, activation="tanh", input_shape=(5,)), *more,
                        layers.Dense(1)])  # fmt: skip
    model.compile(optimizer=optimizer, loss="mse")
    return model


def weights(model: Sequential) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def trained(tmp_path: Path, *callbacks, model=None, **settings):
    model = model or network()
    x, y = table()
    chosen = {"epochs": 2, "batch_size": 16, "seed": 1, "verbose": 0} | settings
    run = model.fit(x, y, workspace=tmp_path, callbacks=callbacks, **chosen)
    return model, run


@pytest.mark.parametrize("replicas", [1, 2])
def test_accumulated_batches_are_one_large_batch(replicas: int, tmp_path: Path) -> None:
    large, _ = trained(tmp_path, batch_size=32, replicas=replicas, shuffle=False)
    small, _ = trained(tmp_path, batch_size=16, replicas=replicas, shuffle=False,
                       gradient_accumulation_steps=2)  # fmt: skip
    torch.testing.assert_close(weights(small), weights(large), rtol=1e-5, atol=1e-7)


def test_replicas_give_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    one, _ = trained(tmp_path, replicas=1)
    two, _ = trained(tmp_path, replicas=2)
    torch.testing.assert_close(weights(two), weights(one), rtol=1e-5, atol=1e-7)


def test_the_loop_is_a_plain_loop(tmp_path: Path) -> None:
    """One epoch in order, against the same steps written by hand."""
    model = network()
    x, y = table()
    start: list[dict] = []

    class Begin(Callback):
        def on_train_begin(self, trainer) -> None:
            start.append({k: v.clone() for k, v in trainer.model.state_dict().items()})

    trained(tmp_path, Begin(), model=model, epochs=1, shuffle=False, replicas=1)
    plain = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    with torch.no_grad():
        for own, given in zip(plain.parameters(), start[0].values(), strict=True):
            own.copy_(given if given.shape == own.shape else given.t())
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.01)
    for at in range(0, 64, 16):
        rows, wanted = torch.from_numpy(x[at : at + 16]), torch.from_numpy(y[at : at + 16])
        optimizer.zero_grad()
        ((plain(rows)[:, 0] - wanted) ** 2).mean().backward()
        optimizer.step()
    torch.testing.assert_close(
        torch.from_numpy(model.predict(x)), plain(torch.from_numpy(x)).detach(), rtol=1e-4,
        atol=1e-6,
    )  # fmt: skip


def test_steps_per_epoch_and_initial_epoch(tmp_path: Path) -> None:
    steps: list[int] = []

    class Count(Callback):
        def on_batch_end(self, trainer, step: int) -> None:
            steps.append(step)

    _, run = trained(tmp_path, Count(), epochs=5, initial_epoch=2, steps_per_epoch=3)
    assert len(steps) == 9
    assert run.epochs == 3
    with pytest.raises(ConfigError, match="initial_epoch below epochs"):
        trained(tmp_path, epochs=2, initial_epoch=2)


def test_validation_freq_leaves_epochs_out(tmp_path: Path) -> None:
    x, y = table()
    run = network().fit(x, y, validation_data=(x, y), epochs=5, validation_freq=2, verbose=0,
                        workspace=tmp_path)  # fmt: skip
    assert len(run.history["loss"]) == 5
    assert len(run.history["val_loss"]) == 3  # the second, the fourth, and the last


def test_clipping(tmp_path: Path) -> None:
    norms: list[float] = []

    class Look(Callback):
        def on_batch_end(self, trainer, step: int) -> None:
            grads = [p.grad for p in trainer.model.parameters()]
            norms.append(float(torch.cat([g.reshape(-1) for g in grads]).norm()))

    trained(tmp_path, Look(), clip_norm=0.01)
    assert max(norms) <= 0.01 + 1e-6
    norms.clear()
    trained(tmp_path, Look(), clip_value=0.001)
    assert max(norms) <= 0.001 * math.sqrt(29) + 1e-6


def test_a_callback_ends_training_after_a_step(tmp_path: Path) -> None:
    class Enough(Callback):
        def on_batch_end(self, trainer, step: int) -> None:
            if step == 2:
                trainer.stop("enough")

    _, run = trained(tmp_path, Enough(), epochs=9)
    assert run.epochs == 1
    assert run.status == "finished"


def test_a_callback_changes_the_rate(tmp_path: Path) -> None:
    rates: list[float] = []

    class Half(Callback):
        def on_epoch_end(self, trainer, epoch: int, logs) -> None:
            rates.append(trainer.learning_rate)
            trainer.learning_rate = trainer.learning_rate / 2

        def on_batch_end(self, trainer, step: int) -> None:
            assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(trainer.learning_rate)

    trained(tmp_path, Half(), epochs=3)
    assert rates == pytest.approx([0.01, 0.005, 0.0025])


def test_a_lost_loss_rolls_back_and_names_the_batch(tmp_path: Path) -> None:
    model = network(optimizer=lai.optimizers.SGD(1e30))
    seen: list[torch.Tensor] = []

    class Watch(Callback):
        def on_epoch_begin(self, trainer, epoch: int) -> None:
            seen.append(weights(trainer.model).clone())

    words = r"finite loss; the loss is .* in step \d.*examples \d+"
    with pytest.raises(TrainingError, match=words):
        trained(tmp_path, Watch(), model=model, epochs=3)
    assert torch.equal(weights(model), seen[-1])
    assert torch.isfinite(weights(model)).all()


def test_the_time_of_the_parts(tmp_path: Path, capsys) -> None:
    _, run = trained(tmp_path, breakdown=True, verbose=2, replicas=1)
    shares = run.metrics["breakdown"]
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert shares["forward"] > 0
    assert shares["backward"] > 0
    assert "Time of the steps" in capsys.readouterr().out


def test_small_networks_are_not_split(tmp_path: Path) -> None:
    counts: list[int] = []

    class Look(Callback):
        def on_train_begin(self, trainer) -> None:
            counts.append(len(trainer.replicas.modules))
            counts.append(int(multiply_adds(trainer.model, trainer.encoded, 16)))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trained(tmp_path, Look())
    finally:
        torch.set_num_threads(before)
    assert counts == [1, 16 * (5 * 4 + 4)]
    assert counts[1] < WORTH_SPLITTING


def test_multiply_adds_of_known_networks() -> None:
    pictures = np.zeros((4, 32, 32, 3), dtype="uint8")
    data = lai.Dataset({"image": pictures, "label": ["a", "b"] * 2})
    model = Sequential([
        layers.Conv2D(32, 3, activation="relu", input_shape=(32, 32, 3)), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(64, activation="relu"), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    counted: list[float] = []

    class Look(Callback):
        def on_train_begin(self, trainer) -> None:
            counted.append(multiply_adds(trainer.model, trainer.encoded, 1))

    model.fit(data, epochs=1, verbose=0, callbacks=[Look()])
    expected = 30 * 30 * 27 * 32 + 13 * 13 * 288 * 64 + 2304 * 64 + 64 * 2
    assert counted == [pytest.approx(expected)]


def test_frozen_everything(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(1, input_shape=(5,), trainable=False)])
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ConfigError, match="frozen"):
        trained(tmp_path, model=model)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 0, "above 0"), ("batch_size", True, "whole number"),
        ("clip_norm", -1, "clip_norm above 0"), ("average_decay", 1.5, "between 0 and 1"),
        ("precision", "bf16", "bfloat16"), ("resume", "maybe", "'close'"),
        ("gradient_accumulation_steps", 0, "above 0"), ("checkpoint_every", -1, "at least 0"),
        ("steps_per_epoch", 0, "above 0"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(name: str, value: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        trained(tmp_path, **{name: value})
    assert not (tmp_path / "runs").exists()
