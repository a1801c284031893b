"""ONNX files answer like their models, for any batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="the extra 'optimize' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'optimize' is not installed")

import lepton_ai as lai
from lepton_ai import layers
from lepton_ai.errors import CertificateError, ConfigError, NotReadyError
from lepton_ai.optimization import onnx_file
from lepton_ai.optimization.onnx_file import to_onnx


def answer(path: Path, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run(None, given)


def picture() -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(0)
    model = lai.models.Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)), layers.BatchNormalization(),
        layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3, "softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    x = rng.normal(size=(20, 8, 8, 1)).astype("float32")
    model.fit(x, rng.integers(0, 3, 20), verbose=0, seed=0)
    return model, x


def test_any_batch_size(tmp_path: Path) -> None:
    model, x = picture()
    graph = to_onnx(model, tmp_path / "model.onnx")
    assert graph.inputs == ("x",)
    for count in (1, 2, 7):
        logits = answer(tmp_path / "model.onnx", {"x": x[:count]})[0]
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.abs(shares - model.predict(x[:count])).max() <= 1e-4
    assert sorted(p.name for p in tmp_path.glob("model*")) == ["model.onnx"]


def test_recurrent(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    model = lai.models.Sequential([
        layers.Embedding(20, 4, input_shape=(7,)), layers.Bidirectional(layers.LSTM(3)),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="mse")
    x = rng.integers(0, 20, (10, 7))
    model.fit(x, rng.normal(size=10), verbose=0, seed=0)
    graph = to_onnx(model, tmp_path / "model.onnx", data={"x": x})
    assert "LSTM" in graph.operators
    found = answer(tmp_path / "model.onnx", {graph.inputs[0]: x[:3]})[0]
    assert np.abs(found - model.predict(x[:3])).max() <= 1e-4


def test_an_answer_that_differs_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = picture()
    monkeypatch.setattr(
        onnx_file.OnnxRuntime, "run",
        lambda self, given: [a + 1 for a in self.session.run(list(self.outputs), given)],
    )  # fmt: skip
    with pytest.raises(CertificateError, match="'logits' differs by 1. Nothing was written"):
        to_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.glob("model*"))


def test_messages(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        to_onnx(lai.Model("convnet", "image_classification"), tmp_path / "model.onnx")
    model, _ = picture()
    for path in (tmp_path, tmp_path / "none" / "model.onnx"):
        with pytest.raises(ConfigError, match="model.onnx"):
            to_onnx(model, path)
