"""Going on with an interrupted run: where it may, where it must not, and what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError, TrainingError, WorkspaceError
from lepton_ai.models import Sequential
from lepton_ai.training import checkpoint, resuming

layers = lai.layers


class Interrupted(Exception):
    pass


class Stop(Callback):
    """Ends the process, as far as one test can: by an error after so many steps."""

    def __init__(self, *steps: int) -> None:
        self.steps = set(steps)

    def on_batch_end(self, trainer, step: int) -> None:
        if step + 1 in self.steps:
            self.steps.discard(step + 1)
            if trainer.saver.keeper is not None:
                trainer.saver.keeper.finish()
            raise Interrupted


def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(80, 6)).astype("float32")
    return x, (x @ rng.normal(size=6) + rng.normal(size=80) * 0.1).astype("float32")


def network(seed: int = 0, units: int = 8) -> Sequential:
    torch.manual_seed(seed)
    model = Sequential([
        layers.Dense(units, activation="tanh", input_shape=(6,)), layers.Dropout(0.2),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


def fit(workspace: Path, *callbacks: Callback, model: Sequential | None = None, **settings):
    model = model or network()
    x, y = table()
    chosen = {"epochs": 4, "batch_size": 8, "checkpoint_every": 1, "replicas": 1} | settings
    run = model.fit(
        x, y, validation_split=0.25, seed=2, verbose=0, workspace=workspace, callbacks=callbacks,
        **chosen,
    )  # fmt: skip
    return model, run


def same(first: Sequential, second: Sequential) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


STEPS = 4 * 8  # epochs x batches of the 60 examples that are left for training


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return fit(tmp_path_factory.mktemp("straight"))


def test_every_single_step_can_be_the_last(straight, tmp_path: Path) -> None:
    whole, run = straight
    for step in range(1, STEPS + 1):
        place = tmp_path / str(step)
        with pytest.raises(Interrupted):
            fit(place, Stop(step))
        again, resumed = fit(place, Stop(), resume=True)
        assert same(whole, again), step
        assert resumed.history == run.history, step
        assert len(list((place / "runs").iterdir())) == 1


def test_twice_in_one_epoch_and_at_its_edge(straight, tmp_path: Path) -> None:
    whole, run = straight
    for step in (10, 12, 16):
        with pytest.raises(Interrupted):
            fit(tmp_path, Stop(step), resume=True)
    again, resumed = fit(tmp_path, Stop(), resume=True)
    assert same(whole, again)
    assert resumed.history == run.history
    kept = (resumed.folder / "history.jsonl").read_bytes()
    assert kept == (run.folder / "history.jsonl").read_bytes()


def test_a_finished_run_is_not_trained_again(straight, tmp_path: Path) -> None:
    whole, run = straight
    shutil.copytree(run.folder.parent, tmp_path / "runs")
    counted = []

    class Count(Callback):
        def on_batch_end(self, trainer, step: int) -> None:
            counted.append(step)

    with pytest.raises(ConfigError, match="callbacks"):
        fit(tmp_path, Count(), resume=True)
    again, resumed = fit(tmp_path, resume=True)
    assert same(whole, again)
    assert resumed.history == run.history
    assert counted == []


def test_how_often_it_validates_or_saves_changes_nothing(straight, tmp_path: Path) -> None:
    whole, run = straight
    rarely, other = fit(tmp_path / "a", validation_freq=3, checkpoint_every=5)
    assert same(whole, rarely)
    assert other.history["loss"] == run.history["loss"]
    assert other.history["val_loss"] == [run.history["val_loss"][i] for i in (2, 3)]
    never, _ = fit(tmp_path / "b", checkpoint_every=0)
    assert same(whole, never)
    assert not list(tmp_path.glob("b/runs/*/checkpoints/*"))


def test_longer_than_it_was(straight, tmp_path: Path) -> None:
    longer, _ = fit(tmp_path / "whole", epochs=6)
    _, run = straight
    shutil.copytree(run.folder.parent, tmp_path / "runs")
    again, resumed = fit(tmp_path, epochs=6, resume=True)
    assert same(longer, again)
    assert resumed.epochs == 6


def test_other_settings_are_refused(straight, tmp_path: Path) -> None:
    _, run = straight
    shutil.copytree(run.folder.parent, tmp_path / "runs")
    with pytest.raises(ConfigError, match="batch_size=8 .now 4.*resume='close'"):
        fit(tmp_path, batch_size=4, resume=True)
    fit(tmp_path / "c", Stop(), epochs=4, schedule="cosine")
    with pytest.raises(ConfigError, match="epochs=4 .now 6"):
        fit(tmp_path / "c", Stop(), epochs=6, schedule="cosine", resume=True)


def test_another_machine_is_refused_unless_close_is_enough(
    straight, tmp_path: Path, monkeypatch
) -> None:
    _, run = straight
    with pytest.raises(Interrupted):
        fit(tmp_path, Stop(10))
    before = resuming.fingerprint
    monkeypatch.setattr(resuming, "fingerprint", lambda t: before(t) | {"threads": 64})
    with pytest.raises(ConfigError, match="threads .* .now 64.*resume='close'"):
        fit(tmp_path, Stop(), resume=True)
    _, resumed = fit(tmp_path, Stop(), resume="close")
    assert resumed.epochs == 4
    assert resumed.history["loss"][0] == run.history["loss"][0]


def test_another_model_or_other_data_begin_a_run_of_their_own(straight, tmp_path: Path) -> None:
    _, run = straight
    shutil.copytree(run.folder.parent, tmp_path / "runs")
    _, other = fit(tmp_path, model=network(units=9), resume=True)
    assert other.id != run.id
    assert other.epochs == 4


def test_two_trainers_on_one_run(tmp_path: Path) -> None:
    class Second(Callback):
        def on_epoch_end(self, trainer, epoch: int, logs) -> None:
            with pytest.raises(WorkspaceError, match=r"held by process \d+ on .*, since"):
                fit(tmp_path, Second(), resume=True)
            tried.append(epoch)

    tried: list[int] = []
    fit(tmp_path, Second(), epochs=1)
    assert tried == [0]


def test_damaged_checkpoints_are_put_aside(straight, tmp_path: Path) -> None:
    whole, run = straight
    with pytest.raises(Interrupted):
        fit(tmp_path, Stop(21))
    folder = next(tmp_path.glob("runs/*/checkpoints"))
    newest, older = checkpoint.found(folder)
    raw = bytearray((newest / checkpoint.TENSORS).read_bytes())
    raw[-5] ^= 1
    (newest / checkpoint.TENSORS).write_bytes(raw)
    lines: list[str] = []

    class Listen(Callback):
        def on_train_begin(self, trainer) -> None:
            trainer.note = lines.append

    with pytest.raises(Interrupted):
        fit(tmp_path / "b", Stop(21), Listen())
    again, resumed = fit(tmp_path, Stop(), resume=True)
    assert same(whole, again)
    assert resumed.history == run.history
    assert (folder / f"damaged-{newest.name}").is_dir()
    assert not older.exists()  # newer ones took its place


def test_a_checkpoint_of_another_model_changes_nothing(straight, tmp_path: Path) -> None:
    model, run = straight
    path = checkpoint.found(run.folder / "checkpoints")[0]
    _, state = checkpoint.read(path)
    other = network(units=9)
    x, y = table()
    other.bind({"x": x, "y": y}) if other.task.plain is None else None
    before = {k: v.clone() for k, v in other.state_dict().items()}
    from lepton_ai.training.weights import put_tensors

    with pytest.raises(TrainingError, match="checkpoint of this model"):
        put_tensors(other, state["model"])
    assert all(torch.equal(before[k], v) for k, v in other.state_dict().items())


def test_what_a_checkpoint_cannot_hold_is_named(tmp_path: Path) -> None:
    class Odd(Callback):
        def state(self):
            return {"file": object()}

    with pytest.raises(TrainingError, match=r"callbacks\[0\]\[1\].file is a object"):
        fit(tmp_path, Odd())


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path, monkeypatch) -> None:
    real = checkpoint._write
    failing = {3, 4}

    def full(parent, step, *rest):
        if step in failing:
            raise OSError(28, "No space left on device")
        return real(parent, step, *rest)

    monkeypatch.setattr(checkpoint, "_write", full)
    _, run = fit(tmp_path, epochs=1)
    assert run.status == "finished"
    assert checkpoint.newest(run.folder / "checkpoints") is not None
    failing.update(range(100))
    with pytest.raises(TrainingError, match="3 in a row failed.*resume=True"):
        fit(tmp_path / "b", epochs=1)
    assert json.loads(next(tmp_path.glob("b/runs/*/run.json")).read_text())["status"] != "finished"


def test_what_a_stateful_layer_carries_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5, 3)).astype("float32")

    def train(place: Path, *callbacks: Callback, **settings):
        torch.manual_seed(0)
        model = Sequential([layers.LSTM(4, stateful=True, input_shape=(5, 3)), layers.Dense(1)])
        model.compile("adam", loss="mse")
        model.fit(x, x[:, 0, 0], batch_size=8, epochs=2, shuffle=False, seed=1, verbose=0,
                  checkpoint_every=1, workspace=place, callbacks=callbacks, **settings)  # fmt: skip
        return model

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Stop(8))
    assert same(whole, train(tmp_path / "cut", Stop(), resume=True))
