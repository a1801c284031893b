"""ModelCheckpoint: what it writes loads again, and it never writes where it was not told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import lepton_ai as lai
from lepton_ai.callbacks import ModelCheckpoint
from lepton_ai.callbacks.model_checkpoint import filled
from lepton_ai.errors import ConfigError


def fitted(*chosen: Any, **settings: Any) -> tuple[lai.Model, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    model = lai.models.Sequential([lai.layers.Dense(1, input_shape=(3,))])
    model.compile(lai.optimizers.SGD(0.05), "mse")
    model.fit(
        x, x.sum(axis=1), validation_data=(x, x.sum(axis=1)), epochs=4, batch_size=16, seed=0,
        verbose=0, callbacks=chosen, **settings,
    )  # fmt: skip
    return model, x


def test_each_epoch_is_saved_and_the_newest_are_kept(tmp_path: Path) -> None:
    model, x = fitted(ModelCheckpoint(tmp_path / "kept" / "{epoch:02d}-{val_loss:.3f}", keep=2))
    folders = sorted(path.name for path in (tmp_path / "kept").iterdir())
    history = model.run.history["val_loss"]  # type: ignore[union-attr]
    assert folders == [f"03-{history[2]:.3f}", f"04-{history[3]:.3f}"]
    again = lai.load(tmp_path / "kept" / folders[-1])
    assert np.array_equal(again.predict(x), model.predict(x))


def test_saving_does_not_change_the_training(tmp_path: Path) -> None:
    plain, _ = fitted()
    watched, _ = fitted(ModelCheckpoint(tmp_path / "at-{step}", save_freq=1))
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    assert len(list(tmp_path.glob("at-*"))) == 8


def test_only_the_best(stage: Any, tmp_path: Path) -> None:
    callback = ModelCheckpoint(
        tmp_path / "best", save_best_only=True, save_weights_only=True, verbose=1,
        initial_value_threshold=0.9,
    )  # fmt: skip
    stage.play(callback, [{"val_loss": value} for value in (1.0, 0.5, 0.7, 0.4, 0.6)])
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    assert float(load_file(tmp_path / "best.safetensors")["weight"]) == 3
    assert [note.split(":")[0] for note in stage.notes] == ["Epoch 2", "Epoch 4"]


def test_every_so_many_steps(stage: Any, tmp_path: Path) -> None:
    callback = ModelCheckpoint(
        tmp_path / "{epoch}-{step}-{loss:.1f}", save_freq=3, save_weights_only=True
    )
    stage.play(callback, [{"loss": 1.0}] * 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2-3-0.5.safetensors", "3-6-0.5.safetensors",
    ]  # fmt: skip


def test_only_what_it_wrote_is_removed(stage: Any, tmp_path: Path) -> None:
    other = tmp_path / "0.safetensors"
    other.write_text("mine")
    callback = ModelCheckpoint(tmp_path / "{epoch}", save_weights_only=True, keep=1)
    stage.play(callback, [{"loss": 1.0}] * 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.safetensors", "3.safetensors"]
    assert other.read_text() == "mine"


def test_a_write_that_fails_leaves_the_file_before(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = ModelCheckpoint(tmp_path / "last", save_weights_only=True)
    stage.play(callback, [{"loss": 1.0}])
    before = (tmp_path / "last.safetensors").read_bytes()

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lepton_ai.callbacks.model_checkpoint.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        callback.on_epoch_end(stage, 1, {"loss": 0.5})
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filepath": "best.keras"}, r"Type: ModelCheckpoint\('best'\)"),
        (
            {"filepath": "kept/w.weights.h5", "save_weights_only": True},
            r"ModelCheckpoint\('kept/w.safetensors', save_weights_only=True\)",
        ),
        ({"filepath": ""}, "a path to save to"),
        ({"filepath": "{epoch"}, "cannot be read"),
        ({"filepath": "{epoch.real}"}, "name of a figure in braces"),
        ({"filepath": "{0}"}, "name of a figure in braces"),
        ({"filepath": "{epoch[0]}"}, "name of a figure in braces"),
        ({"filepath": "a", "save_freq": 0}, "save_freq"),
        ({"filepath": "a", "save_freq": "step"}, "save_freq"),
        ({"filepath": "a", "save_freq": 5, "save_best_only": True}, "save_freq='epoch'"),
        ({"filepath": "a", "keep": 0}, "keep as a whole number of at least 1"),
    ],
)
def test_typical_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelCheckpoint(**arguments)


def test_a_figure_that_is_not_there(stage: Any, tmp_path: Path) -> None:
    callback = ModelCheckpoint(tmp_path / "{val_acc:.2f}", save_weights_only=True)
    with pytest.raises(ConfigError, match="Did you mean 'val_accuracy'"):
        stage.play(callback, [{"val_accuracy": 0.5}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "template",
    ["{epoch:/>9}", "{epoch:.>9}", "{epoch:\\>9}", "{epoch:\0>9}", "{epoch!r}", "{epoch:{step}}",
     "{epoch:x^9999999}"[:12] + "/}", "{epoch:%Y}"],
)  # fmt: skip
def test_a_format_cannot_leave_the_folder(template: str) -> None:
    with pytest.raises(ConfigError):
        filled(template, {"epoch": 1, "step": 2})


@given(form=st.text(alphabet="0123456789.<>^=+-,_%bcdeEfFgGnosxX/\\ ", max_size=6))
def test_whatever_the_format_the_name_stays_one_name(form: str) -> None:
    try:
        name = filled("kept/{loss:" + form + "}", {"loss": 12.5})
    except ConfigError:
        return
    parts = name.split("/")
    assert len(parts) == 2
    assert "\\" not in name
    assert ".." not in name


def test_values_that_are_not_finite_have_names(tmp_path: Path) -> None:
    assert filled("{loss:.2f}", {"loss": float("nan")}) == "nan"
    assert filled("{loss:.2f}", {"loss": float("-inf")}) == "-inf"
