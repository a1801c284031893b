"""What the contract cannot say of every layer: messages, masks, draws, memory, first values."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from lepton_ai import layers, registry
from lepton_ai.errors import (
    ConfigError,
    DataError,
    LeptonError,
    NotReadyError,
    ShapeError,
    UnknownNameError,
)
from lepton_ai.layers import (
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    MaxPooling1D,
    MaxPooling2D,
)
from lepton_ai.layers.layer import penalty
from lepton_ai.layers.lengths import call
from lepton_ai.layers.randomness import drawing_from, generator

# Messages


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Dense(10, "rellu"), UnknownNameError, "Did you mean 'relu'"),
        (lambda: Dense(10, 3), ConfigError, "activation='relu'"),
        (lambda: Conv2D(8, 3, padding="sam"), ConfigError, "Did you mean 'same'"),
        (lambda: Conv2D(8, 3, padding="causal"), ConfigError, "'valid', 'same'"),
        (lambda: Conv2D(8, (3, 3, 3)), ConfigError, "kernel_size"),
        (lambda: Conv2D(8, 0), ConfigError, "at least 1"),
        (lambda: Conv2D(7, 3, groups=2), ConfigError, "multiple of groups"),
        (lambda: Conv2D(8, 3, data_format="channels_first"), ConfigError, "Leave it out"),
        (lambda: Dense(3, kernel_initializer="he_norml"), UnknownNameError, "'he_normal'"),
        (
            lambda: Dense(3, kernel_initializer={"name": "random_normal", "sd": 1}),
            ConfigError,
            "stddev",
        ),
        (lambda: Dense(3, kernel_regularizer="l1l2x"), ConfigError, "Did you mean 'l1_l2'"),
        (lambda: Dense(3, kernel_regularizer={"l2": -1}), ConfigError, "1e-4"),
        (lambda: Dense(3, lora_rank=4), ConfigError, "does not support"),
        (lambda: Dense(3, unit=4), ConfigError, "Did you mean 'units'"),
        (lambda: Dense(0), ConfigError, "units"),
        (lambda: Dense(True), ConfigError, "units"),
        (lambda: Dense(3, dtype="float31"), ConfigError, "Did you mean 'float32'"),
        (lambda: Dense(3, input_shape=(0,)), ShapeError, "positive whole numbers"),
        (lambda: Dropout(1.5), ConfigError, "from 0 to 1"),
        (lambda: layers.BatchNormalization(renorm=True), ConfigError, "renorm"),
        (lambda: layers.Reshape((3, 0)), ConfigError, "target_shape"),
        (lambda: layers.Permute((1, 3)), ConfigError, "from 1 to 2"),
        (lambda: layers.Rescaling("1/255"), ConfigError, "1 / 255"),
        (lambda: layers.ReLU(max_value=-1.0), ConfigError, "at least 0"),
        (lambda: layers.Bidirectional(Dense(3)), ConfigError, "LSTM"),
        (lambda: layers.Bidirectional(layers.GRU(3), "cat"), ConfigError, "merge_mode"),
        (lambda: layers.TimeDistributed(nn.Linear(2, 3)), ConfigError, "expected a layer"),
        (lambda: layers.InputLayer(), ConfigError, "shape=(28, 28, 1)"),
        (lambda: layers.ZeroPadding2D((1, 2, 3)), ConfigError, "padding"),
    ],
)
def test_what_cannot_be_is_refused(make, kind, words):
    with pytest.raises(kind) as caught:
        make()
    assert words in str(caught.value)
    assert isinstance(caught.value, LeptonError)


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (Conv2D(8, 3), (28, 28), "input_shape=(28, 28, 1)"),
        (Conv2D(8, 3), (784,), "input_shape=(28, 28, 1)"),
        (Conv2D(8, 3), (2, 28, 3), "padding='same'"),
        (Conv2D(8, 3), (28, 28, None), "channels"),
        (Conv2D(8, 3, groups=2), (28, 28, 3), "groups=2"),
        (MaxPooling2D(), (28, 28), "input_shape=(28, 28, 1)"),
        (Conv1D(8, 3), (28,), "length, features"),
        (Dense(10), (8, 8, 64), "Put Flatten() before it"),
        (Dense(10), (8, 8, 64), "Conv2D(10, 1)"),
        (Dense(10), (None,), "known number of features"),
        (layers.LSTM(4), (10,), "Reshape((10, 1))"),
        (layers.LSTM(4), (8, 8, 3), "length, features"),
        (layers.MultiHeadAttention(2, 4), (8,), "length, features"),
        (layers.PositionEmbedding(5), (6, 3), "at most 5 steps"),
        (layers.Reshape((3, 5)), (16,), "15 values"),
        (layers.Add(), (3,), "Call it on a list"),
        (layers.Add(), [(3,), (4,)], "one shape"),
        (layers.Concatenate(), [(3, 4), (2, 4)], "along axis -1 only"),
        (layers.Concatenate(axis=3), [(3, 4), (3, 4)], "received axis=3"),
        (layers.Subtract(), [(3,), (3,), (3,)], "two inputs"),
        (layers.LayerNormalization(axis=4), (3, 4), "axis=4"),
        (layers.BatchNormalization(), (3, None), "known size"),
        (layers.GroupNormalization(4), (6,), "groups=4"),
        (layers.Rescaling([1.0, 2.0]), (4, 4, 3), "3 of them"),
        (layers.Cropping2D(4), (8, 8, 3), "crops"),
    ],
)
def test_wrong_shapes_say_what_to_type(layer, shape, words):
    for attempt in (layer.infer, layer.build):
        with pytest.raises((ShapeError, ConfigError)) as caught:
            attempt(shape)
        assert words in str(caught.value)
    assert not layer.built


def test_a_layer_built_for_one_shape_refuses_another():
    layer = Dense(3)
    layer.build(4)
    with pytest.raises(ShapeError, match=r"for which it was built; received \(5,\)"):
        layer.build(5)
    with pytest.raises(ShapeError, match=r"received \(5,\)"):
        layer(torch.zeros(2, 5))
    maps = Conv2D(4, 3)
    assert maps.build((8, 8, 3)) == (6, 6, 4)
    assert maps.build((16, 16, 3)) == (14, 14, 4)  # its weights fit any height and width
    assert maps(torch.zeros(1, 3, 9, 9)).shape == (1, 4, 7, 7)


def test_weights_need_a_built_layer():
    with pytest.raises(NotReadyError, match="build"):
        Dense(3).keras_weights()


def test_numbers_outside_an_embedding_say_which():
    with pytest.raises(DataError, match="from 0 to 4, received numbers from 1 to 7.*input_dim=8"):
        Embedding(5, 2)(torch.tensor([[1, 7]]))


def test_hints_of_keras_are_accepted():
    layer = layers.LSTM(3, unroll=True, use_cudnn="auto", stateful=False, kernel_constraint=None)
    assert "unroll" not in layer.config()


# Sequences of different lengths


def test_lengths_go_through_a_chain():
    ids = torch.tensor([[3, 5, 2, 7, 0, 0], [4, 0, 0, 0, 0, 0]])
    chain = [
        Embedding(9, 4, mask_zero=True), layers.SpatialDropout1D(0.2), Conv1D(4, 3, padding="same"),
        MaxPooling1D(2, padding="same"), layers.GRU(3, return_sequences=True), Dense(2),
        nn.Identity(), layers.GlobalAveragePooling1D(),
    ]  # fmt: skip
    x, lengths, seen = ids, None, []
    for layer in chain:
        x, lengths = call(layer.eval(), x, lengths)
        seen.append(None if lengths is None else lengths.tolist())
    assert seen == [[4, 1], [4, 1], [4, 1], [2, 1], [2, 1], [2, 1], [2, 1], None]
    # A sequence gives the same whatever it is batched with.
    y, lengths = ids[1:, :1], None
    for layer in chain:
        y, lengths = call(layer, y, lengths)
    assert torch.allclose(x[1:], y, atol=1e-6)


def test_padding_on_the_left_is_refused():
    with pytest.raises(DataError, match="padding='post'"):
        Embedding(9, 4, mask_zero=True).find_lengths(torch.tensor([[0, 0, 3]]))
    with pytest.raises(DataError, match="padding='post'"):
        layers.Masking().find_lengths(torch.tensor([[[0.0], [1.0]]]))
    assert Embedding(9, 4).find_lengths(torch.tensor([[0, 0, 3]])) is None


def test_an_empty_sequence_gives_finite_values():
    x, lengths = torch.randn(2, 4, 6), torch.tensor([4, 0])
    for layer in (
        layers.GlobalMaxPooling1D(), layers.GlobalAveragePooling1D(), layers.LSTM(3),
        layers.Bidirectional(layers.GRU(3)), layers.TransformerEncoder(8, 2),
        layers.BatchNormalization(), MaxPooling1D(2, padding="same"), Conv1D(2, 3, padding="same"),
    ):  # fmt: skip
        assert torch.isfinite(layer(x, lengths=lengths)).all(), layer


def test_lengths_may_be_of_any_whole_type():
    x = torch.randn(2, 4, 3)
    for name in ("LSTM", "GRU", "SimpleRNN", "GlobalAveragePooling1D"):
        layer = getattr(layers, name)(*([5] if "Global" not in name else []))
        a = layer(x, lengths=torch.tensor([4, 2]))
        b = layer(x, lengths=torch.tensor([4, 2], dtype=torch.int32))
        assert torch.equal(a, b)


# Draws


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer, ones = Dropout(0.3).train(), torch.ones(200, 500)
    with drawing_from(torch.Generator().manual_seed(0)):
        y = layer(ones)
    assert abs((y == 0).float().mean().item() - 0.3) < 0.01
    assert abs(y.mean().item() - 1) < 0.02
    assert torch.equal(Dropout(1.0).train()(ones), torch.zeros_like(ones))
    assert torch.equal(Dropout(0.0).train()(ones), ones)


def test_noise_shape_and_channels_share_their_fate():
    x = torch.ones(6, 5, 4, 3)  # [batch, channels, height, width]
    y = layers.SpatialDropout2D(0.5).train()(x)
    assert (y.amax((2, 3)) == y.amin((2, 3))).all()
    z = Dropout(0.5, noise_shape=(None, 1, 1, 5)).train()(x)
    assert (z.amax((2, 3)) == z.amin((2, 3))).all()
    with pytest.raises(ShapeError, match="noise_shape"):
        Dropout(0.5, noise_shape=(None, 1)).train()(x)


def test_gaussian_layers_have_their_spread():
    x = torch.ones(400, 500)
    assert abs(layers.GaussianNoise(0.5, seed=1).train()(x).std().item() - 0.5) < 0.01
    assert abs(layers.GaussianDropout(0.2, seed=1).train()(x).std().item() - 0.5) < 0.01


def test_a_seed_repeats_and_a_thread_generator_wins():
    x = torch.ones(4, 16)
    first, second = Dropout(0.5, seed=3).train(), Dropout(0.5, seed=3).train()
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), first(x))
    with drawing_from(torch.Generator().manual_seed(1)):
        a = first(x)
    with drawing_from(torch.Generator().manual_seed(1)):
        assert torch.equal(a, second(x))


def test_each_thread_has_its_generator():
    layer, x, found = Dropout(0.5).train(), torch.ones(64, 64), {}

    def work(seed: int) -> None:
        with drawing_from(torch.Generator().manual_seed(seed)):
            found[seed] = [layer(x) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = dict(found)
    for seed in (1, 2):
        work(seed)
        assert all(torch.equal(a, b) for a, b in zip(alone[seed], found[seed], strict=True))
    assert generator() is None


def test_recurrent_and_attention_dropout_draw_there_too():
    x = torch.randn(4, 6, 8)
    for layer in (
        layers.LSTM(5, dropout=0.5), layers.GRU(5, recurrent_dropout=0.5),
        layers.MultiHeadAttention(2, 4, dropout=0.5), layers.TransformerEncoder(8, 2, dropout=0.5),
        layers.Bidirectional(layers.SimpleRNN(5, dropout=0.5)),
    ):  # fmt: skip
        assert layer.draws
        layer.build((6, 8))
        outputs = []
        for seed in (1, 1, 2):
            with drawing_from(torch.Generator().manual_seed(seed)):
                outputs.append(layer.train()(x))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])
        assert torch.equal(layer.eval()(x), layer(x))
    assert not layers.LSTM(5).draws


# Weights


def test_penalties_are_those_of_the_weights():
    layer = Dense(2, kernel_regularizer=layers.l1_l2(0.1, 0.2), bias_regularizer="l2")
    net = nn.Sequential(Flatten(), layer)
    assert penalty(nn.Linear(2, 2)) is None
    layer.build(3)
    layer.load_keras_weights([np.full((3, 2), -2.0), np.full(2, 3.0)])
    expected = 0.1 * 12 + 0.2 * 24 + 0.01 * 18
    assert penalty(net).item() == pytest.approx(expected)
    penalty(net).backward()
    assert layer.kernel.grad.abs().sum() > 0
    assert Dense.from_config(layer.config()).kernel_regularizer == {"l1": 0.1, "l2": 0.2}


def test_a_frozen_layer_learns_nothing():
    layer = Dense(2, trainable=False)
    layer.build(3)
    assert not any(p.requires_grad for p in layer.parameters())


def test_dtype_of_the_weights():
    layer = Dense(2, dtype="float64")
    assert layer(torch.zeros(1, 3)).dtype == torch.float64
    assert Dense(2)(torch.zeros(1, 3, dtype=torch.uint8)).dtype == torch.float32


def test_autocast_keeps_its_type():
    with torch.autocast("cpu", torch.bfloat16):
        assert Dense(2)(torch.zeros(1, 3)).dtype == torch.bfloat16
        assert Conv2D(2, 3)(torch.zeros(1, 3, 5, 5)).dtype == torch.bfloat16


def test_first_weights_of_an_embedding():
    table = np.arange(6, dtype="float32").reshape(3, 2)
    layer = Embedding(3, 2, weights=[table])
    assert layer(torch.tensor([[2]])).tolist() == [[[4.0, 5.0]]]
    assert Embedding.from_config(layer.config()).weights is None
    with pytest.raises(ShapeError, match=r"\(3, 2\), received \(2, 3\)"):
        Embedding(3, 2, weights=table.T).build((4,))


def test_the_forget_gate_starts_open():
    layer = layers.LSTM(4)
    layer.build((5, 3))
    assert layer.keras_weights()[2].reshape(4, 4).sum(1).tolist() == [0, 4, 0, 0]
    closed = layers.LSTM(4, unit_forget_bias=False)
    closed.build((5, 3))
    assert not closed.bias.any()


# Memory


def test_maps_stay_channels_last_and_flatten_copies_nothing():
    last = torch.channels_last
    for channels in (1, 3):
        x = Conv2D(8, 3, activation="relu")(torch.randn(2, channels, 12, 12))
        assert x.is_contiguous(memory_format=last)
        x = MaxPooling2D()(x)
        x = Conv2D(8, 3, padding="same", strides=2)(x)
        x = layers.BatchNormalization().train()(x)
        x = layers.LayerNormalization()(x)
        x = layers.ZeroPadding2D(1)(x)
        assert x.is_contiguous(memory_format=last)
        assert Flatten()(x).data_ptr() == x.data_ptr()
    volume = layers.Conv3D(4, 2)(torch.randn(2, 1, 4, 5, 6))
    assert volume.is_contiguous(memory_format=torch.channels_last_3d)


def test_sequences_stay_contiguous():
    x = Conv1D(8, 3)(torch.randn(2, 12, 4))
    assert x.is_contiguous()
    assert MaxPooling1D()(x).is_contiguous()


# Positions


def test_positions():
    x = torch.randn(2, 5, 4)
    alone = layers.PositionEmbedding(8)
    table = alone(x)
    assert torch.equal(table[0], alone.position_embeddings[:5])
    assert torch.equal(table[0], table[1])
    assert torch.equal(alone(x, start_index=3)[0], alone.position_embeddings[3:8])
    with pytest.raises(ShapeError, match="at most 8 steps, received 9"):
        alone(x, start_index=4)
    added = layers.PositionEmbedding(8, add_to_input=True)
    assert torch.equal(added(x), x + added.position_embeddings[:5])
    both = layers.TokenAndPositionEmbedding(9, 8, 4, mask_zero=True)
    ids = torch.tensor([[3, 4, 0]])
    tokens, places = both.token_embedding, both.position_embedding
    y = both(ids)
    assert torch.equal(y[0], tokens.embeddings[ids[0]] + places.position_embeddings[:3])
    assert both.find_lengths(ids).tolist() == [2]


# Networks that are no chain


def test_symbols_of_a_network_with_two_inputs():
    left, right = Input((4,), name="left"), Input((6,))
    joined = layers.Concatenate()([Dense(3)(left), Dense(5)(right)])
    output = Dense(2, "softmax")(joined)
    assert (joined.shape, output.shape) == ((8,), (2,))
    assert output.inputs == (joined,)
    assert left.layer.name == "left"
    sequence = layers.LSTM(3, return_sequences=True, return_state=True)(Input((5, 2)))
    assert [symbol.shape for symbol in sequence] == [(5, 3), (3,), (3,)]
    assert [symbol.position for symbol in sequence] == [0, 1, 2]
    assert len({id(symbol.call) for symbol in sequence}) == 1
    query, value = Input((5, 4)), Input((7, 6))
    assert layers.MultiHeadAttention(2, 3)(query, value).shape == (5, 4)


def test_a_layer_of_ones_own(monkeypatch):
    monkeypatch.setitem(registry._registered, "layers", {})

    class Doubled(layers.Layer):
        def forward(self, x):
            return 2 * self.ready(x)

    registry.register("layers", "Doubled", Doubled)
    wrapped = layers.TimeDistributed(Doubled())
    again = layers.TimeDistributed.from_config(wrapped.config())
    assert torch.equal(again(torch.ones(1, 2, 3)), torch.full((1, 2, 3), 2.0))
    assert layers.Doubled is Doubled


def test_unknown_layers_get_the_near_miss():
    with pytest.raises(AttributeError, match="Did you mean 'Conv2D'"):
        _ = layers.Conv2d_


def test_the_folder_imports_no_torch():
    code = (
        "import sys, lepton_ai.layers as l; assert 'Dense' in dir(l); print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_printed_layers_show_what_differs():
    assert repr(Conv2D(8, 3, activation="relu")) == (
        "Conv2D(filters=8, kernel_size=(3, 3), activation='relu')"
    )
    assert repr(Dense(3)) == "Dense(units=3)"
