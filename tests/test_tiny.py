"""The whole stack in one file: data, fit, evaluate, explain, optimise, serve. Read this first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lepton_ai as lai


@pytest.fixture(scope="module")
def pictures() -> lai.Dataset:
    """Noise with a bright square at the left or at the right: two classes a child could tell."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (160, 16, 16, 3), dtype=np.uint8)
    side = rng.integers(0, 2, 160)
    for image, right in zip(images, side, strict=True):
        image[4:12, 9:15] = 230 if right else image[4:12, 9:15]
        image[4:12, 1:7] = image[4:12, 1:7] if right else 230
    return lai.Dataset({"image": images, "label": np.array(["left", "right"])[side]})


@pytest.fixture(scope="module")
def model(pictures: lai.Dataset, tmp_path_factory: pytest.TempPathFactory) -> lai.Model:
    train, test = pictures.split(0.25, stratify="label")
    model = lai.Model("convnet", "image_classification", filters=(8, 16))
    run = model.fit(
        train, validation_data=test, epochs=6, batch_size=16, seed=1, verbose=0,
        workspace=tmp_path_factory.mktemp("workspace"),
    )  # fmt: skip
    assert len(run.history["val_accuracy"]) == 6
    return model


def test_check(pictures: lai.Dataset) -> None:
    report = lai.check(pictures)
    assert report.passed, report.to_text()


def test_evaluate(model: lai.Model, pictures: lai.Dataset) -> None:
    assert lai.evaluate(model, pictures)["accuracy"] > 0.95


def test_predict_one_and_many(model: lai.Model, pictures: lai.Dataset) -> None:
    many = model.predict(pictures[:5])
    one = model.predict(pictures[0])
    assert one["label"] == many["label"][0].as_py()
    assert np.allclose(many["label.scores"].sum(axis=1), 1, atol=1e-5)


def test_saved_and_loaded_it_predicts_the_same_bits(
    model: lai.Model, pictures: lai.Dataset, tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    before, after = model.predict(pictures), again.predict(pictures)
    assert before["label"].equals(after["label"])
    assert np.array_equal(before["label.scores"], after["label.scores"])


def test_explain(model: lai.Model, pictures: lai.Dataset) -> None:
    explanation = lai.explain(model, pictures[0])
    assert "<" in explanation.to_html()
    assert explanation.to_json()["prediction"]


def test_optimize_never_returns_something_slower(model: lai.Model, pictures: lai.Dataset) -> None:
    fast = lai.optimize(model, data=pictures, budget="20s", verbose=0)
    assert fast.task is model.task or fast.task.to_config() == model.task.to_config()
    assert lai.evaluate(fast, pictures)["accuracy"] > 0.95


def test_serve_and_connect(model: lai.Model, pictures: lai.Dataset) -> None:
    with lai.serve(model, port=0) as service:
        remote = lai.connect(service.url)
        local, far = model.predict(pictures[:8]), remote.predict(pictures[:8])
        assert local["label"].equals(far["label"])
        assert np.abs(local["label.scores"] - far["label.scores"]).max() < 1e-5
        assert lai.evaluate(remote, pictures)["accuracy"] > 0.95
