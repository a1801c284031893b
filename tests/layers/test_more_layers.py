"""Normalisations, merging, sums by equation, adaptive pooling, and layers that disturb."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai import layers
from lepton_ai.errors import ConfigError, LeptonError, NotReadyError, ShapeError, UnknownNameError
from lepton_ai.layers.layout import from_written, to_written
from lepton_ai.layers.nonlinearity import sparsemax
from lepton_ai.layers.randomness import drawing_from

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def test_there_is_no_lambda():
    with pytest.raises(UnknownNameError, match=r"lai.register\('layers', 'Doubled', Doubled\)"):
        _ = layers.Lambda
    with pytest.raises(UnknownNameError, match="must not run code"):
        from lepton_ai.layers import Lambda  # noqa: F401
    assert "Lambda" not in dir(layers)


# Normalisation


@pytest.mark.parametrize("name", ["RMSNormalization", "UnitNormalization"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((8,), -1), ((5, 8), -1), ((4, 3, 8), -1), ((2, 3, 4, 8), -1)]
)
def test_normalisation_by_size(oracle, name, shape, axis):
    oracle.table(name, oracle.draw(3, *shape) + 1, axis=axis)


@pytest.mark.parametrize("axis", [1, 2, (1, 2), (1, 2, 3)])
def test_unit_length_along_other_axes(oracle, axis):
    oracle.table("UnitNormalization", oracle.draw(3, 5, 6, 4), axis=axis)


@pytest.mark.parametrize("axis", [1, 2, (2, 3)])
def test_size_along_other_axes(axis):
    x = torch.randn(3, 5, 6, 4, dtype=torch.float64)
    layer = layers.RMSNormalization(axis=axis)
    layer.build((5, 6, 4))
    y = to_written(layer.double()(from_written(x)))
    dims = (axis,) if isinstance(axis, int) else axis
    assert torch.allclose(y, x / (x.square().mean(dims, keepdim=True) + 1e-6).sqrt())


def test_normalisation_of_zeros_is_finite():
    assert torch.equal(layers.UnitNormalization()(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert torch.equal(layers.RMSNormalization()(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("shape", [(5, 6), (4, 3, 6), (2, 3, 4, 6)])
def test_instances_are_groups_of_one(oracle, shape):
    x = oracle.draw(3, *shape) + 1
    a = layers.InstanceNormalization()
    b = oracle.layers.GroupNormalization(groups=-1)
    oracle.share(a, b, x)
    oracle.same(a, b, x)
    with pytest.raises(ShapeError, match="LayerNormalization"):
        layers.InstanceNormalization().infer((6,))


@pytest.mark.parametrize(
    ("inner", "args", "shape"),
    [("Dense", (5,), (4,)), ("Conv1D", (5, 3), (8, 4)), ("Conv2D", (5, 3), (7, 6, 4)),
     ("Conv2DTranspose", (5, 2), (4, 3, 2))],
)  # fmt: skip
@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_normalization(oracle, inner, args, shape, iterations):
    x = oracle.draw(3, *shape)
    a = layers.SpectralNormalization(getattr(layers, inner)(*args), iterations)
    b = oracle.layers.SpectralNormalization(getattr(oracle.layers, inner)(*args), iterations)
    oracle.share(a, b, x)
    given = from_written(torch.as_tensor(x))
    oracle.close(to_written(a(given)), b(x, training=False))
    for _ in range(3):
        oracle.close(to_written(a.train()(given)), b(x, training=True))
        oracle.close(a.keras_weights(), b.get_weights())
    assert a.uses_batch_statistics


def test_spectral_normalization_comes_to_one():
    layer = layers.SpectralNormalization(layers.Dense(4), power_iterations=50).train()
    layer(torch.randn(1, 6))
    assert torch.linalg.matrix_norm(layer.layer.kernel, 2).item() == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        layer.layer.kernel.zero_()
    assert torch.isfinite(layer(torch.randn(1, 6))).all()  # Keras leaves zeros alone, too


@pytest.mark.parametrize(
    ("inner", "args", "shape"), [("Dense", (5,), (4,)), ("Conv2D", (5, 3), (7, 6, 4))]
)
def test_weight_normalization_is_that_of_torch(inner, args, shape):
    layer = layers.WeightNormalization(getattr(layers, inner)(*args))
    layer.build(shape)
    plain = getattr(layers, inner)(*args)
    plain.build(shape)
    plain.load_state_dict(layer.layer.state_dict())
    x = from_written(torch.randn(3, *shape))
    assert torch.allclose(layer(x), plain(x), atol=1e-6)  # it starts as the layer alone
    with torch.no_grad():
        layer.magnitude.uniform_(0.5, 2)
    torch.nn.utils.parametrizations.weight_norm(plain, "kernel", dim=0)
    with torch.no_grad():
        plain.parametrizations.kernel.original0.copy_(
            layer.magnitude.view_as(plain.parametrizations.kernel.original0)
        )
    y, z = layer(x), plain(x)
    assert torch.allclose(y, z, atol=1e-5)
    factor = torch.randn_like(y)
    (y * factor).sum().backward()
    (z * factor).sum().backward()
    weights = plain.parametrizations.kernel
    assert torch.allclose(layer.layer.kernel.grad, weights.original1.grad, atol=1e-4)
    assert torch.allclose(layer.magnitude.grad, weights.original0.grad.flatten(), atol=1e-4)


def test_only_kernels_are_wrapped():
    with pytest.raises(ConfigError, match="kernel"):
        layers.WeightNormalization(layers.Dropout(0.5)).build((4,))
    with pytest.raises(ConfigError, match="expected a layer"):
        layers.SpectralNormalization(torch.nn.Linear(2, 3))
    wrapped = layers.SpectralNormalization(layers.Embedding(9, 4, mask_zero=True))
    ids = torch.tensor([[3, 4, 0]])
    assert wrapped.train()(ids).shape == (1, 3, 4)
    assert wrapped.find_lengths(ids).tolist() == [2]


# Merging and equations


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        (((4,), (4,)), 1), (((5, 4), (3, 4)), 2), (((5, 4), (3, 4)), (2, 2)),
        (((5, 4), (5, 3)), 1), (((4, 5), (4,)), (1, 1)), (((4,), (4, 5)), (1, 1)),
        (((2, 5, 4), (3, 4)), (3, 2)), (((5, 4), (3, 4)), -1),
    ],
)  # fmt: skip
def test_dot(oracle, shapes, axes, normalize):
    x = [oracle.draw(3, *shape, seed=i) for i, shape in enumerate(shapes)]
    a, b = oracle.twins("Dot", x, axes=axes, normalize=normalize)
    oracle.same(a, b, x)


def test_dot_says_what_does_not_fit():
    with pytest.raises(ShapeError, match="as many values"):
        layers.Dot(1).infer([(3,), (4,)])
    with pytest.raises(ShapeError, match="other than the batch"):
        layers.Dot(0).infer([(3,), (3,)])
    with pytest.raises(ShapeError, match="two inputs"):
        layers.Dot(1).infer([(3,), (3,), (3,)])
    with pytest.raises(ConfigError, match="axes"):
        layers.Dot((1, 2, 3))


@pytest.mark.parametrize(
    ("equation", "output", "bias", "shape"),
    [
        ("ab,bc->ac", 5, "c", (4,)), ("abc,cd->abd", (None, 5), "d", (3, 4)),
        ("abc,cde->abde", (None, 2, 3), "de", (3, 4)), ("abcd,cde->abe", (None, 5), "e", (2, 3, 4)),
        ("abc,cd->abd", (3, 5), "bd", (3, 4)), ("abc,bd->adc", (5, 4), None, (3, 4)),
        ("...b,bc->...c", 5, "c", (3, 4)), ("...b,bc->...c", (5,), "c", (2, 3, 4)),
        ("ab...,bc->ac...", 5, None, (4, 3)),
    ],
)  # fmt: skip
def test_sums_by_equation(oracle, equation, output, bias, shape):
    if equation.startswith("ab..."):  # Keras wants the sizes of the other axes, too
        x = oracle.draw(2, *shape)
        a = layers.EinsumDense(equation, output)
        a.build(shape)
        expected = np.einsum("abx,bc->acx", x, a.keras_weights()[0])
        oracle.close(a(torch.as_tensor(x)), expected)
        return
    named = {"output_shape": output, "bias_axes": bias, "activation": "tanh"}
    a, b = oracle.twins("EinsumDense", oracle.draw(2, *shape), equation, **named)
    oracle.same(a, b, oracle.draw(2, *shape))
    assert a.output_shape_ == tuple(b(oracle.draw(2, *shape)).shape[1:])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.EinsumDense("abc", 3), "abc,cd->abd"),
        (lambda: layers.EinsumDense("...b,bc->c", 3), "same end"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="x"), "letters of the output"),
        (lambda: layers.EinsumDense("ab,bc->ac", None), "output_shape expected"),
        (lambda: layers.EinsumDense("ab,bc->ac", 3).infer((4, 5)), "1 axes"),
        (lambda: layers.EinsumDense("ab,bc->ac", (None,)).build((4,)), "output_shape"),
        (lambda: layers.EinsumDense("abc,cd->abd", (7, 3)).infer((5, 4)), "expected 7"),
    ],
)
def test_equations_that_cannot_be(make, words):
    with pytest.raises(LeptonError, match=words):
        make()


# Pooling, activations, embeddings


@pytest.mark.parametrize("kind", ["AdaptiveAveragePooling", "AdaptiveMaxPooling"])
@pytest.mark.parametrize(("rank", "places"), [(1, (9,)), (2, (9, 8)), (3, (6, 5, 7))])
@pytest.mark.parametrize("size", [1, 3, 4])
def test_adaptive_pooling(oracle, kind, rank, places, size):
    oracle.table(f"{kind}{rank}D", oracle.draw(2, *places, 3), size)


@pytest.mark.parametrize("activation", ["sparse_plus", "sparse_sigmoid"])
def test_sparse_activations(oracle, activation):
    oracle.table("Activation", oracle.draw(5, 7, scale=2.0), activation)
    x = oracle.draw(5, 4, 6, 3, scale=2.0)
    a = layers.Activation(activation)
    expected = oracle.array(getattr(oracle.keras.activations, activation)(torch.as_tensor(x)))
    oracle.close(to_written(a(from_written(torch.as_tensor(x)))), expected)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=8), st.floats(-5, 5, width=32))
def test_sparsemax_is_a_distribution(values, shift):
    """Keras's own does not sum to 1 where some values are left out, so it is no oracle."""
    x = torch.tensor(values, dtype=torch.float64)
    y = sparsemax(x, 0)
    assert (y >= 0).all()
    assert y.sum().item() == pytest.approx(1, abs=1e-9)
    assert torch.allclose(sparsemax(x + shift, 0), y, atol=1e-9)
    # The nearest point of the simplex: what is kept is shifted by one number, the rest lies below.
    kept = y > 0
    threshold = (x - y)[kept]
    assert threshold.max() - threshold.min() <= 1e-9
    assert (x[~kept] <= threshold.max() + 1e-9).all()


@pytest.mark.parametrize("named", [{}, {"tie_weights": False}, {"logit_soft_cap": 2.0}])
def test_an_embedding_and_its_way_back(oracle, named):
    ids = np.random.default_rng(0).integers(0, 9, (4, 6))
    a, b = oracle.twins("ReversibleEmbedding", ids, 9, 5, **named)
    oracle.close(a(torch.as_tensor(ids)), b(ids))
    x = oracle.draw(4, 6, 5)
    oracle.close(a(torch.as_tensor(x), reverse=True), b(x, reverse=True))
    with pytest.raises(NotReadyError, match="build"):
        layers.ReversibleEmbedding(9, 5)(torch.as_tensor(x), reverse=True)


# Disturbing


def test_alpha_dropout_keeps_mean_and_deviation(oracle):
    x = torch.randn(400, 500, generator=torch.Generator().manual_seed(0))
    layer = layers.AlphaDropout(0.3).train()
    with drawing_from(torch.Generator().manual_seed(0)):
        y = layer(x)
    assert abs(y.mean().item()) < 0.02
    assert abs(y.std().item() - 1) < 0.02
    # As in Keras: the same few values for what is dropped, a line for the rest.
    theirs = oracle.array(oracle.layers.AlphaDropout(0.3, seed=1)(x, training=True))
    dropped = y.flatten().mode().values.item()
    values, counts = np.unique(theirs, return_counts=True)
    assert dropped == pytest.approx(values[counts.argmax()], abs=1e-5)
    assert abs((y == dropped).float().mean().item() - 0.3) < 0.01
    assert torch.equal(layers.AlphaDropout(0.0).train()(x), x)


def test_branches_are_dropped_as_a_whole():
    layer = layers.StochasticDepth(0.4).train()
    shortcut, branch = torch.randn(2000, 3), torch.ones(2000, 3)
    with drawing_from(torch.Generator().manual_seed(0)):
        y = layer([shortcut, branch]) - shortcut
    assert torch.allclose(y.amax(1), y.amin(1), atol=1e-6)
    kept = y.amax(1) > 0.5
    assert abs(kept.float().mean().item() - 0.6) < 0.04
    assert torch.allclose(y[kept], torch.tensor(1 / 0.6), atol=1e-5)
    assert torch.equal(layer.eval()([shortcut, branch]), shortcut + branch)
    assert torch.equal(layer(branch), branch)
    with pytest.raises(ShapeError, match="one shape"):
        layer.infer([(3,), (4,)])
