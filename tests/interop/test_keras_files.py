"""Models that the real Keras saved answer here as there, and can be trained further."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lepton_ai as lai

keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
h5py = pytest.importorskip("h5py", reason="the extra 'interop' is not installed")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)

from lepton_ai.models.interop import load_keras

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
L = keras.layers


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def shaken(model: Any) -> Any:
    """The model with random weights, statistics too."""
    rng = np.random.default_rng(1)
    weights = []
    for value, variable in zip(model.get_weights(), model.weights, strict=True):
        drawn = rng.normal(size=value.shape) * 0.4
        weights.append(np.abs(drawn) + 0.2 if "variance" in variable.path else drawn)
    model.set_weights([np.asarray(value, "float32") for value in weights])
    return model


def convolutions() -> tuple[Any, Any]:
    inner = keras.Sequential([L.Dense(7), L.BatchNormalization(), L.LeakyReLU(0.1)])
    return keras.Sequential([
        keras.Input((12, 10, 3)), L.Rescaling(0.5, -1.0),
        L.Conv2D(5, 3, padding="same", activation="relu", kernel_regularizer="l2"),
        L.BatchNormalization(), L.MaxPooling2D(), L.SeparableConv2D(6, 3, 2, "same"),
        L.DepthwiseConv2D(3, depth_multiplier=2), L.GlobalAveragePooling2D(), L.Dropout(0.3),
        inner, L.Dense(4, "softmax", kernel_constraint="max_norm"),
    ]), draw(5, 12, 10, 3)  # fmt: skip


def maps() -> tuple[Any, Any]:
    return keras.Sequential([
        keras.Input((6, 5, 2)), L.ZeroPadding2D(((1, 0), (2, 1))), L.Conv2DTranspose(4, 2, 2),
        L.UpSampling2D(2), L.Cropping2D(2), L.PReLU(shared_axes=[1, 2]), L.ReLU(6.0),
        L.GroupNormalization(2), L.LayerNormalization(), L.AveragePooling2D(2),
        L.Flatten(), L.Dense(3, "tanh"),
    ]), draw(3, 6, 5, 2)  # fmt: skip


def clips() -> tuple[Any, Any]:
    return keras.Sequential([
        keras.Input((5, 6, 6, 1)), L.Conv3D(3, 2, activation="elu"), L.MaxPooling3D(2),
        L.GlobalMaxPooling3D(), L.Dense(2),
    ]), draw(2, 5, 6, 6, 1)  # fmt: skip


def words() -> tuple[Any, Any]:
    return keras.Sequential([
        keras.Input((None,), dtype="int32"), L.Embedding(30, 6, mask_zero=True),
        L.Bidirectional(L.LSTM(4, return_sequences=True)), L.GRU(5), L.Dense(1, "sigmoid"),
    ]), np.array([[3, 4, 5, 0, 0], [1, 2, 3, 4, 5]])  # fmt: skip


def sequences() -> tuple[Any, Any]:
    return keras.Sequential([
        keras.Input((9, 3)), L.Conv1D(4, 3, padding="causal", activation="gelu"),
        L.TimeDistributed(L.Dense(3)), L.SimpleRNN(4, return_sequences=True),
        L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="sum"), L.RepeatVector(2),
        L.LSTM(3, go_backwards=True, return_sequences=True), L.Permute((2, 1)),
        L.Reshape((6,)), L.Dense(2),
    ]), draw(4, 9, 3)  # fmt: skip


def two_inputs() -> tuple[Any, Any]:
    steps, more = keras.Input((6, 3), name="steps"), keras.Input((2,), name="more")
    x = L.Bidirectional(L.LSTM(4, return_sequences=True))(steps)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 3, dropout=0.1)(x, x)]))
    x = L.Concatenate()([L.GlobalAveragePooling1D()(x), more])
    x = (1 - x * 2.0) / 4 + 1
    return keras.Model([steps, more], L.Dense(2, "softmax")(x)), [draw(5, 6, 3), draw(5, 2)]


def branches() -> tuple[Any, Any]:
    """A shared layer, a short cut, models inside, two outputs."""
    start = keras.Input((8, 8, 3))
    shared = L.Conv2D(3, 3, padding="same")
    x = L.BatchNormalization()(shared(shared(start))) + start
    chain = keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(4, 3), L.BatchNormalization()])
    there = keras.Input((6, 6, 4))
    inner = keras.Model(there, L.GlobalMaxPooling2D()(L.Conv2D(5, 1)(there)))
    x = inner(chain(x))
    return keras.Model(start, [L.Dense(3, "softmax")(x), L.Dense(1)(x)]), draw(4, 8, 8, 3)


def masked() -> tuple[Any, Any]:
    tokens = keras.Input((None,), dtype="int32")
    vectors = L.Embedding(20, 6, mask_zero=True)(tokens)
    x = L.GRU(4, return_sequences=True)(vectors)
    x = L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 4)(x, vectors, vectors))
    given = np.array([[3, 4, 5, 0, 0], [1, 2, 3, 4, 5]])
    return keras.Model(tokens, L.Dense(2)(x)), given


def states() -> tuple[Any, Any]:
    source, target = keras.Input((5, 3)), keras.Input((4, 2))
    _, carry, output = L.LSTM(4, return_state=True)(source)
    x = L.LSTM(4, return_sequences=True)(target, initial_state=[carry, output])
    outputs = L.TimeDistributed(L.Dense(3, "softmax"))(x)
    return keras.Model([source, target], outputs), [draw(2, 5, 3), draw(2, 4, 2)]


MODELS: list[Any] = [
    convolutions, maps, words, sequences, two_inputs, branches, masked, states,
    clips,
]  # fmt: skip


def close(found: Any, expected: Any) -> None:
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
        return
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_the_same_answers(make: Callable[[], tuple[Any, Any]], ending: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model, x = make()
    shaken(model).save(tmp_path / f"model.{ending}")
    ours = load_keras(tmp_path / f"model.{ending}")
    close(ours.predict(x), model.predict(x, verbose=0))


def test_names_and_arguments_come_along(tmp_path: Path) -> None:
    start = keras.Input((3,), name="row")
    x = L.Dense(4, "relu", kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2), name="first")(
        start
    )
    keras.Model(start, L.Dense(1, name="price", trainable=False)(x), name="prices").save(
        tmp_path / "model.keras"
    )
    model = load_keras(tmp_path / "model.keras")
    assert model.name == "prices"
    assert model.get_layer("first").kernel_regularizer == {"l1": 0.1, "l2": 0.2}
    assert not model.get_layer("price").kernel.requires_grad
    assert {"row": draw(2, 3)}.keys() == model.entries().keys()


@pytest.mark.parametrize("make", [convolutions, two_inputs], ids=["chain", "graph"])
def test_trained_further_from_where_it_was(
    make: Callable[[], tuple[Any, Any]], tmp_path: Path
) -> None:
    model, x = make()
    shaken(model).save(tmp_path / "model.keras")
    before = model.predict(x, verbose=0)
    ours = load_keras(tmp_path / "model.keras")
    kinds = before.argmin(1)
    ours.compile(optimizer=lai.optimizers.SGD(1e-9), loss="sparse_categorical_crossentropy")
    ours.fit(x, kinds, epochs=1, batch_size=5, verbose=0, seed=0)
    if make is two_inputs:  # no statistics of batches that follow the data
        assert np.abs(ours.predict(x) - before).max() <= 1e-4
    ours.compile(optimizer=lai.optimizers.Adam(0.02), loss="sparse_categorical_crossentropy")
    run = ours.fit(x, kinds, epochs=30, batch_size=5, verbose=0, seed=0)
    assert run.history["loss"][-1] < run.history["loss"][0]
    answers = ours.predict(x)
    ours.save(tmp_path / "saved")
    assert np.abs(lai.load(tmp_path / "saved").predict(x) - answers).max() <= 1e-6


def test_keras_two(tmp_path: Path) -> None:
    """The description as Keras 2 wrote it: other names of arguments, calls as lists."""
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    first = L.Dense(4, activation="relu", name="first")
    both = L.Concatenate(name="both")([L.LeakyReLU(0.2, name="leaky")(first(left)), right])
    model = shaken(keras.Model([left, right], L.Dense(1, name="last")(both)))

    def entry(kind: str, name: str, inbound: list[Any], **config: Any) -> dict[str, Any]:
        common = {"name": name, "trainable": True, "dtype": "float32"}
        return {"class_name": kind, "config": {**common, **config}, "name": name,
                "inbound_nodes": inbound}  # fmt: skip

    def source(name: str, size: int) -> dict[str, Any]:
        shape = {"batch_input_shape": [None, size], "sparse": False, "ragged": False}
        return entry("InputLayer", name, [], **shape)

    glorot = {"class_name": "GlorotUniform", "config": {"seed": None}}
    description = {"class_name": "Functional", "config": {
        "name": "model", "layers": [
            source("left", 3), source("right", 2),
            entry("Dense", "first", [[["left", 0, 0, {}]]], units=4, activation="relu",
                  kernel_initializer=glorot, bias_constraint=None),
            entry("LeakyReLU", "leaky", [[["first", 0, 0, {}]]], alpha=0.2),
            entry("Concatenate", "both", [[["leaky", 0, 0, {}], ["right", 0, 0, {}]]], axis=-1),
            entry("Dense", "last", [[["both", 0, 0, {}]]], units=1, activation="linear"),
        ],
        "input_layers": [["left", 0, 0], ["right", 0, 0]], "output_layers": [["last", 0, 0]],
    }}  # fmt: skip
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(description)
        file.attrs["keras_version"] = "2.9.0"
        for name in ("first", "last"):
            group = file.create_group(f"model_weights/{name}")
            group.attrs["weight_names0"] = [f"{name}/kernel:0".encode()]  # in two parts
            group.attrs["weight_names1"] = [f"{name}/bias:0".encode()]
            for kind, array in zip(("kernel:0", "bias:0"), model.get_layer(name).get_weights(),
                                   strict=True):  # fmt: skip
                group[f"{name}/{kind}"] = array
    x = [draw(4, 3), draw(4, 2)]
    close(load_keras(tmp_path / "old.h5").predict(x), model.predict(x, verbose=0))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_written_by_keras_on_tensorflow(tensorflow_files: Path, ending: str) -> None:
    answers = np.load(tensorflow_files / "network.npz")
    close(load_keras(tensorflow_files / f"network.{ending}").predict(answers["x"]), answers["y"])
