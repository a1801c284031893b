"""What every callback promises: Keras's order, a state that travels, and no trace of a pause."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai import callbacks, registry
from lepton_ai.callbacks.callback import Callback
from lepton_ai.extras import installed
from lepton_ai.training.packing import pack, unpack

NAMES = registry.names("callbacks")
Make = Callable[[Path], Callback]


def spoken(folder: Path) -> Callback:
    """Functions whose calls are told in a file."""

    def tell(*arguments: Any) -> None:
        with (folder / "calls").open("a") as file:
            file.write(f"{arguments}\n")

    return callbacks.LambdaCallback(
        on_epoch_begin=tell, on_epoch_end=tell, on_train_end=tell, on_train_batch_begin=tell,
        on_train_batch_end=tell,
    )  # fmt: skip


# One way to make each, such that it does something within six epochs. Add yours here.
CASES: dict[str, list[Make]] = {
    "csv_logger": [
        lambda folder: callbacks.CSVLogger(folder / "history.csv"),
        lambda folder: callbacks.CSVLogger(folder / "history.csv", ";", append=True),
    ],
    "early_stopping": [
        lambda _: callbacks.EarlyStopping("val_loss", min_delta=0.05, patience=2,
                                          restore_best_weights=True),
        lambda _: callbacks.EarlyStopping("accuracy", patience=1, baseline=2.0,
                                          start_from_epoch=2, restore_best_weights=True),
    ],
    "lambda_callback": [spoken],
    "learning_rate_scheduler": [
        lambda _: callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7, verbose=1)
    ],
    "mlflow": [lambda folder: callbacks.MLflow(
        "contract", tracking_uri=f"sqlite:///{folder}/mlflow.db")],
    "model_checkpoint": [
        lambda folder: callbacks.ModelCheckpoint(folder / "{epoch:02d}-{val_loss:.2f}", keep=2),
        lambda folder: callbacks.ModelCheckpoint(folder / "best", save_best_only=True,
                                                 save_weights_only=True),
        lambda folder: callbacks.ModelCheckpoint(folder / "at-{step}", save_freq=5, keep=2,
                                                 save_weights_only=True),
    ],
    "reduce_lr_on_plateau": [
        lambda _: callbacks.ReduceLROnPlateau("val_loss", 0.5, 1, min_delta=0.2, cooldown=1),
    ],
    "tensorboard": [lambda folder: callbacks.TensorBoard(folder / "logs", update_freq=2)],
    "terminate_on_nan": [lambda _: callbacks.TerminateOnNaN()],
}  # fmt: skip
NEEDS = {"mlflow": ("mlflow", "sqlalchemy"), "tensorboard": ("tensorboard",)}
PAIRS = [(name, place) for name in CASES for place in range(len(CASES[name]))]


def test_every_callback_has_a_case() -> None:
    assert set(CASES) == set(NAMES), "add the new callback to CASES, with what makes it act"


def made(name: str, place: int, folder: Path) -> Callback:
    missing = [module for module in NEEDS.get(name, ()) if not installed(module)]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    return CASES[name][place](folder)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_callback_that_the_folder_shows(name: str) -> None:
    kind = registry.lookup("callbacks", name)
    assert issubclass(kind, Callback)
    assert getattr(callbacks, kind.__name__) is kind
    assert ">>>" in (inspect.getdoc(kind) or "")


@pytest.mark.parametrize("name", NAMES)
def test_arguments_stand_under_their_names_and_in_the_repr(name: str, tmp_path: Path) -> None:
    kind = registry.lookup("callbacks", name)
    callback = CASES[name][0](tmp_path)
    taken = inspect.signature(kind.__init__).parameters
    if name == "lambda_callback":
        return  # its functions are kept together
    for argument in [n for n, p in taken.items() if n != "self" and p.kind is not p.VAR_KEYWORD]:
        if kind.__init__ is object.__init__:
            break
        assert hasattr(callback, argument), argument
        assert f"{argument}=" in repr(callback)


@pytest.mark.parametrize("name", NAMES)
def test_the_positional_order_is_that_of_keras(name: str) -> None:
    import keras

    kind = registry.lookup("callbacks", name)
    theirs = getattr(keras.callbacks, kind.__name__, None)
    if theirs is None:
        assert name == "mlflow"
        return
    ours = inspect.signature(kind.__init__).parameters.values()
    order = [p.name for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    their_order = [
        p.name for p in inspect.signature(theirs.__init__).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    assert order == their_order[: len(order)]


class Pause(Callback):
    """Stands for a callback; at one moment its state goes through a checkpoint to a fresh one."""

    def __init__(self, make: Callable[[], Callback], *, epoch: int = -1, step: int = -1) -> None:
        self.make, self.pause_epoch, self.pause_step = make, epoch, step
        self.inner = make()
        self.paused = 0

    def swap(self, trainer: Any) -> None:
        packed, tensors = pack(self.inner.state())
        kept = {key: tensor.clone() for key, tensor in tensors.items()}
        self.inner = self.make()
        self.inner.on_train_begin(trainer)
        self.inner.restore(unpack(packed, kept))
        self.paused += 1

    def on_train_begin(self, trainer: Any) -> None:
        self.inner.on_train_begin(trainer)

    def on_epoch_begin(self, trainer: Any, epoch: int) -> None:
        self.inner.on_epoch_begin(trainer, epoch)

    def on_batch_end(self, trainer: Any, step: int) -> None:
        self.inner.on_batch_end(trainer, step)
        if step == self.pause_step:
            self.swap(trainer)

    def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
        self.inner.on_epoch_end(trainer, epoch, logs)
        if epoch == self.pause_epoch:
            self.swap(trainer)

    def on_train_end(self, trainer: Any) -> None:
        self.inner.on_train_end(trainer)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    return x, (x[:, 0] + 0.8 * rng.normal(size=64) > 0).astype(int)


def trained(callback: Callback, folder: Path, **settings: Any) -> Any:
    """Six epochs of four steps, judged on other data, with a rate at which figures jump."""
    x, y = data()
    model = lai.models.Sequential([
        lai.layers.Dense(8, activation="relu", input_shape=(4,)),
        lai.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(lai.optimizers.Adam(0.05), "categorical_crossentropy", ["accuracy"])
    run = model.fit(
        x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=6, batch_size=12, seed=3,
        verbose=2, callbacks=[callback], workspace=folder / "home", **settings,
    )  # fmt: skip
    return model, run


def written(folder: Path) -> dict[str, Any]:
    """What stands in a folder: weights and text; what differs from run to run is left out."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found[name] = {k: v.tolist() for k, v in load_file(path).items()}
        elif path.is_file() and path.suffix in (".csv", "") and "tfevents" not in name:
            found[name] = path.read_text()
        elif path.is_dir():
            found[name] = "folder"
    return found


def lines(text: str) -> list[str]:
    """What was shown, without the times."""
    return [line.split(" - ")[0] if "ms/step" in line else line for line in text.splitlines()]


@pytest.mark.parametrize(("name", "place"), PAIRS, ids=[f"{n}-{p}" for n, p in PAIRS])
@pytest.mark.parametrize("pause", [{"epoch": 0}, {"epoch": 2}, {"step": 9}], ids=str)
def test_a_pause_leaves_no_trace(
    name: str, place: int, pause: dict[str, int], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    straight = tmp_path / "straight"
    model, run = trained(made(name, place, straight / "out"), straight)
    shown = lines(capsys.readouterr().out.replace(str(straight), ""))
    broken = tmp_path / "broken"
    paused = Pause(lambda: made(name, place, broken / "out"), **pause)
    other, again = trained(paused, broken)
    assert paused.paused == 1
    assert again.history == run.history
    assert lines(capsys.readouterr().out.replace(str(broken), "")) == shown
    for (key, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    assert {k: v for k, v in again.metrics.items() if k != "seconds"} == {
        k: v for k, v in run.metrics.items() if k != "seconds"
    }
    assert written(broken / "out") == written(straight / "out")


class Killed(Exception):
    """As sudden as a kill."""


class Kill(Callback):
    """Ends the process, as far as a test can."""

    def __init__(self, epoch: int | None) -> None:
        self.epoch = epoch

    def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
        if epoch == self.epoch:
            raise Killed


@pytest.mark.parametrize(("name", "place"), PAIRS, ids=[f"{n}-{p}" for n, p in PAIRS])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    name: str, place: int, tmp_path: Path
) -> None:
    straight = tmp_path / "straight"
    model, run = trained(made(name, place, straight / "out"), straight, checkpoint_every=3)
    broken = tmp_path / "broken"
    x, y = data()

    def attempt(kill: int | None) -> Any:
        torn = lai.models.Sequential([
            lai.layers.Dense(8, activation="relu", input_shape=(4,)),
            lai.layers.Dense(2, activation="softmax"),
        ])  # fmt: skip
        torn.compile(lai.optimizers.Adam(0.05), "categorical_crossentropy", ["accuracy"])
        again = torn.fit(
            x[:48], y[:48], validation_data=(x[48:], y[48:]), epochs=6, batch_size=12, seed=3,
            verbose=0, callbacks=[made(name, place, broken / "out"), Kill(kill)], resume=True,
            workspace=broken / "home", checkpoint_every=3,
        )  # fmt: skip
        return torn, again

    if run.epochs > 3:
        with pytest.raises(Killed):
            attempt(3)  # its last checkpoint is in the middle of this epoch
    other, again = attempt(None)
    assert again.history == run.history
    for (key, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    if name != "lambda_callback":  # its functions were called in the lost part too
        assert written(broken / "out") == written(straight / "out")


@pytest.mark.parametrize(("name", "place"), PAIRS, ids=[f"{n}-{p}" for n, p in PAIRS])
def test_it_can_be_used_again(name: str, place: int, tmp_path: Path) -> None:
    callback = made(name, place, tmp_path / "out")
    _, first = trained(callback, tmp_path)
    _, second = trained(callback, tmp_path)
    assert first.history == second.history


def test_all_of_them_get_along(tmp_path: Path) -> None:
    chosen = []
    for name, place in PAIRS:
        if all(installed(module) for module in NEEDS.get(name, ())):
            chosen.append(made(name, place, tmp_path / f"{name}{place}"))

    class All(Callback):
        def __getattribute__(self, hook: str) -> Any:
            if hook.startswith("on_"):
                return lambda *arguments: [getattr(c, hook)(*arguments) for c in chosen]
            return super().__getattribute__(hook)

    _, run = trained(All(), tmp_path)
    assert run.epochs >= 1
