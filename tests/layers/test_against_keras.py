"""The same weights give the same outputs as in Keras itself, on its torch backend."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from lepton_ai import layers
from lepton_ai.layers.layout import from_written, to_written

keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)
kl = keras.layers
# Keras 3.15 hands its variables to numpy 2 without the keyword that numpy asks for.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
TOLERANCE = 1e-5


def draw(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype("float32")


def ours(layer, x, **named):
    """Call a layer on data written channels last; its output likewise."""
    y = layer(from_written(torch.as_tensor(x)), **named)
    if isinstance(y, list | tuple):
        return [to_written(one).detach().numpy() for one in y]
    return to_written(y).detach().numpy()


def theirs(layer, x, **named):
    y = layer(x, **named)
    if isinstance(y, list | tuple):
        return [keras.ops.convert_to_numpy(one) for one in y]
    return keras.ops.convert_to_numpy(y)


def twins(name, x, *args, ours_named=None, **named):
    """Our layer and Keras's, built for the data and with the same random weights."""
    a = getattr(layers, name)(*args, **named, **(ours_named or {}))
    b = getattr(kl, name)(*args, **named)
    return share_weights(a, b, x)


def share_weights(a, b, x):
    a.build(x.shape[1:])
    b.build(x.shape)
    weights = [draw(*w.shape, seed=i, scale=0.5) for i, w in enumerate(b.get_weights())]
    if "variance" in getattr(b.weights[-1], "path", "") if b.weights else False:
        weights[-1] = np.abs(weights[-1]) + 0.1
    b.set_weights(weights)
    a.load_keras_weights(weights)
    return a.eval(), b


def close(found, expected):
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
        return
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE


def same(name, x, *args, **named):
    a, b = twins(name, x, *args, **named)
    expected = theirs(b, x)
    close(ours(a, x), expected)
    if not isinstance(expected, list):
        assert a.output_shape_ == expected.shape[1:]
    wide = ours(a.double(), x.astype("float64"))  # and in double precision
    close(wide, expected)


# Convolution

PLACES = {1: (11,), 2: (9, 8), 3: (6, 5, 7)}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("kernel_size", "strides", "dilation_rate"),
    [(3, 1, 1), (2, 1, 1), (3, 2, 1), (2, 2, 1), (1, 2, 1), (2, 3, 1), (3, 1, 2), (2, 1, 2)],
)
def test_convolution(rank, padding, kernel_size, strides, dilation_rate):
    x = draw(2, *PLACES[rank], 4)
    same(
        f"Conv{rank}D", x, 6, kernel_size, strides, padding, dilation_rate=dilation_rate,
        activation="relu",
    )  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_grouped_convolution_without_bias(rank):
    same(f"Conv{rank}D", draw(2, *PLACES[rank], 4), 6, 3, groups=2, use_bias=False)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("dilation_rate", [1, 2])
def test_causal_convolution(strides, dilation_rate):
    if strides == 2 and dilation_rate == 2:
        pytest.skip("Keras takes one of the two")
    same("Conv1D", draw(2, 11, 4), 6, 3, strides, "causal", dilation_rate=dilation_rate)


def test_unequal_windows():
    x = draw(2, 9, 8, 1)
    same("Conv2D", x, 5, (3, 2), (2, 1), "same")
    same("MaxPooling2D", x, (3, 2), (2, 1), "same")


def test_convolution_between_embedding_and_lstm():
    ids = np.random.default_rng(0).integers(0, 20, (3, 12))
    chain = [
        (layers.Embedding(20, 8), kl.Embedding(20, 8)),
        (layers.Conv1D(6, 3, padding="same"), kl.Conv1D(6, 3, padding="same")),
        (layers.MaxPooling1D(), kl.MaxPooling1D()),
        (layers.LSTM(5), kl.LSTM(5)),
        (layers.Dense(2, "softmax"), kl.Dense(2, "softmax")),
    ]
    a, b = torch.as_tensor(ids), ids
    for our, their in chain:
        b_next = their(b)
        our.build(tuple(a.shape[1:]))
        our.load_keras_weights(their.get_weights())
        a, b = our(a), b_next
        close(a.detach().numpy(), keras.ops.convert_to_numpy(b))


def test_convolution_flatten_dense():
    x = draw(4, 10, 9, 3)
    chain = [
        (layers.Conv2D(5, 3, activation="relu"), kl.Conv2D(5, 3, activation="relu")),
        (layers.MaxPooling2D(), kl.MaxPooling2D()),
        (layers.Flatten(), kl.Flatten()),
        (layers.Dense(4, activation="softmax"), kl.Dense(4, activation="softmax")),
    ]
    a, b = from_written(torch.as_tensor(x)), x
    shape = x.shape[1:]
    for our, their in chain:
        b = their(b)
        shape = our.build(shape)
        our.load_keras_weights(their.get_weights())
        a = our(a)
    close(a.detach().numpy(), keras.ops.convert_to_numpy(b))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel_size", "strides", "padding"),
    [
        (3, 1, "valid"), (3, 2, "valid"), (2, 3, "valid"), (2, 2, "valid"), (4, 2, "valid"),
        (3, 1, "same"), (2, 2, "same"), (4, 2, "same"), (1, 1, "same"),
    ],
)  # fmt: skip
def test_transposed_convolution(rank, kernel_size, strides, padding):
    x = draw(2, *PLACES[rank], 4)
    same(f"Conv{rank}DTranspose", x, 3, kernel_size, strides, padding, activation="tanh")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("kernel_size", "strides"), [(3, 2), (5, 2), (2, 3), (4, 1), (5, 4)])
def test_transposed_convolution_turns_a_convolution_round(rank, kernel_size, strides):
    """With unequal padding Keras's torch backend differs from TensorFlow; the definition does not.

    <convolution(x), y> equals <x, transposed(y)> for every x and y.
    """
    places = tuple(n * strides for n in PLACES[rank])
    x, y = draw(2, *places, 3), draw(2, *PLACES[rank], 4, seed=1)
    ahead = getattr(layers, f"Conv{rank}D")(4, kernel_size, strides, "same", use_bias=False)
    back = getattr(layers, f"Conv{rank}DTranspose")(3, kernel_size, strides, "same", use_bias=False)
    ahead.build(x.shape[1:])
    back.build(y.shape[1:])
    kernel = draw(*(kernel_size,) * rank, 3, 4)
    ahead.load_keras_weights([kernel])
    back.load_keras_weights([kernel])
    left = (ours(ahead.double(), x) * y.astype("float64")).sum()
    right = (x.astype("float64") * ours(back.double(), y)).sum()
    assert abs(left - right) <= 1e-8 * np.abs(x).sum()


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize(
    ("kernel_size", "strides", "padding", "dilation_rate"),
    [(3, 1, "valid", 1), (3, 2, "same", 1), (2, 1, "same", 2), (3, 1, "valid", 2)],
)
@pytest.mark.parametrize("depth_multiplier", [1, 3])
def test_convolution_by_channel(
    rank, kernel_size, strides, padding, dilation_rate, depth_multiplier
):
    x = draw(2, *PLACES[rank], 4)
    named = {"dilation_rate": dilation_rate, "depth_multiplier": depth_multiplier}
    same(f"DepthwiseConv{rank}D", x, kernel_size, strides, padding, **named)
    same(f"SeparableConv{rank}D", x, 5, kernel_size, strides, padding, activation="relu", **named)


@pytest.mark.parametrize(
    ("name", "args", "rank"),
    [
        ("UpSampling1D", (3,), 1), ("UpSampling2D", ((2, 3),), 2), ("UpSampling3D", (2,), 3),
        ("UpSampling2D", (2, None, "bilinear"), 2),
        ("ZeroPadding1D", (2,), 1), ("ZeroPadding1D", ((1, 2),), 1),
        ("ZeroPadding2D", ((1, 2),), 2), ("ZeroPadding2D", (((1, 0), (2, 3)),), 2),
        ("ZeroPadding3D", ((1, 2, 0),), 3),
        ("Cropping1D", (), 1), ("Cropping1D", ((1, 2),), 1), ("Cropping2D", (), 2),
        ("Cropping2D", ((1, 2),), 2), ("Cropping2D", (((1, 0), (2, 3)),), 2),
        ("Cropping3D", (), 3),
    ],
)  # fmt: skip
def test_resizing(name, args, rank):
    same(name, draw(2, *PLACES[rank], 3), *args)


# Pooling


def average_of_what_is_there(x, pool_size, strides):
    """``padding="same"`` as TensorFlow defines it: padding is not part of the average.

    Keras's torch backend repeats the edge instead where the padding is not equal on both sides.
    """
    from itertools import product

    places = x.shape[1:-1]
    counts = [-(-n // strides) for n in places]
    y = np.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    for place in product(*map(range, counts)):
        window = []
        for at, n, count in zip(place, places, counts, strict=True):
            before = max((count - 1) * strides + pool_size - n, 0) // 2
            start = at * strides - before
            window.append(slice(max(start, 0), start + pool_size))
        part = x[(slice(None), *window)]
        y[(slice(None), *place)] = part.mean(tuple(range(1, part.ndim - 1)))
    return y


WINDOWS = [(2, None), (3, 2), (3, 1), (2, 1), (4, 1), (2, 3), (1, 2), (5, 4)]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool_size", "strides"), WINDOWS)
def test_max_pooling(rank, padding, pool_size, strides):
    same(f"MaxPooling{rank}D", draw(2, *PLACES[rank], 3) - 2, pool_size, strides, padding)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("pool_size", "strides"), WINDOWS)
def test_average_pooling(rank, pool_size, strides):
    x = draw(2, *PLACES[rank], 3)
    same(f"AveragePooling{rank}D", x, pool_size, strides)
    layer = getattr(layers, f"AveragePooling{rank}D")(pool_size, strides, "same")
    close(ours(layer, x), average_of_what_is_there(x, pool_size, strides or pool_size))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_average_pooling_with_equal_padding(rank):
    same(f"AveragePooling{rank}D", draw(2, *(9,) * rank, 3), 3, 2, "same")
    same(f"AveragePooling{rank}D", draw(2, *PLACES[rank], 3), 3, 1, "same")


@pytest.mark.parametrize("kind", ["GlobalMaxPooling", "GlobalAveragePooling"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(kind, rank, keepdims):
    same(f"{kind}{rank}D", draw(2, *PLACES[rank], 3), keepdims=keepdims)


def test_masked_average_over_steps():
    x, lengths = draw(3, 6, 4), np.array([6, 2, 4])
    mask = np.arange(6) < lengths[:, None]
    a, b = twins("GlobalAveragePooling1D", x)
    close(ours(a, x, lengths=torch.as_tensor(lengths)), theirs(b, x, mask=mask))


# Dense, activations, shapes


@pytest.mark.parametrize(
    "activation",
    [
        None, "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish",
        "sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "log_sigmoid", "tanh", "hard_tanh",
        "tanh_shrink", "hard_shrink", "soft_shrink", "softplus", "softsign", "squareplus",
        "exponential", "softmax", "log_softmax",
    ],
)  # fmt: skip
def test_activations(activation):
    same("Dense", draw(5, 7), 6, activation)
    same("Activation", draw(5, 4, 6, 3), activation)
    if activation is not None:
        by_function = layers.Dense(3, getattr(keras.activations, activation))
        assert by_function.activation == layers.Dense(3, activation).activation


def test_dense_on_sequences():
    same("Dense", draw(2, 5, 7), 6, "tanh", use_bias=False)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("ReLU", {}),
        ("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.3}),
        ("ReLU", {"max_value": 0.5}),
        ("LeakyReLU", {}),
        ("ELU", {"alpha": 0.6}),
        ("PReLU", {}),
        ("PReLU", {"shared_axes": [1, 2]}),
        ("Softmax", {}),
        ("Softmax", {"axis": 1}),
        ("Softmax", {"axis": 2}),
        ("Flatten", {}),
        ("Reshape", {"target_shape": (6, -1)}),
        ("Reshape", {"target_shape": (2, 2, -1)}),
        ("Permute", {"dims": (3, 1, 2)}),
        ("Permute", {"dims": (2, 1, 3)}),
        ("Rescaling", {"scale": 0.5, "offset": -1.0}),
        ("Identity", {}),
        ("Dropout", {"rate": 0.5}),
        ("SpatialDropout2D", {"rate": 0.5}),
        ("GaussianNoise", {"stddev": 0.5}),
        ("GaussianDropout", {"rate": 0.5}),
    ],
)
def test_layers_on_maps(name, named):
    same(name, draw(2, 4, 6, 3), **named)


@pytest.mark.parametrize(
    ("name", "named", "shape"),
    [
        ("Flatten", {}, (5, 4)),
        ("Flatten", {}, (4,)),
        ("Reshape", {"target_shape": (3, 4, 1)}, (12,)),
        ("Reshape", {"target_shape": (12,)}, (3, 2, 2)),
        ("Permute", {"dims": (2, 1)}, (5, 4)),
        ("RepeatVector", {"n": 3}, (4,)),
        ("Softmax", {"axis": 1}, (5, 4)),
        ("PReLU", {}, (5, 4)),
    ],
)
def test_shapes(name, named, shape):
    same(name, draw(2, *shape), **named)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("Add", {}), ("Subtract", {}), ("Multiply", {}), ("Average", {}), ("Maximum", {}),
        ("Minimum", {}), ("Concatenate", {}), ("Concatenate", {"axis": 1}),
        ("Concatenate", {"axis": 2}),
    ],
)  # fmt: skip
def test_merging(name, named):
    x = [draw(2, 4, 5, 3, seed=1), draw(2, 4, 5, 3, seed=2)]
    y = getattr(layers, name)(**named)([from_written(torch.as_tensor(one)) for one in x])
    close(to_written(y).numpy(), theirs(getattr(kl, name)(**named), x))


# Normalisation


@pytest.mark.parametrize("shape", [(8,), (5, 8), (4, 3, 8), (2, 3, 4, 8)])
@pytest.mark.parametrize("named", [{}, {"center": False}, {"scale": False}, {"axis": 1}])
@pytest.mark.parametrize("momentum", [0.99, 0.5])
def test_batch_normalization_in_both_modes(shape, named, momentum):
    x = draw(6, *shape, scale=2.0) + 1
    a, b = twins("BatchNormalization", x, momentum=momentum, **named)
    close(ours(a, x), theirs(b, x, training=False))
    for _ in range(3):
        close(ours(a.train(), x), theirs(b, x, training=True))
    close([*a.keras_weights()], [*b.get_weights()])
    close(ours(a.eval(), x), theirs(b, x, training=False))


def test_batch_normalization_of_one_vector():
    x = draw(1, 4)
    a, b = twins("BatchNormalization", x)
    close(ours(a.train(), x), theirs(b, x, training=True))
    close(a.keras_weights(), b.get_weights())


def test_batch_normalization_leaves_padding_out():
    x, lengths = draw(4, 6, 5), np.array([6, 1, 3, 5])
    mask = np.arange(6) < lengths[:, None]
    a, b = twins("BatchNormalization", x)
    found = ours(a.train(), x, lengths=torch.as_tensor(lengths))
    close(found, theirs(b, x, mask=mask, training=True))
    close(a.keras_weights(), b.get_weights())


def test_frozen_batch_normalization_keeps_its_averages():
    x = draw(6, 4)
    a, b = twins("BatchNormalization", x, trainable=False)
    close(ours(a.train(), x), theirs(b, x, training=True))
    close(a.keras_weights(), b.get_weights())


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((8,), -1), ((5, 8), -1), ((5, 8), (1, 2)), ((4, 3, 8), -1), ((4, 3, 8), (1, 2, 3)),
        ((4, 3, 8), (-1, -2)), ((2, 3, 4, 8), -1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("training", [False, True])
def test_layer_normalization(shape, axis, training):
    x = draw(3, *shape, scale=2.0) + 1
    a, b = twins("LayerNormalization", x, axis=axis)
    close(ours(a.train(training), x), theirs(b, x))


@pytest.mark.parametrize("axis", [1, 2])
def test_layer_normalization_over_another_axis(axis):
    """Keras's torch backend fails here, so the axis is turned to the end for it."""
    x = draw(3, 5, 6, 4) + 1
    turned = np.moveaxis(x, axis, -1)
    a = layers.LayerNormalization(axis=axis)
    a.build(x.shape[1:])
    b = kl.LayerNormalization()
    b.build(turned.shape)
    weights = [draw(x.shape[axis], seed=i) for i in range(2)]
    a.load_keras_weights(weights)
    b.set_weights(weights)
    close(ours(a, x), np.moveaxis(theirs(b, turned), -1, axis))


@pytest.mark.parametrize("shape", [(6,), (5, 6), (4, 3, 6)])
@pytest.mark.parametrize("groups", [1, 2, 6, -1])
def test_group_normalization(shape, groups):
    if shape == (6,) and groups in (6, -1):
        pytest.skip("a group of one number is zero")
    same("GroupNormalization", draw(3, *shape) + 1, groups)


# Embeddings


def test_embedding():
    ids = np.random.default_rng(0).integers(0, 9, (4, 6))
    a, b = twins("Embedding", ids, 9, 5)
    close(a(torch.as_tensor(ids)).detach().numpy(), theirs(b, ids))
    close(a(torch.as_tensor(ids).float()).detach().numpy(), theirs(b, ids))


# Recurrence

CELLS = ["SimpleRNN", "LSTM", "GRU"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_recurrence(cell, return_sequences, return_state, go_backwards, masked):
    x, lengths = draw(4, 7, 3), np.array([7, 1, 4, 0])
    a, b = twins(
        cell, x, 5, return_sequences=return_sequences, return_state=return_state,
        go_backwards=go_backwards,
    )  # fmt: skip
    if not masked:
        close(ours(a, x), theirs(b, x))
        return
    mask = np.arange(7) < lengths[:, None]
    close(ours(a, x, lengths=torch.as_tensor(lengths)), theirs(b, x, mask=mask))


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("SimpleRNN", {"activation": "relu"}),
        ("SimpleRNN", {"activation": "sigmoid"}),
        ("SimpleRNN", {"use_bias": False}),
        ("LSTM", {"activation": "relu"}),
        ("LSTM", {"recurrent_activation": "hard_sigmoid"}),
        ("LSTM", {"use_bias": False}),
        ("GRU", {"reset_after": False}),
        ("GRU", {"reset_after": False, "use_bias": False}),
        ("GRU", {"activation": "relu"}),
        ("GRU", {"recurrent_activation": "hard_sigmoid", "use_bias": False}),
        ("GRU", {"use_bias": False}),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_recurrence_with_other_arguments(cell, named, masked):
    x, lengths = draw(3, 7, 3), np.array([7, 2, 4])
    a, b = twins(cell, x, 5, return_sequences=True, return_state=True, **named)
    if masked:
        mask = np.arange(7) < lengths[:, None]
        close(ours(a, x, lengths=torch.as_tensor(lengths)), theirs(b, x, mask=mask))
    else:
        close(ours(a, x), theirs(b, x))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_initial_state(cell, masked):
    x = draw(3, 7, 3)
    a, b = twins(cell, x, 5, return_state=True)
    states = [draw(3, 5, seed=8 + i) for i in range(2 if cell == "LSTM" else 1)]
    given = [torch.as_tensor(state) for state in states]
    if masked:
        lengths = np.array([7, 0, 3])
        found = ours(a, x, initial_state=given, lengths=torch.as_tensor(lengths))
        mask = np.arange(7) < lengths[:, None]
        # Keras gives zeros as the output of an empty sequence, and keeps its state.
        expected = theirs(b, x, initial_state=states, mask=mask)
        close([one[[0, 2]] for one in found], [one[[0, 2]] for one in expected])
        close(found[1:], expected[1:])
        return
    close(ours(a, x, initial_state=given), theirs(b, x, initial_state=states))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_bidirectional(cell, merge_mode, return_sequences, masked):
    x, lengths = draw(3, 7, 3), np.array([7, 2, 4])
    a = layers.Bidirectional(
        getattr(layers, cell)(5, return_sequences=return_sequences), merge_mode
    )
    b = kl.Bidirectional(getattr(kl, cell)(5, return_sequences=return_sequences), merge_mode)
    share_weights(a, b, x)
    if masked:
        mask = np.arange(7) < lengths[:, None]
        close(ours(a, x, lengths=torch.as_tensor(lengths)), theirs(b, x, mask=mask))
    else:
        close(ours(a, x), theirs(b, x))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_bidirectional_states(cell, masked):
    x, lengths = draw(3, 7, 3), np.array([7, 2, 4])
    named = {"return_sequences": True, "return_state": True}
    a = layers.Bidirectional(getattr(layers, cell)(5, **named))
    b = kl.Bidirectional(getattr(kl, cell)(5, **named))
    share_weights(a, b, x)
    count = 4 if cell == "LSTM" else 2
    states = [draw(3, 5, seed=8 + i) for i in range(count)]
    given = [torch.as_tensor(state) for state in states]
    if masked:
        mask = np.arange(7) < lengths[:, None]
        close(
            ours(a, x, lengths=torch.as_tensor(lengths), initial_state=given),
            theirs(b, x, mask=mask, initial_state=states),
        )
    else:
        close(ours(a, x, initial_state=given), theirs(b, x, initial_state=states))


def test_gradients_of_recurrence():
    """The single bias of Keras's LSTM learns at Keras's pace, not twice as fast."""
    x = draw(3, 7, 3)
    for cell in CELLS:
        a, b = twins(cell, x, 5)
        a(torch.as_tensor(x)).square().sum().backward()
        keras.ops.sum(keras.ops.square(b(x))).backward()
        mine = dict(a.named_parameters())
        for weight, their in zip(a.declare((7, 3)), b.trainable_weights, strict=True):
            found = weight.outward(mine[weight.name].grad).numpy()
            assert np.abs(found - their.value.grad.numpy()).max() <= 1e-4


@pytest.mark.parametrize(("inner", "shape"), [("Dense", (5, 4)), ("Conv2D", (3, 6, 5, 2))])
def test_time_distributed(inner, shape):
    x = draw(2, *shape)
    args = (4,) if inner == "Dense" else (4, 3)
    a = layers.TimeDistributed(getattr(layers, inner)(*args))
    b = kl.TimeDistributed(getattr(kl, inner)(*args))
    share_weights(a, b, x)
    close(ours(a, x), theirs(b, x))


# Attention


def attention(a, b, query, value=None, key=None, **masks):
    value = query if value is None else value
    key = value if key is None else key
    a.build([query.shape[1:], value.shape[1:], key.shape[1:]])
    b.build(query.shape, value.shape, key.shape)
    weights = [draw(*w.shape, seed=i, scale=0.5) for i, w in enumerate(b.get_weights())]
    b.set_weights(weights)
    a.load_keras_weights(weights)
    close(a.keras_weights(), weights)
    return a.eval(), b


@pytest.mark.parametrize(
    "named",
    [
        {}, {"value_dim": 5}, {"use_bias": False}, {"output_shape": 7}, {"dropout": 0.3},
        {"value_dim": 2, "output_shape": 3, "use_bias": False},
    ],
)  # fmt: skip
@pytest.mark.parametrize("causal", [False, True])
def test_attention_to_itself(named, causal):
    x = draw(3, 6, 8)
    a, b = attention(
        layers.MultiHeadAttention(2, 4, **named), kl.MultiHeadAttention(2, 4, **named), x
    )
    found = a(torch.as_tensor(x), use_causal_mask=causal).detach().numpy()
    close(found, theirs(b, x, value=x, use_causal_mask=causal))


def test_attention_to_another_sequence():
    query, value, key = draw(3, 4, 8), draw(3, 6, 5, seed=1), draw(3, 6, 7, seed=2)
    a, b = attention(
        layers.MultiHeadAttention(2, 4), kl.MultiHeadAttention(2, 4), query, value, key
    )
    found = a(*(torch.as_tensor(one) for one in (query, value, key))).detach().numpy()
    close(found, theirs(b, query, value=value, key=key))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_masked_attention(causal, scores):
    x, lengths = draw(3, 6, 8), np.array([6, 2, 4])
    seen = np.arange(6) < lengths[:, None]
    a, b = attention(layers.MultiHeadAttention(2, 4), kl.MultiHeadAttention(2, 4), x)
    found = a(
        torch.as_tensor(x), lengths=torch.as_tensor(lengths), use_causal_mask=causal,
        return_attention_scores=scores,
    )  # fmt: skip
    expected = theirs(
        b, x, value=x, value_mask=seen, use_causal_mask=causal, return_attention_scores=scores
    )
    if scores:
        close([one.detach().numpy() for one in found], expected)
    else:
        close(found.detach().numpy(), expected)


def test_attention_with_a_mask_of_ones_own():
    x = draw(3, 6, 8)
    mask = np.random.default_rng(0).random((3, 6, 6)) < 0.6
    mask[:, :, 0] = True
    a, b = attention(layers.MultiHeadAttention(2, 4), kl.MultiHeadAttention(2, 4), x)
    found = a(torch.as_tensor(x), attention_mask=torch.as_tensor(mask)).detach().numpy()
    close(found, theirs(b, x, value=x, attention_mask=mask))


class KerasEncoder:
    """KerasHub's encoder block, put together from Keras's own layers.

    KerasHub itself needs TensorFlow to be installed.
    """

    def __init__(self, intermediate_dim, num_heads, features, activation, normalize_first):
        self.attention = kl.MultiHeadAttention(num_heads, features // num_heads)
        self.attention_norm = kl.LayerNormalization(epsilon=1e-5)
        self.feedforward_norm = kl.LayerNormalization(epsilon=1e-5)
        self.intermediate = kl.Dense(intermediate_dim, activation)
        self.output = kl.Dense(features)
        self.normalize_first = normalize_first

    def __call__(self, x, mask=None):
        attend = self.attention
        if self.normalize_first:
            y = self.attention_norm(x)
            x = x + attend(y, value=y, attention_mask=mask)
            return x + self.output(self.intermediate(self.feedforward_norm(x)))
        x = self.attention_norm(x + attend(x, value=x, attention_mask=mask))
        return self.feedforward_norm(x + self.output(self.intermediate(x)))

    def get_weights(self):
        parts = (
            self.attention, self.attention_norm, self.feedforward_norm, self.intermediate,
            self.output,
        )  # fmt: skip
        return [weight for part in parts for weight in part.get_weights()]


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masked", [False, True])
def test_transformer_encoder(normalize_first, activation, masked):
    x, lengths = draw(3, 6, 8), np.array([6, 2, 4])
    seen = np.arange(6) < lengths[:, None]
    b = KerasEncoder(10, 2, 8, activation, normalize_first)
    mask = seen[:, None, :] if masked else None
    expected = keras.ops.convert_to_numpy(b(keras.ops.convert_to_tensor(x), mask))
    a = layers.TransformerEncoder(
        10, 2, activation=activation, normalize_first=normalize_first
    ).eval()
    a.build((6, 8))
    a.load_keras_weights(b.get_weights())
    named = {"lengths": torch.as_tensor(lengths)} if masked else {}
    close(ours(a, x, **named), expected)
    if masked:
        close(ours(a, x, padding_mask=torch.as_tensor(seen)), expected)


# How weights start


@pytest.mark.parametrize(
    "name",
    [
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform",
        "lecun_normal", "random_uniform", "random_normal", "truncated_normal", "orthogonal",
        "zeros", "ones", "identity",
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(60, 60), (3, 3, 20, 40)])
def test_initializers_have_the_spread_of_keras(name, shape):
    from lepton_ai.layers.initializers import start

    if name == "identity" and len(shape) != 2:
        pytest.skip("a matrix only")
    found = start(name, shape, torch.Generator().manual_seed(0)).numpy()
    expected = keras.ops.convert_to_numpy(keras.initializers.get(name)(shape))
    assert found.shape == expected.shape
    assert abs(found.std() - expected.std()) <= 0.05 * expected.std() + 1e-6
    assert abs(np.abs(found).max() - np.abs(expected).max()) <= 0.35 * np.abs(expected).max() + 1e-6
    assert abs(found.mean() - expected.mean()) <= 0.1 * expected.std() + 1e-6


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [("LSTM", (5,), (7, 3)), ("GRU", (5,), (7, 3)), ("Conv2D", (4, 3), (8, 8, 2)),
     ("BatchNormalization", (), (4,)), ("MultiHeadAttention", (2, 4), (6, 8))],
)  # fmt: skip
def test_weights_start_in_the_same_shapes(name, args, shape):
    a, b = getattr(layers, name)(*args), getattr(kl, name)(*args)
    a.build(shape)
    batch = (None, *shape)
    b.build(*([batch, batch] if name == "MultiHeadAttention" else [batch]))
    found, expected = a.keras_weights(), b.get_weights()
    assert [w.shape for w in found] == [w.shape for w in expected]
    for one, other in zip(found, expected, strict=True):
        if one.ndim == 1 or name == "GRU" and one.shape[0] == 2:  # biases: exactly the same
            np.testing.assert_array_equal(one, other)
