"""TensorFlow's models answer as TensorFlow itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the extra 'optimize' is not installed")

from lepton_ai.errors import ArtifactError, DataError, IntegrityError, ShapeError
from lepton_ai.models.interop import load_tensorflow

FILES = Path(__file__).parent / "files"


def test_a_tflite_file() -> None:
    model = load_tensorflow(FILES / "convnet.tflite")
    answers = np.load(FILES / "convnet.npz")
    assert str(model.inputs[0]).endswith("[any, 6, 6, 2] float32")
    found = model.predict(answers["x"], batch_size=2)  # the last batch is a short one
    assert found.shape == answers["y"].shape
    assert np.abs(found - answers["y"]).max() <= 1e-5
    assert np.abs(model.predict(answers["x"].astype("float64")[:1]) - answers["y"][:1]).max() < 1e-5


def test_a_saved_model(tensorflow_files: Path) -> None:
    model = load_tensorflow(tensorflow_files / "network")
    answers = np.load(tensorflow_files / "network.npz")
    assert np.abs(model.predict(answers["x"]) - answers["y"]).max() <= 1e-5


def test_several_inputs_and_outputs(tensorflow_files: Path) -> None:
    model = load_tensorflow(tensorflow_files / "two")
    answers = np.load(tensorflow_files / "two.npz")
    given = {"right": answers["right"], "left": answers["left"]}
    for examples in (given, [answers[port.name] for port in model.inputs]):
        found = model.predict(examples)
        assert set(found) == {"sum", "other"}
        for name, array in found.items():
            assert np.abs(array - answers[name]).max() <= 1e-5
    with pytest.raises(DataError, match=r"'left' is missing.*Is 'lef' meant to be 'left'"):
        model.predict({"lef": given["left"], "right": given["right"]})
    with pytest.raises(DataError, match="received 1 arrays"):
        model.predict(given["left"])
    with pytest.raises(ShapeError, match="as many examples in each input; received"):
        model.predict({**given, "left": given["left"][:1]})


def test_a_fixed_batch_is_filled_up(tensorflow_files: Path) -> None:
    model = load_tensorflow(tensorflow_files / "fixed")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    assert np.allclose(model.predict(x), x @ np.ones((3, 2)), atol=1e-5)


def test_messages(tmp_path: Path) -> None:
    model = load_tensorflow(FILES / "convnet.tflite")
    x = np.zeros((2, 6, 6, 2), "float32")
    with pytest.raises(ShapeError, match=r"\[any, 6, 6, 2\] float32; received the shape \[2, 5"):
        model.predict(x[:, :5])
    with pytest.raises(ShapeError, match=r"Type x\[None\]"):
        model.predict(x[0])
    with pytest.raises(DataError, match="Expected numbers"):
        model.predict(np.array(["a"]))
    with pytest.raises(DataError, match="at least one example"):
        model.predict(x[:0])
    with pytest.raises(IntegrityError, match="is missing"):
        load_tensorflow(tmp_path / "none")
    with pytest.raises(ArtifactError, match=r"no saved_model.pb"):
        load_tensorflow(tmp_path)
    other = tmp_path / "model.keras"
    other.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(ArtifactError, match="load_keras"):
        load_tensorflow(other)
    cut = tmp_path / "cut.tflite"
    cut.write_bytes((FILES / "convnet.tflite").read_bytes()[:400])
    with pytest.raises(ArtifactError, match="cannot read"):
        load_tensorflow(cut)


def test_a_folder_that_leads_out_of_itself(tmp_path: Path, tensorflow_files: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tensorflow_files / "network", folder)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "variables" / "more").symlink_to(secret)
    with pytest.raises(IntegrityError, match="'more' leads out"):
        load_tensorflow(folder)
