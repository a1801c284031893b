"""Models as plain PyTorch and as Keras's own: nothing of Lepton in them, and the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import layers as L  # noqa: N812
from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.models.functional import Functional
from lepton_ai.models.interop import to_keras, to_torch

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def shaken(model: Any) -> Any:
    """The model with random weights, statistics too."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, L.InputLayer):
            continue
        drawn = [rng.normal(size=array.shape) * 0.4 for array in layer.keras_weights()]
        if isinstance(layer, L.BatchNormalization):
            drawn[-1] = np.abs(drawn[-1]) + 0.2
        layer.load_keras_weights(drawn)
    return model


def chain(*stack: Any) -> Any:
    model = lai.models.Sequential(list(stack))
    shape = stack[0].input_shape
    for layer in stack:
        shape = layer.build(shape)
    return shaken(model)


def picture() -> tuple[Any, Any]:
    return chain(
        L.Conv2D(4, 3, activation="relu", input_shape=(9, 8, 2)), L.BatchNormalization(),
        L.MaxPooling2D(), L.Conv2D(6, 2, 2, "same"), L.LeakyReLU(0.2), L.Flatten(),
        L.Dropout(0.2), L.Dense(5, "gelu"), L.Dense(3, "softmax"),
    ), draw(4, 9, 8, 2)  # fmt: skip


def maps() -> tuple[Any, Any]:
    return chain(
        L.SeparableConv2D(4, 3, padding="same", input_shape=(8, 8, 2)), L.PReLU(shared_axes=[1, 2]),
        L.DepthwiseConv2D(2, padding="same"), L.GroupNormalization(2), L.ZeroPadding2D((1, 2)),
        L.Conv2DTranspose(3, 2, 2), L.Conv2DTranspose(3, 4, 2, "same"), L.Cropping2D(3),
        L.AveragePooling2D(2), L.UpSampling2D(2), L.Softmax(),
    ), draw(2, 8, 8, 2)  # fmt: skip


def pooled() -> tuple[Any, Any]:
    return chain(
        L.Rescaling(0.5, -1.0, input_shape=(6, 6, 2)), L.Conv2D(4, 3, padding="same", groups=2),
        L.ReLU(6.0), L.SpatialDropout2D(0.1), L.GlobalAveragePooling2D(), L.Activation("tanh"),
        L.ELU(0.5), L.LayerNormalization(), L.Dense(2, use_bias=False),
    ), draw(3, 6, 6, 2)  # fmt: skip


def words() -> tuple[Any, Any]:
    return chain(
        L.Embedding(20, 5, input_shape=(7,)), L.Conv1D(6, 3, padding="causal", activation="relu"),
        L.BatchNormalization(), L.MaxPooling1D(2),
        L.Bidirectional(L.LSTM(3, return_sequences=True)), L.GRU(4, go_backwards=True),
        L.Dense(1, "sigmoid"),
    ), np.random.default_rng(0).integers(0, 20, (3, 7))  # fmt: skip


def steps() -> tuple[Any, Any]:
    return chain(
        L.Bidirectional(L.GRU(3), merge_mode="ave", input_shape=(6, 2)), L.RepeatVector(4),
        L.SimpleRNN(4, "relu", return_sequences=True), L.TimeDistributed(L.Dense(6)),
        L.Reshape((2, 4, 3)), L.Permute((2, 3, 1)), L.Flatten(), L.Reshape((4, 6)),
        L.GlobalMaxPooling1D(), L.Dense(2),
    ), draw(3, 6, 2)  # fmt: skip


def graph() -> tuple[Any, Any]:
    sequence, row = L.Input((6, 4), name="sequence"), L.Input((3,), name="row")
    x = L.Add()([sequence, L.MultiHeadAttention(2, 3, value_dim=5)(sequence, sequence)])
    x = L.GlobalAveragePooling1D()(L.LayerNormalization()(x))
    shared = L.Dense(3, "tanh")
    both = L.Concatenate()([shared(shared(row)), x, L.Multiply()([row, row])])
    both = L.Maximum()([both, L.Average()([both, L.Subtract()([both, both])])])
    model = Functional([sequence, row], [L.Dense(2, "softmax", name="kind")(both), L.Dense(1)(x)])
    return shaken(model), [draw(5, 6, 4), draw(5, 3, seed=1)]


MODELS = [picture, maps, pooled, words, steps, graph]


def as_torch(values: Any) -> list[torch.Tensor]:
    given = [torch.as_tensor(v) for v in (values if isinstance(values, list) else [values])]
    return [value.movedim(-1, 1) if value.ndim >= 4 else value for value in given]


def as_list(found: Any) -> list[np.ndarray]:
    several = found if isinstance(found, (list, tuple)) else [found]
    arrays = []
    for one in several:
        if isinstance(one, torch.Tensor):
            one = (one.movedim(1, -1) if one.ndim >= 4 else one).numpy()
        arrays.append(one)
    return arrays


def close(found: Any, expected: Any) -> None:
    for one, other in zip(as_list(found), as_list(expected), strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= 1e-5


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_plain_torch(make: Any) -> None:
    model, x = make()
    plain = to_torch(model)
    with torch.no_grad():
        close(plain(*as_torch(x)), model.predict(x))
    for part in plain.modules():
        assert not type(part).__module__.startswith("lepton_ai"), type(part)
    assert all(p.requires_grad for p in plain.parameters())


@pytest.mark.parametrize("kind", ["MaxPooling", "AveragePooling"])
@pytest.mark.parametrize("size", [(3, 2), (2, 2), (5, 3)])
def test_pooling_whose_sides_are_padded_unequally(kind: str, size: tuple[int, int]) -> None:
    for rank, shape in ((1, (9, 3)), (2, (9, 8, 3))):
        layer = getattr(L, f"{kind}{rank}D")(*size, "same", input_shape=shape)
        model, x = chain(layer), draw(2, *shape)
        with torch.no_grad():
            close(to_torch(model)(*as_torch(x)), model.predict(x))


def test_a_chain_of_modules_is_a_sequential() -> None:
    model, _ = picture()
    kinds = [type(part).__name__ for part in to_torch(model)]
    assert kinds == [
        "Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "ConstantPad2d", "Conv2d", "LeakyReLU",
        "Flatten", "Dropout", "Linear", "GELU", "Linear", "Softmax",
    ]  # fmt: skip
    assert isinstance(to_torch(pooled()[0]), nn.Module)


def test_weights_of_its_own_that_train_and_save(tmp_path: Path) -> None:
    model, x = words()
    before = model.predict(x)
    plain = to_torch(model).train()
    rates = torch.optim.SGD(plain.parameters(), 0.5)
    plain(*as_torch(x)).sum().backward()
    assert all(p.grad is not None for p in plain.parameters())
    rates.step()
    assert np.array_equal(model.predict(x), before)
    again = to_torch(model)
    again.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(*as_torch(x)), plain.eval()(*as_torch(x)))


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_keras(make: Any) -> None:
    keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
    model, x = make()
    made = to_keras(model)
    assert isinstance(made, keras.Model)
    close(made.predict(x, verbose=0), model.predict(x))


def test_there_and_back(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    from lepton_ai.models.interop import load_keras

    start = L.Input((4,), name="row")
    x = L.Dense(
        3, "relu", kernel_regularizer={"l1": 0.1}, name="first",
        kernel_initializer={"name": "random_normal", "stddev": 0.1},
    )(start)  # fmt: skip
    model = Functional(start, L.Dense(2, name="last")(x))
    to_keras(model).save(tmp_path / "model.keras")
    back: Any = load_keras(tmp_path / "model.keras")
    first = back.get_layer("first")
    assert first.kernel_regularizer == {"l1": 0.1}
    started = {"name": "random_normal", "mean": 0.0, "stddev": 0.1}
    assert first.kernel_initializer == started
    assert np.array_equal(back.predict(draw(2, 4)), model.predict(draw(2, 4)))


def test_what_cannot_be_brought_over_is_listed() -> None:
    model = chain(
        L.TokenAndPositionEmbedding(9, 5, 4, input_shape=(5,)), L.GaussianNoise(0.1, name="noise"),
        L.TransformerEncoder(8, 2, name="block"), L.GlobalMaxPooling1D(),
    )  # fmt: skip
    with pytest.raises(ConfigError, match="TokenAndPositionEmbedding.*noise.*block"):
        to_torch(model)
    pytest.importorskip("keras")
    with pytest.raises(ConfigError, match="TokenAndPositionEmbedding.*'block' .Keras has no such"):
        to_keras(model)


@pytest.mark.parametrize("function", [to_torch, to_keras])
def test_messages(function: Any) -> None:
    if function is to_keras:
        pytest.importorskip("keras")
    with pytest.raises(ConfigError, match="expected a lepton model; received Linear"):
        function(nn.Linear(2, 2))
    with pytest.raises(NotReadyError, match="model.fit"):
        function(lai.models.Sequential([L.Dense(2)]))
    with pytest.raises(ConfigError, match="model.network"):
        function(lai.Model("mlp", "tabular"))
    with pytest.raises(NotReadyError, match="is not. Type"):
        function(lai.models.Sequential([L.Dense(2, input_shape=(3,)), L.Dense(1)]))
