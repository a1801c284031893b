"""Programs written as in Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai import layers


def digits(count: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    pictures = rng.integers(0, 60, (count, 12, 12, 1), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        picture[:, label * 4 : label * 4 + 4] += 150
    return pictures, labels


def network(**last: object) -> lai.models.Sequential:
    return lai.models.Sequential([
        layers.Conv2D(8, 3, activation="relu", input_shape=(12, 12, 1)),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(3, **(last or {"activation": "softmax"})),
    ])  # fmt: skip


def test_arrays_in_arrays_out() -> None:
    x, y = digits()
    model = network()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x / 255.0, y, epochs=8, batch_size=16, validation_split=0.25, seed=0, verbose=0
    )
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history.history["loss"]) == 8
    probabilities = model.predict(x / 255.0)
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.shape == (96, 3)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    loss, accuracy = model.evaluate(x / 255.0, y)
    assert accuracy == np.mean(probabilities.argmax(1) == y) > 0.9
    assert model.evaluate(x / 255.0, y, return_dict=True) == {"loss": loss, "accuracy": accuracy}


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("end", ["softmax", "logits", "sigmoid"])
def test_labels_as_numbers_or_one_hot_and_any_end(one_hot: bool, end: str) -> None:
    x, y = digits()
    targets = np.eye(3)[y] if one_hot else y
    model = network(activation=None if end == "logits" else end)
    loss = lai.losses.CategoricalCrossentropy(from_logits=end == "logits")
    model.compile(optimizer=lai.optimizers.Adam(0.01), loss=loss, metrics=["accuracy"])
    run = model.fit(x / 255.0, targets, epochs=8, batch_size=16, seed=0, verbose=0)
    assert run.history["accuracy"][-1] > 0.9


def test_a_dataset_gives_columns_and_names() -> None:
    x, y = digits()
    data = lai.Dataset({"image": x, "label": np.array(["a", "b", "c"])[y]})
    model = network()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(data, epochs=6, batch_size=16, seed=0, verbose=0)
    predicted = model.predict(data[:4])
    assert set(predicted) == {"label", "label.scores"}
    assert set(predicted["label"].to_pylist()) <= {"a", "b", "c"}


@pytest.mark.parametrize("plain", [True, False])
def test_saved_and_loaded(tmp_path: Path, plain: bool) -> None:
    x, y = digits()
    model = network()
    model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=["accuracy"])
    data = lai.Dataset({"image": x, "label": np.array(["a", "b", "c"])[y]})
    model.fit(*((x / 255.0, y) if plain else (data,)), epochs=1, seed=0, verbose=0)
    model.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    given = x / 255.0 if plain else data
    a, b = model.predict(given), again.predict(given)
    assert np.array_equal(a, b) if plain else np.array_equal(a["label.scores"], b["label.scores"])


def test_pooling_before_relu_changes_nothing() -> None:
    import torch

    x, y = digits()
    model = network()
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    model.fit(x / 255.0, y, epochs=1, seed=0, verbose=0)
    stack = model.network.module
    values = torch.rand(5, 1, 12, 12)
    fused = stack(values)
    stack.plan = ["whole"] * len(stack.plan)
    assert torch.equal(fused, stack(values))


def test_binary_and_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 4)).astype("float32")
    yes = (x[:, 0] > 0).astype(int)
    model = lai.models.Sequential([layers.Dense(8, activation="relu", input_shape=(4,)),
                                   layers.Dense(1, activation="sigmoid")])  # fmt: skip
    model.compile(
        optimizer=lai.optimizers.Adam(0.02), loss="binary_crossentropy", metrics=["accuracy"]
    )
    assert model.fit(x, yes, epochs=20, seed=0, verbose=0).history["accuracy"][-1] > 0.9
    line = lai.models.Sequential([layers.Dense(1, input_shape=(4,))])
    line.compile(optimizer=lai.optimizers.Adam(0.1), loss="mse", metrics=["r2"])
    assert line.fit(x, x @ [1.0, -2, 0, 3], epochs=40, seed=0, verbose=0).history["r2"][-1] > 0.95


def test_regularizers_count() -> None:
    x = np.ones((32, 4), dtype="float32")

    def loss_with(regularizer: object) -> float:
        model = lai.models.Sequential([
            layers.Dense(
                1, input_shape=(4,), kernel_initializer="ones", kernel_regularizer=regularizer,
            )
        ])  # fmt: skip
        model.compile(optimizer=lai.optimizers.SGD(1e-9), loss="mse")
        return model.fit(x, np.full(32, 4.0), epochs=1, seed=0, verbose=0).history["loss"][0]

    assert loss_with(None) == pytest.approx(0, abs=1e-6)
    assert loss_with({"l2": 0.5}) == pytest.approx(2.0, abs=1e-4)


def test_sequences_of_numbers() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 20, (200, 12))
    yes = (tokens == 7).any(axis=1).astype(int)
    model = lai.models.Sequential([
        layers.Embedding(20, 8, mask_zero=True), layers.LSTM(16),
        layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer=lai.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy",
                  metrics=["accuracy"])  # fmt: skip
    assert (
        model.fit(tokens, yes, epochs=25, batch_size=32, seed=0, verbose=0).history["accuracy"][-1]
        > 0.9
    )


def test_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = digits()
    model = network()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 255.0, y, epochs=2, batch_size=16, validation_data=(x / 255.0, y), seed=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Train on 96 samples, validate on 96 samples"
    assert lines[1] == "Epoch 1/2"
    import re

    figures = "".join(rf" - {n}: [\d.]+" for n in ("loss", "accuracy", "val_loss", "val_accuracy"))
    shape = r"96/96 \[=+\] - \d+s \d+ms/step" + figures
    assert re.fullmatch(shape, lines[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.compile(optimizer="adm", loss="mse"), "Did you mean 'adam'"),
        (lambda m: m.compile(optimizer="adam", loss="categorical_crosentropy"), "Did you mean"),
        (
            lambda m: m.compile(optimizer="adam", loss="mse", metrics=["acuracy"]),
            "Did you mean 'accuracy'",
        ),
        (lambda m: m.add("Dense"), "lai.layers.Dense"),
        (lambda m: m.compile(optimizer="adam"), "Expected a loss"),
    ],
)
def test_typical_mistakes(change: object, message: str) -> None:
    with pytest.raises(lai.LeptonError, match=message):
        change(network())  # type: ignore[operator]


def test_shapes_that_do_not_fit_say_what_to_type() -> None:
    x, y = digits()
    model = network()
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    with pytest.raises(lai.errors.LeptonError, match=r"\(12, 12, 1\)|\[12, 12, 1\]"):
        model.fit(x[:, :10] / 255.0, y, verbose=0)
    other = network()
    other.compile(optimizer="adam", loss="categorical_crossentropy")
    with pytest.raises(lai.errors.LeptonError, match="Dense\\(6"):
        other.fit(x / 255.0, y + 3, epochs=1, verbose=0)
    with pytest.raises(lai.errors.LeptonError, match="with a task; this one has none"):
        network().fit(x, y)


def test_clips_of_five_axes() -> None:
    clips = np.random.default_rng(0).random((12, 4, 6, 6, 2)).astype("float32")
    model = lai.models.Sequential([
        layers.Conv3D(3, 2, activation="relu", input_shape=(4, 6, 6, 2)), layers.MaxPooling3D(),
        layers.Flatten(), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.fit(clips, np.arange(12) % 2, epochs=1, verbose=0)
    assert model.predict(clips).shape == (12, 2)


def test_a_number_of_a_data_set_is_answered_in_its_own_unit() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype("float32")
    price = x @ [30.0, -10.0, 5.0] + 400
    data = lai.Dataset({"x": x, "price": price})
    model = lai.models.Sequential(
        [layers.Dense(1, bias_initializer={"name": "constant", "value": 400.0})]
    )
    model.compile(optimizer=lai.optimizers.Adam(0.5), loss="mse", metrics=["mae"])
    model.fit(data, epochs=15, batch_size=50, seed=0, verbose=0)
    found = model.predict(data)["price"]
    assert np.abs(found - price).mean() == pytest.approx(model.evaluate(data)[1], rel=1e-2)
    assert np.abs(found - price).mean() < 10
