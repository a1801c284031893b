"""Constraints on weights, and penalties on outputs."""

from __future__ import annotations

import copy
import pickle  # noqa: S403

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lepton_ai import layers
from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.layers import constraints, max_norm, min_max_norm, non_neg, penalty, unit_norm
from lepton_ai.layers.constraints import as_constraint, constrained
from lepton_ai.layers.layout import from_written

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("MaxNorm", {}), ("MaxNorm", {"max_value": 0.5, "axis": 1}), ("NonNeg", {}),
        ("UnitNorm", {}), ("UnitNorm", {"axis": [0, 1, 2]}), ("MinMaxNorm", {}),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.7, "rate": 0.3, "axis": [0, 1, 2]}),
    ],
)  # fmt: skip
def test_constraints(oracle, name, named):
    weight = oracle.draw(3, 3, 4, 5, scale=2.0)
    ours = as_constraint({"name": name, **named}, "kernel_constraint")
    found = constrained(torch.as_tensor(weight), ours)
    oracle.close(found, getattr(oracle.keras.constraints, name)(**named)(weight), 1e-6)


@settings(deadline=None)
@given(
    st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6),
    st.floats(0.125, 10, width=32),
)
def test_norms_stay_within(values, most):
    weight = torch.tensor(values).view(3, 2)
    norms = constrained(weight, max_norm(most)).norm(dim=0)
    assert (norms <= most * (1 + 1e-5)).all()
    inside = weight.norm(dim=0) <= most
    assert torch.allclose(constrained(weight, max_norm(most))[:, inside], weight[:, inside],
                          atol=1e-4)  # fmt: skip


# Each layer, the argument, and the weights that it rules.
RULED = [
    ("Dense", (3,), {}, (4,), "kernel_constraint", [0]),
    ("Dense", (3,), {}, (4,), "bias_constraint", [1]),
    ("Conv1D", (3, 2), {}, (6, 4), "kernel_constraint", [0]),
    ("Conv2D", (3, 2), {}, (6, 5, 4), "kernel_constraint", [0]),
    ("Conv2DTranspose", (3, 2), {}, (6, 5, 4), "kernel_constraint", [0]),
    ("DepthwiseConv2D", (2,), {"depth_multiplier": 2}, (6, 5, 4), "depthwise_constraint", [0]),
    ("SeparableConv1D", (3, 2), {}, (6, 4), "depthwise_constraint", [0]),
    ("SeparableConv2D", (3, 2), {}, (6, 5, 4), "pointwise_constraint", [1]),
    ("Embedding", (7, 3), {}, (5,), "embeddings_constraint", [0]),
    ("PReLU", (), {}, (4,), "alpha_constraint", [0]),
    ("BatchNormalization", (), {}, (4,), "gamma_constraint", [0]),
    ("LayerNormalization", (), {}, (4,), "beta_constraint", [1]),
    ("GroupNormalization", (2,), {}, (4,), "gamma_constraint", [0]),
    ("SimpleRNN", (3,), {}, (5, 4), "kernel_constraint", [0]),
    ("LSTM", (3,), {}, (5, 4), "recurrent_constraint", [1]),
    ("GRU", (3,), {}, (5, 4), "kernel_constraint", [0]),
    ("GRUCell", (3,), {}, (4,), "recurrent_constraint", [1]),
    ("ConvLSTM2D", (3, 2), {}, (3, 5, 4, 2), "recurrent_constraint", [1]),
    ("EinsumDense", ("abc,cd->abd", (None, 3)), {}, (5, 4), "kernel_constraint", [0]),
]


@pytest.mark.parametrize(
    ("name", "args", "named", "shape", "argument", "places"), RULED,
    ids=[f"{row[0]}-{row[4]}" for row in RULED],
)  # fmt: skip
@pytest.mark.parametrize("rule", ["non_neg", "unit_norm"])
def test_every_layer_holds_its_weights(name, args, named, shape, argument, places, rule):
    layer = getattr(layers, name)(*args, **named, **{argument: rule})
    layer.build(shape)
    rng = np.random.default_rng(0)
    before = [rng.standard_normal(w.shape).astype("float32") for w in layer.keras_weights()]
    layer.load_keras_weights(before)
    assert constraints.apply(nn.Sequential(layer)) == len(places)
    rule_ = as_constraint(rule, argument)
    for place, (old, new) in enumerate(zip(before, layer.keras_weights(), strict=True)):
        expected = constrained(torch.as_tensor(old), rule_).numpy() if place in places else old
        np.testing.assert_allclose(new, expected, atol=1e-6)
    assert type(layer).from_config(layer.config()).config() == layer.config()


def test_heads_are_held_too():
    layer = layers.MultiHeadAttention(2, 3, kernel_constraint="non_neg", bias_constraint=non_neg())
    layer.build((5, 4))
    with torch.no_grad():
        for weight in layer.parameters():
            weight.normal_()
    assert set(layer.constraints) == {name for name, _ in layer.named_parameters()}
    assert constraints.apply(layer) == 8
    assert all((weight >= 0).all() for weight in layer.parameters())


def test_weights_stay_the_same_parameters():
    layer = layers.Dense(2, kernel_constraint=unit_norm())
    layer.build(3)
    kernel = layer.kernel
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        assert constraints.apply(layer) == 1
        assert torch.allclose(kernel.norm(dim=1), torch.ones(2), atol=1e-5)
    assert layer.kernel is kernel
    assert constraints.apply(nn.Sequential(layers.Dense(2), nn.Linear(2, 2))) == 0
    assert layers.Dense(2, kernel_constraint=unit_norm()).constrain() == 0  # not built yet


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("max_nrm", UnknownNameError, "Did you mean 'max_norm'"),
        (3, ConfigError, "kernel_constraint='non_neg'"),
        ({"name": "max_norm", "max_valu": 1}, ConfigError, "Did you mean 'max_value'"),
        ({"name": "unit_norm", "axis": "rows"}, ConfigError, "axis=0"),
        ({"name": "max_norm", "max_value": -1}, ConfigError, "at least 0"),
        ({"name": "min_max_norm", "min_value": 2, "max_value": 1}, ConfigError, "at least 2"),
    ],
)
def test_what_is_no_constraint(value, kind, words):
    with pytest.raises(kind, match=words):
        layers.Dense(2, kernel_constraint=value)


def test_names_of_constraints_are_those_of_keras():
    assert as_constraint("MinMaxNorm", "x") == min_max_norm()
    with pytest.raises(ConfigError, match="does not support kernel_constraint"):
        layers.Flatten(kernel_constraint="non_neg")
    assert layers.Dense(2).constraints == {}
    assert layers.Flatten(kernel_constraint=None).config() == layers.Flatten().config()


# Penalties on outputs


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [("Dense", (3,), (4,)), ("Conv2D", (3, 2), (6, 5, 2)), ("LSTM", (3,), (5, 4)),
     ("LayerNormalization", (), (4,))],
)  # fmt: skip
def test_penalties_on_outputs(oracle, name, args, shape):
    x = oracle.draw(3, *shape)
    b = getattr(oracle.layers, name)(*args, activity_regularizer=oracle.keras.regularizers.L1L2(
        0.1, 0.2))  # fmt: skip
    a = getattr(layers, name)(*args, activity_regularizer=layers.l1_l2(0.1, 0.2))
    oracle.share(a, b, x)
    a(from_written(torch.as_tensor(x)))
    assert penalty(a).item() == 0  # nothing is counted outside of training
    a.train()(from_written(torch.as_tensor(x)))
    b(x)
    assert penalty(a).item() == pytest.approx(oracle.array(b.losses[0]).item(), rel=1e-5)
    penalty(a).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in a.parameters())
    assert type(a).from_config(a.config()).activity_regularizer == {"l1": 0.1, "l2": 0.2}


def test_copies_hold_no_output():
    layer = layers.Dense(2, activity_regularizer="l2").train()
    layer(torch.randn(3, 4))
    assert penalty(layer).item() > 0
    assert penalty(copy.deepcopy(layer)).item() == 0
    assert penalty(pickle.loads(pickle.dumps(layer))).item() == 0  # noqa: S301
    with torch.no_grad():
        layer(torch.full((3, 4), 9.0))
    kept = penalty(layer).item()
    layer(torch.zeros(3, 4))
    assert penalty(layer).item() != kept


def test_a_layer_that_only_penalises(oracle):
    x = oracle.draw(4, 3)
    a = layers.ActivityRegularization(l1=0.1, l2=0.3).train()
    b = oracle.layers.ActivityRegularization(l1=0.1, l2=0.3)
    oracle.close(a(torch.as_tensor(x)), b(x))
    assert penalty(a).item() == pytest.approx(oracle.array(b.losses[0]).item(), rel=1e-5)
