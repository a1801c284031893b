"""Cells, layers around them, states that are carried on, and convolutional recurrence."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from lepton_ai import layers, registry
from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.lengths import call
from lepton_ai.layers.randomness import drawing_from

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
CELLS = ["SimpleRNNCell", "LSTMCell", "GRUCell"]
LENGTHS = np.array([7, 1, 4])
MASK = np.arange(7) < LENGTHS[:, None]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("SimpleRNNCell", {}), ("SimpleRNNCell", {"activation": "relu", "use_bias": False}),
        ("LSTMCell", {}), ("LSTMCell", {"recurrent_activation": "hard_sigmoid"}),
        ("GRUCell", {}), ("GRUCell", {"reset_after": False}), ("GRUCell", {"use_bias": False}),
    ],
)  # fmt: skip
def test_one_step_of_a_cell(oracle, name, named):
    x = oracle.draw(3, 4)
    a, b = oracle.twins(name, x, 5, **named)
    states = [oracle.draw(3, 5, seed=5 + i) for i in range(2 if name == "LSTMCell" else 1)]
    output, after = a(torch.as_tensor(x), [torch.as_tensor(state) for state in states])
    expected, expected_after = b(x, states)
    oracle.close(output, expected)
    oracle.close(after, expected_after)
    assert a.state_size == b.state_size
    assert a.output_size == b.output_size
    started = a(torch.as_tensor(x))[0]
    assert torch.equal(started, a(torch.as_tensor(x), [torch.zeros(3, 5)] * len(states))[0])


def stack(oracle, several):
    ours, theirs = layers, oracle.layers
    if not several:
        return ours.LSTMCell(5), theirs.LSTMCell(5)
    a = [ours.LSTMCell(5), ours.GRUCell(4), ours.SimpleRNNCell(3)]
    return a, [theirs.LSTMCell(5), theirs.GRUCell(4), theirs.SimpleRNNCell(3)]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_around_a_cell(oracle, several, return_sequences, go_backwards):
    x = oracle.draw(3, 7, 4)
    named = {"return_sequences": return_sequences, "go_backwards": go_backwards}
    a, b = stack(oracle, several)
    a, b = oracle.share(layers.RNN(a, **named), oracle.layers.RNN(b, **named), x)
    oracle.same(a, b, x)
    lengths = torch.as_tensor(LENGTHS)
    oracle.close(a(torch.as_tensor(x), lengths=lengths), b(x, mask=MASK))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("masked", [False, True])
def test_states_of_a_cell_go_in_and_out(oracle, cell, masked):
    x = oracle.draw(3, 7, 4)
    a = layers.RNN(getattr(layers, cell)(5), return_state=True)
    b = oracle.layers.RNN(getattr(oracle.layers, cell)(5), return_state=True)
    oracle.share(a, b, x)
    count = 2 if cell == "LSTMCell" else 1
    states = [oracle.draw(3, 5, seed=8 + i) for i in range(count)]
    given = [torch.as_tensor(state) for state in states]
    ours = {"lengths": torch.as_tensor(LENGTHS)} if masked else {}
    theirs = {"mask": MASK} if masked else {}
    found = a(torch.as_tensor(x), initial_state=given, **ours)
    oracle.close(found, list(b(x, initial_state=states, **theirs)))


def test_zeros_in_place_of_padding(oracle):
    x = oracle.draw(3, 7, 4)
    named = {"return_sequences": True, "zero_output_for_mask": True}
    a = layers.RNN(layers.GRUCell(5), **named)
    b = oracle.layers.RNN(oracle.layers.GRUCell(5), **named)
    oracle.share(a, b, x)
    oracle.close(a(torch.as_tensor(x), lengths=torch.as_tensor(LENGTHS)), b(x, mask=MASK))


@pytest.mark.parametrize(
    ("cell", "layer"), [("SimpleRNNCell", "SimpleRNN"), ("LSTMCell", "LSTM"), ("GRUCell", "GRU")]
)
def test_a_cell_in_a_loop_is_the_layer(cell, layer):
    one = layers.RNN(getattr(layers, cell)(5), return_sequences=True, return_state=True)
    other = getattr(layers, layer)(5, return_sequences=True, return_state=True)
    x = torch.randn(3, 7, 4)
    one.build((7, 4))
    other.build((7, 4))
    other.load_keras_weights(one.keras_weights())
    for a, b in zip(one(x), other(x), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_dropped_features_stay_dropped_at_all_steps():
    layer = layers.RNN(layers.SimpleRNNCell(4, dropout=0.5, use_bias=False), return_sequences=True)
    layer.build((6, 8))
    assert layer.draws
    with torch.no_grad():
        layer.cell.recurrent_kernel.zero_()
    x = torch.ones(5, 6, 8)
    with drawing_from(torch.Generator().manual_seed(3)):
        y = layer.train()(x)
    assert torch.equal(y[:, :1].expand_as(y), y)
    assert not torch.equal(y[0], y[1])
    again = layer(x)
    assert not torch.equal(y, again)  # and are drawn anew for the next batch


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize("masked", [False, True])
def test_stateful_layers_go_on_where_they_ended(oracle, name, masked):
    x = oracle.draw(3, 7, 4)
    a = getattr(layers, name)(5, stateful=True, return_sequences=True)
    b = getattr(oracle.layers, name)(5, stateful=True, return_sequences=True)
    oracle.share(a, b, x)
    ours = {"lengths": torch.as_tensor(LENGTHS)} if masked else {}
    theirs = {"mask": MASK} if masked else {}
    for seed in range(3):
        batch = oracle.draw(3, 7, 4, seed=seed)
        oracle.close(a(torch.as_tensor(batch), **ours), b(batch, **theirs))
    a.reset_states()
    b.reset_state()
    oracle.close(a(torch.as_tensor(x)), b(x))


def test_two_halves_are_the_whole():
    layer = layers.LSTM(5, stateful=True, return_sequences=True)
    x = torch.randn(2, 10, 3)
    halves = torch.cat([layer(x[:, :4]), layer(x[:, 4:])], 1)
    layer.reset_states()
    whole = layer(x)
    assert torch.allclose(halves, whole, atol=1e-6)
    halves.sum().backward()  # batches do not hold on to those before them
    with pytest.raises(ShapeError, match="reset_states"):
        layer(x[:1])
    layer.reset_states([torch.ones(2, 5), torch.zeros(2, 5)])
    assert not torch.allclose(layer(x), whole)
    assert layer.uses_batch_statistics  # so that a batch is not split over replicas
    assert not layers.LSTM(5).uses_batch_statistics
    assert set(layer.state_dict()) == {"kernel", "recurrent_kernel", "bias"}
    copy.deepcopy(layer)


def test_a_stateful_pair_is_reset_together():
    layer = layers.Bidirectional(layers.GRU(3, stateful=True))
    x = torch.randn(2, 4, 3)
    first = layer(x)
    assert not torch.allclose(layer(x), first)
    layer.reset_states()
    assert torch.allclose(layer(x), first)


def test_a_cell_of_ones_own(monkeypatch):
    monkeypatch.setitem(registry._registered, "layers", {})

    class Summing(layers.Layer):
        state_size = 3

        def forward(self, x, states):
            total = states[0] + self.ready(x)
            return 2 * total, [total]

    registry.register("layers", "Summing", Summing)
    layer = layers.RNN(Summing(), return_sequences=True, return_state=True)
    x = torch.randn(2, 5, 3)
    y, state = layer(x)
    assert torch.allclose(y, 2 * x.cumsum(1))
    assert torch.allclose(state, x.sum(1))
    assert isinstance(layers.RNN.from_config(layer.config()).cell, Summing)


def test_what_is_no_cell_is_refused():
    with pytest.raises(ConfigError, match="LSTMCell"):
        layers.RNN(layers.Dense(3))
    with pytest.raises(ConfigError, match="list of cells"):
        layers.StackedRNNCells([])
    with pytest.raises(ShapeError, match=r"RNN\(LSTMCell\(4\)\)"):
        layers.LSTMCell(4).infer((6, 3))
    with pytest.raises(ShapeError, match="2 states"):
        layers.LSTMCell(4)(torch.zeros(1, 3), torch.zeros(1, 4))


def test_equal_lengths_cost_no_packing(monkeypatch):
    layer = layers.LSTM(4, return_state=True)
    x = torch.randn(3, 6, 2)
    layer(x)
    monkeypatch.setattr(layer, "_run_packed", None)  # would fail if it were called
    full = layer(x, lengths=torch.tensor([6, 6, 6]))
    assert all(torch.equal(a, b) for a, b in zip(full, layer(x), strict=True))


# Convolutional recurrence

PLACES = {1: (9,), 2: (6, 5), 3: (4, 5, 3)}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "named",
    [
        {}, {"padding": "same"}, {"strides": 2}, {"strides": 2, "padding": "same"},
        {"return_sequences": True, "go_backwards": True}, {"use_bias": False},
        {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
    ],
)  # fmt: skip
def test_convolutional_recurrence(oracle, rank, named):
    oracle.table(f"ConvLSTM{rank}D", oracle.draw(2, 4, *PLACES[rank], 2), 3, 2, **named)


@pytest.mark.parametrize("rank", [1, 2])
def test_dilated_convolutional_recurrence(oracle, rank):
    oracle.table(f"ConvLSTM{rank}D", oracle.draw(2, 4, *PLACES[rank], 2), 3, 2, dilation_rate=2)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_states_and_masks_of_convolutional_recurrence(oracle, rank, return_sequences):
    x = oracle.draw(3, 4, *PLACES[rank], 2)
    lengths = np.array([4, 1, 3])
    a, b = oracle.twins(
        f"ConvLSTM{rank}D", x, 3, 2, padding="same", return_state=True,
        return_sequences=return_sequences,
    )  # fmt: skip
    oracle.same(a, b, x)
    given = a(
        torch.as_tensor(np.moveaxis(x, -1, 1)),
        lengths=torch.as_tensor(lengths),
    )
    mask = np.arange(4) < lengths[:, None]
    oracle.close(oracle.written(given), list(b(x, mask=mask)))


def test_convolutional_states_go_in_and_on(oracle):
    x = oracle.draw(2, 4, 6, 5, 2)
    a, b = oracle.twins("ConvLSTM2D", x, 3, 2, padding="same", stateful=True)
    maps = torch.as_tensor(np.moveaxis(x, -1, 1))
    for _ in range(2):
        oracle.close(oracle.written(a(maps)), b(x))
    plain, their = oracle.twins("ConvLSTM2D", x, 3, 2, padding="same")
    states = [oracle.draw(2, 6, 5, 3, seed=i) for i in range(2)]
    given = [torch.as_tensor(np.moveaxis(state, -1, 1)) for state in states]
    oracle.close(oracle.written(plain(maps, initial_state=given)), their(x, initial_state=states))


@pytest.mark.parametrize("inner", ["cell", "ConvLSTM1D"])
def test_both_directions_around_other_layers(oracle, inner):
    def make(kind):
        if inner == "cell":
            return kind.RNN(kind.LSTMCell(3), return_sequences=True)
        return kind.ConvLSTM1D(3, 2, padding="same", return_sequences=True)

    x = oracle.draw(2, 4, 3) if inner == "cell" else oracle.draw(2, 4, 6, 3)
    a = layers.Bidirectional(make(layers))
    b = oracle.layers.Bidirectional(make(oracle.layers))
    oracle.share(a, b, x)
    oracle.same(a, b, x)
    assert a.output_shape_ == a.infer(x.shape[1:])


def test_wrong_shapes_of_clips():
    with pytest.raises(ShapeError, match=r"input_shape=\(10, 28, 28, 1\)"):
        layers.ConvLSTM2D(3, 2).infer((28, 28, 1))
    with pytest.raises(ConfigError, match="strides or dilation_rate"):
        layers.ConvLSTM1D(3, 2, strides=2, dilation_rate=2)
    y, after = call(layers.ConvLSTM1D(2, 2, return_sequences=True), torch.randn(2, 3, 4, 5),
                    torch.tensor([4, 2]))  # fmt: skip
    assert y.shape == (2, 2, 4, 4)
    assert after.tolist() == [4, 2]
