"""Attention in groups, without projections, with positions, and one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lepton_ai import layers
from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers import KeyValueCache
from lepton_ai.layers.rotary import rotated

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
LENGTHS = np.array([6, 2, 4])
MASK = np.arange(6) < LENGTHS[:, None]


class Attending:
    """Keras's attention called on one sequence."""

    def __init__(self, layer, **named):
        self.layer, self.named = layer, named

    def __getattr__(self, name):
        return getattr(self.layer, name)

    def build(self, shape):
        self.layer.build(shape, shape)

    def __call__(self, x, **named):
        return self.layer(x, value=x, **self.named, **named)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("named", [{}, {"use_bias": False}, {"sliding_window": 2}])
def test_heads_in_groups(oracle, groups, causal, named):
    x = oracle.draw(3, 6, 8)
    a = layers.GroupQueryAttention(3, 4, groups, **named)
    b = Attending(oracle.layers.GroupQueryAttention(3, 4, groups, **named))
    oracle.share(a, b, x)
    switch = {"use_causal_mask": causal}
    oracle.same(a, b, x, ours=switch, theirs=switch)
    found = a(torch.as_tensor(x), lengths=torch.as_tensor(LENGTHS), **switch)
    expected = b(x, value_mask=MASK, **switch)
    inside = torch.as_tensor(MASK)  # a padded step may see nothing at all through its window
    oracle.close(found[inside], expected[inside])
    assert torch.isfinite(found).all()
    scores = {"return_attention_scores": True, **switch}
    oracle.close(a(torch.as_tensor(x), **scores), list(b(x, **scores)))


@pytest.mark.parametrize("window", [1, 3])
def test_many_heads_with_a_window(oracle, window):
    x = oracle.draw(3, 6, 8)
    a = layers.MultiHeadAttention(2, 4, sliding_window=window)
    b = Attending(oracle.layers.MultiHeadAttention(2, 4, sliding_window=window))
    oracle.share(a, b, x)
    oracle.same(a, b, x)


def test_arguments_of_attention_that_cannot_be():
    with pytest.raises(ConfigError, match="multiple of num_key_value_heads"):
        layers.GroupQueryAttention(3, 4, 3)
    with pytest.raises(ConfigError, match="even width"):
        layers.MultiHeadAttention(2, 3, rotary=10000)
    with pytest.raises(ShapeError, match=r"Attention\(\)\(\[query, value\]\)"):
        layers.Attention().infer((4, 3))
    with pytest.raises(ShapeError, match="as many features"):
        layers.AdditiveAttention().infer([(4, 3), (4, 5)])


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("Attention", {}), ("Attention", {"use_scale": True}),
        ("Attention", {"score_mode": "concat"}),
        ("Attention", {"score_mode": "concat", "use_scale": True}),
        ("AdditiveAttention", {}), ("AdditiveAttention", {"use_scale": False}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inputs", [2, 3])
def test_attention_by_scores(oracle, name, named, inputs):
    x = [oracle.draw(3, n, 4, seed=n) for n in (5, 6, 6)][:inputs]
    a, b = oracle.twins(name, x, **named)
    oracle.same(a, b, x)
    given = [torch.as_tensor(one) for one in x]
    found = a(given, lengths=torch.as_tensor(LENGTHS), query_lengths=torch.tensor([5, 3, 1]))
    query = np.arange(5) < np.array([5, 3, 1])[:, None]
    masks = [torch.as_tensor(query), torch.as_tensor(MASK)]
    oracle.close(found, b(given, mask=masks))
    named = {"use_causal_mask": True, "return_attention_scores": True}
    oracle.close(a(given, **named), list(b(given, **named)))


# Positions


def test_turned_vectors_know_their_distance_only():
    query, key = torch.randn(1, 1, 8, dtype=torch.float64), torch.randn(1, 1, 8).double()

    def score(i, j):
        return (rotated(query, i, 100.0) * rotated(key, j, 100.0)).sum().item()

    assert score(3, 1) == pytest.approx(score(12, 10), abs=1e-12)
    assert score(3, 1) != pytest.approx(score(3, 2), abs=1e-3)
    turned = rotated(query, 5, 100.0)
    assert turned.norm().item() == pytest.approx(query.norm().item(), abs=1e-12)


def test_turns_by_hand():
    x = torch.arange(8.0).view(1, 2, 4)
    y = layers.RotaryEmbedding(max_wavelength=100)(x)
    for place in range(2):
        for i in range(2):
            angle = torch.tensor(place * 100.0 ** (-i / 2))
            a, b = x[0, place, i], x[0, place, i + 2]
            assert y[0, place, i] == pytest.approx((a * angle.cos() - b * angle.sin()).item())
            assert y[0, place, i + 2] == pytest.approx((b * angle.cos() + a * angle.sin()).item())
    later = layers.RotaryEmbedding(max_wavelength=100)(x, start_index=3)
    padded = layers.RotaryEmbedding(max_wavelength=100)(torch.cat([torch.zeros(1, 3, 4), x], 1))
    assert torch.allclose(later, padded[:, 3:])
    with pytest.raises(ShapeError, match="even number"):
        layers.RotaryEmbedding().infer((5, 3))
    with pytest.raises(ConfigError, match="above 1"):
        layers.RotaryEmbedding(max_wavelength=0)


def test_rotary_attention_sees_order():
    plain, rotary = layers.MultiHeadAttention(2, 4), layers.MultiHeadAttention(2, 4, rotary=100)
    x = torch.randn(2, 5, 8)
    swapped = x[:, [0, 2, 1, 3, 4]]
    for layer in (plain, rotary):
        layer.build((5, 8))
    # Without positions the other steps are a set; with them their order counts.
    assert torch.allclose(plain(x)[:, 0], plain(swapped)[:, 0], atol=1e-6)
    assert not torch.allclose(rotary(x)[:, 0], rotary(swapped)[:, 0], atol=1e-4)


def test_sines_of_places():
    y = layers.SinePositionEncoding(max_wavelength=100)(torch.zeros(1, 4, 6))[0].double()
    for place in range(4):
        for i in range(6):
            angle = place * 100.0 ** (-(i // 2 * 2) / 6)
            expected = np.sin(angle) if i % 2 == 0 else np.cos(angle)
            assert y[place, i].item() == pytest.approx(expected, abs=1e-6)


# One step at a time

CACHED = {
    "heads": lambda: layers.MultiHeadAttention(4, 8),
    "rotary": lambda: layers.MultiHeadAttention(4, 8, value_dim=3, rotary=10000),
    "groups": lambda: layers.GroupQueryAttention(8, 4, 2, rotary=100),
    "window": lambda: layers.MultiHeadAttention(4, 8, sliding_window=3),
}


@pytest.mark.parametrize("kind", CACHED)
@pytest.mark.parametrize("parts", [[1] * 12, [5, 1, 6], [12], [2, 10]])
def test_a_cache_gives_what_the_whole_gives(kind, parts):
    """Equal but for the rounding of the last bit: products of other sizes add in other orders."""
    layer, x = CACHED[kind](), torch.randn(3, 12, 16, dtype=torch.float64)
    layer.build((12, 16))
    layer.double().eval()
    whole, cache = layer(x, use_causal_mask=True), KeyValueCache()
    found = torch.cat([layer(part, cache=cache) for part in x.split(parts, 1)], 1)
    assert (found - whole).abs().max() <= 1e-14
    assert cache.length == 12


def test_a_cache_follows_a_beam_and_goes_back():
    layer, x = layers.MultiHeadAttention(2, 4), torch.randn(3, 5, 8)
    cache = KeyValueCache()
    layer(x[:, :3], cache=cache)
    chosen = torch.tensor([2, 2, 0])
    cache.choose(chosen)
    expected = layer(torch.cat([x[chosen, :3], x[:, 3:4]], 1), use_causal_mask=True)[:, 3:]
    assert torch.allclose(layer(x[:, 3:4], cache=cache), expected, atol=1e-6)
    cache.cut(3)
    assert torch.allclose(layer(x[:, 3:4], cache=cache), expected, atol=1e-6)
    with pytest.raises(ShapeError, match=r"cache.clear\(\)"):
        layer(x[:2, 3:4], cache=cache)
    cache.clear()
    assert not cache.filled
    with pytest.raises(ShapeError, match="empty"):
        cache.all()


# Blocks


def test_no_mask_is_made_without_padding():
    block, x = layers.TransformerEncoder(8, 2), torch.randn(2, 5, 4)
    block(x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        block(x)
    names = [event.name for event in seen.events()]
    assert sum(name == "aten::linear" for name in names) == 4  # one for query, key and value
    assert any("scaled_dot_product" in name for name in names)
    assert not {"aten::masked_fill", "aten::where", "aten::clone", "aten::softmax"} & set(names)


def test_relu_after_sequences_copies_nothing_on_the_way_back():
    """In place on a view, the way back would go through CopySlices."""
    dense, conv = layers.Dense(4, "relu"), layers.Conv1D(4, 3, activation="relu")
    for layer in (dense, conv):
        y, seen = layer(torch.randn(2, 5, 3, requires_grad=True)), set()
        left = [y.grad_fn]
        while left:
            node = left.pop()
            if node is not None:
                seen.add(type(node).__name__)
                left += [parent for parent, _ in node.next_functions]
        assert "CopySlices" not in seen
        assert any("Relu" in name for name in seen)


class KerasDecoder:
    """KerasHub's decoder block, put together from Keras's own layers."""

    def __init__(self, kl, width, heads, features, normalize_first, crossed):
        size = features // heads
        self.attention, self.attention_norm = kl.MultiHeadAttention(heads, size), norm(kl)
        self.crossed, self.normalize_first = crossed, normalize_first
        if crossed:
            self.cross, self.cross_norm = kl.MultiHeadAttention(heads, size), norm(kl)
        self.norm = norm(kl)
        self.inner, self.outer = kl.Dense(width, "relu"), kl.Dense(features)

    def _part(self, x, normalise, part):
        if self.normalize_first:
            return x + part(normalise(x))
        return normalise(x + part(x))

    def __call__(self, x, encoded=None, mask=None):
        x = self._part(
            x, self.attention_norm, lambda y: self.attention(y, value=y, use_causal_mask=True)
        )
        if self.crossed:
            x = self._part(
                x, self.cross_norm,
                lambda y: self.cross(y, value=encoded, value_mask=mask),
            )  # fmt: skip
        return self._part(x, self.norm, lambda y: self.outer(self.inner(y)))

    def get_weights(self):
        parts = [self.attention, self.attention_norm]
        parts += [self.cross, self.cross_norm] if self.crossed else []
        parts += [self.norm, self.inner, self.outer]
        return [weight for part in parts for weight in part.get_weights()]


def norm(kl):
    return kl.LayerNormalization(epsilon=1e-5)


@pytest.mark.parametrize("normalize_first", [False, True])
@pytest.mark.parametrize("crossed", [False, True])
def test_decoder_block(oracle, normalize_first, crossed):
    x, encoded = oracle.draw(3, 5, 8), oracle.draw(3, 6, 8, seed=1)
    b = KerasDecoder(oracle.layers, 10, 2, 8, normalize_first, crossed)
    tensor = oracle.keras.ops.convert_to_tensor
    mask = tensor(MASK) if crossed else None
    expected = b(tensor(x), tensor(encoded) if crossed else None, mask)
    a = layers.TransformerDecoder(10, 2, normalize_first=normalize_first).eval()
    a.build([(5, 8), (6, 8)] if crossed else (5, 8))
    a.load_keras_weights(b.get_weights())
    lengths = torch.as_tensor(LENGTHS)
    given = [torch.as_tensor(x), torch.as_tensor(encoded)] if crossed else torch.as_tensor(x)
    named = {"encoder_lengths": lengths} if crossed else {}
    oracle.close(a(given, **named), expected)


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("named", [{}, {"normalize_first": True, "rotary": 100}])
def test_decoding_step_by_step_is_the_whole(crossed, named):
    block = layers.TransformerDecoder(8, 2, **named).eval()
    x, encoded = torch.randn(2, 6, 8), torch.randn(2, 4, 8)
    block.build([(6, 8), (4, 8)] if crossed else (6, 8))
    block.double()
    x, encoded = x.double(), encoded.double() if crossed else None
    lengths = {"encoder_lengths": torch.tensor([4, 2])} if crossed else {}
    whole, cache = block(x, encoded, **lengths), block.new_cache()
    steps = [block(x[:, [i]], encoded, cache=cache, **lengths) for i in range(6)]
    assert (torch.cat(steps, 1) - whole).abs().max() <= 1e-13
    assert cache[1].length == (4 if crossed else 0)
    # What comes later changes nothing that came before.
    other = x.clone()
    other[:, 4:] = 0
    assert torch.equal(block(other, encoded, **lengths)[:, :4], whole[:, :4])


def test_a_decoder_for_an_encoder_wants_its_output():
    block = layers.TransformerDecoder(8, 2)
    block.build([(5, 8), (6, 8)])
    with pytest.raises(ShapeError):
        block(torch.zeros(1, 5, 8))
    with pytest.raises(ShapeError, match="encoder"):
        layers.TransformerDecoder(8, 2).infer([(5, 8), (6, 8), (6, 8)])
