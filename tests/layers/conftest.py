"""Keras itself as the oracle: the same weights must give the same outputs and gradients."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest
import torch

from lepton_ai import layers
from lepton_ai.layers.layout import from_written, to_written

TOLERANCE = 1e-5


class Oracle:
    """Our layer and Keras's side by side, on data written channels last."""

    def __init__(self, keras):
        self.keras = keras
        self.layers = keras.layers

    @staticmethod
    def draw(*shape, seed=0, scale=1.0):
        return (np.random.default_rng(seed).standard_normal(shape) * scale).astype("float32")

    def array(self, value):
        if isinstance(value, list | tuple):
            return [self.array(one) for one in value]
        if isinstance(value, torch.Tensor):
            return value.detach().numpy()
        return self.keras.ops.convert_to_numpy(value)

    def written(self, value):
        if isinstance(value, list | tuple):
            return [self.written(one) for one in value]
        return to_written(value)

    def close(self, found, expected, tolerance=TOLERANCE):
        found, expected = self.array(found), self.array(expected)
        if isinstance(expected, list):
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                self.close(one, other, tolerance)
            return
        assert found.shape == expected.shape
        assert np.abs(found - expected).max(initial=0) <= tolerance

    def share(self, a, b, x, scale=0.5):
        """Build both for the data and give them the same random weights."""
        several = isinstance(x, list)
        a.build([one.shape[1:] for one in x] if several else x.shape[1:])
        if not b.built:
            b.build([one.shape for one in x] if several else x.shape)
        weights = [self.draw(*w.shape, seed=i, scale=scale) for i, w in enumerate(b.get_weights())]
        b.set_weights(weights)
        a.load_keras_weights(weights)
        return a.eval(), b

    def twins(self, name, x, *args, **named):
        a = getattr(layers, name)(*args, **named)
        return self.share(a, getattr(self.layers, name)(*args, **named), x)

    def same(self, a, b, x, ours=None, theirs=None, tolerance=TOLERANCE):
        """Equal outputs, shapes and gradients, of the input and of all weights."""
        several = isinstance(x, list)
        leaves = [torch.tensor(one) for one in (x if several else [x])]
        twins = [torch.tensor(one) for one in (x if several else [x])]
        for leaf in (*leaves, *twins):
            if leaf.is_floating_point():
                leaf.requires_grad_(True)
        given = [from_written(leaf) for leaf in leaves]
        y = self.written(a(given if several else given[0], **(ours or {})))
        z = b(twins if several else twins[0], **(theirs or {}))
        self.close(y, list(z) if isinstance(z, tuple) else z, tolerance)
        ys, zs = (list(v) if isinstance(v, list | tuple) else [v] for v in (y, z))
        factors = [torch.as_tensor(self.draw(*one.shape, seed=9 + i)) for i, one in enumerate(ys)]
        sum((one * factor).sum() for one, factor in zip(ys, factors, strict=True)).backward()
        sum((one * factor).sum() for one, factor in zip(zs, factors, strict=True)).backward()
        for leaf, twin in zip(leaves, twins, strict=True):
            if leaf.requires_grad:
                self.close(leaf.grad, twin.grad, 10 * tolerance)
        found = weight_gradients(a)
        expected = [weight.value.grad for weight in b.trainable_weights]
        self.close(found, expected, 100 * tolerance)

    def table(self, name, x, *args, **named):
        """Build, share weights, compare."""
        a, b = self.twins(name, x, *args, **named)
        self.same(a, b, x)
        return a, b


def weight_gradients(layer):
    own = [
        weight.outward(getattr(layer, weight.name).grad)
        for weight in layer._weights()
        if weight.learned
    ]
    return own + [grad for child in layer._inner() for grad in weight_gradients(child)]


@pytest.fixture(scope="session")
def oracle():
    keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend than torch")
    return Oracle(keras)
