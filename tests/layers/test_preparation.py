"""Layers that prepare numbers, categories and text, and learn from data beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai import layers
from lepton_ai.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    LeptonError,
    NotReadyError,
    ShapeError,
)
from lepton_ai.layers.fingerprints import crossed, farm, sip

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def again(layer):
    """The layer as it comes back from a file."""
    return type(layer).from_config(json.loads(json.dumps(layer.config())))


# Numbers


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5,), -1), ((4, 5), -1), ((4, 5), 1), ((4, 5), (1, 2)), ((4, 5), None), ((4, 3, 5), -1),
     ((4, 3, 5), (1, 3))],
)  # fmt: skip
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_learns_what_keras_learns(oracle, shape, axis, invert):
    data = oracle.draw(20, *shape, scale=3.0) + 2
    a = layers.Normalization(axis, invert=invert)
    b = oracle.layers.Normalization(axis, invert=invert)
    a.adapt(data)
    b.adapt(data)
    x = torch.as_tensor(data[:3])
    oracle.close(oracle.written(a(layers_order(x))), b(data[:3]))
    oracle.close(a.keras_weights()[:2], b.get_weights()[:2], 1e-4)


def layers_order(x):
    from lepton_ai.layers.layout import from_written

    return from_written(x)


def test_normalization_of_batches_is_that_of_the_whole():
    data = np.random.default_rng(0).normal(5, 3, (50, 4))
    whole, parts = layers.Normalization(), layers.Normalization()
    whole.adapt(data)
    parts.adapt(data[i : i + 7] for i in range(0, 50, 7))
    assert torch.allclose(whole.mean_, parts.mean_, atol=1e-5)
    assert torch.allclose(whole.variance_, parts.variance_, atol=1e-4)
    twin = again(whole)
    twin.build((4,))
    twin.load_state_dict(whole.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(twin(x), whole(x))


def test_normalization_with_given_moments(oracle):
    x = oracle.draw(3, 4)
    a = layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 16.0])
    b = oracle.layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 4.0, 9.0, 16.0])
    oracle.close(a(torch.as_tensor(x)), b(x))
    oracle.close(again(a)(torch.as_tensor(x)), b(x))
    assert a(torch.ones(2, 4, dtype=torch.uint8)).dtype == torch.float32
    assert not a.state_dict()


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (lambda: layers.Normalization()(torch.zeros(1, 2)), NotReadyError, "adapt"),
        (lambda: layers.Normalization(mean=0.0), ConfigError, "mean and variance"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0), ConfigError, "same shape"),
        (lambda: layers.Normalization(mean=0.0, variance=1.0).adapt([[1.0]]), ConfigError,
         "no data"),
        (lambda: layers.Normalization().adapt(np.empty((0, 3))), EmptyDataError, "received none"),
        (lambda: layers.Normalization(axis=3).build((4,)), ShapeError, "axis=3"),
        (lambda: layers.Normalization(mean=[1.0] * 3, variance=[1.0] * 3).build((4,)), ShapeError,
         "shape"),
        (lambda: layers.Discretization(), ConfigError, "num_bins=10"),
        (lambda: layers.Discretization([2.0, 1.0]), ConfigError, "ascending"),
        (lambda: layers.Discretization([1.0]).adapt([1.0]), ConfigError, "num_bins"),
        (lambda: layers.Discretization(num_bins=3)(torch.zeros(1)), NotReadyError, "adapt"),
        (lambda: layers.CategoryEncoding(3)(torch.tensor([[3]])), DataError, "room for 4"),
        (lambda: layers.CategoryEncoding(3, "int"), ConfigError, "one_hot"),
        (lambda: layers.CategoryEncoding(3)(torch.tensor([[1]]), count_weights=[[1.0]]),
         ConfigError, "count"),
        (lambda: layers.Hashing(0), ConfigError, "num_bins"),
        (lambda: layers.Hashing(3)([None]), DataError, "NoneType"),
        (lambda: layers.HashedCrossing(3)([["a"]]), ShapeError, "several inputs"),
        (lambda: layers.HashedCrossing(3)([["a"], [1.5]]), DataError, "whole numbers"),
        (lambda: layers.StringLookup()(["a"]), NotReadyError, "adapt"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ConfigError, "once"),
        (lambda: layers.StringLookup(2, vocabulary=["a", "b"]), ConfigError, "at most 1 words"),
        (lambda: layers.StringLookup(1), ConfigError, "more than the 1"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), DataError,
         "num_oov_indices=1"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), ConfigError,
         "idf_weights"),
        (lambda: layers.StringLookup(vocabulary=["a"], invert=True, output_mode="count"),
         ConfigError, "invert"),
        (lambda: layers.IntegerLookup(vocabulary=[1])(["a"]), DataError, "StringLookup"),
        (lambda: layers.TextVectorization(standardize=str.lower), ConfigError, "cannot be saved"),
        (lambda: layers.TextVectorization()(["a"]), NotReadyError, "adapt"),
        (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3),
         ConfigError, "int"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), ShapeError, "texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_prepared(work, kind, words):
    with pytest.raises(kind, match=words) as caught:
        work()
    assert isinstance(caught.value, LeptonError)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(3, 4), (3, 1)])
def test_bins(oracle, mode, shape):
    x = oracle.draw(*shape, scale=2.0)
    x.flat[0] = 0.5  # on a boundary
    a = layers.Discretization([-1.0, 0.5, 2.0], output_mode=mode)
    b = oracle.layers.Discretization([-1.0, 0.5, 2.0], output_mode=mode)
    oracle.close(oracle.written(a(torch.as_tensor(x))), b(x))


@pytest.mark.parametrize("bins", [2, 3, 7])
@pytest.mark.parametrize("count", [10, 60])
def test_bins_are_learned_as_in_keras(oracle, bins, count):
    """Keras is exact up to 1 / epsilon values; beyond it approximates."""
    data = oracle.draw(count, 1)
    a, b = layers.Discretization(num_bins=bins), oracle.layers.Discretization(num_bins=bins)
    a.adapt(data)
    b.update_state(data)  # what adapt calls, which needs TensorFlow to be installed
    b.finalize_state()
    np.testing.assert_allclose(a.bin_boundaries, b.bin_boundaries, atol=1e-5)
    assert again(a).bin_boundaries == a.bin_boundaries


def test_only_so_many_batches_are_read():
    def forever():
        while True:
            yield ["a b", "b"]

    layer = layers.TextVectorization()
    layer.adapt(forever(), steps=2)
    assert layer.get_vocabulary(False) == ["b", "a"]


def test_learned_bins_hold_as_many_values_each():
    rng = np.random.default_rng(0)
    layer = layers.Discretization(num_bins=5, epsilon=0.001)
    layer.adapt(rng.exponential(size=30_000) for _ in range(5))
    counts = np.bincount(layer(torch.as_tensor(rng.exponential(size=50_000))).numpy())
    assert len(counts) == 5
    assert np.abs(counts / 50_000 - 0.2).max() < 0.01


# Categories


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4, 3, 2)])
def test_categories_as_vectors(oracle, mode, shape):
    if len(shape) == 3 and mode != "one_hot":
        pytest.skip("Keras joins the second axis there, and documents the last one")
    x = np.random.default_rng(0).integers(0, 6, shape)
    a, b = layers.CategoryEncoding(6, mode), oracle.layers.CategoryEncoding(6, mode)
    oracle.close(oracle.written(a(torch.as_tensor(x))), b(x))
    assert a.output_shape_ == tuple(b(x).shape[1:])


def test_weighted_counts(oracle):
    x = np.array([[0, 1, 1], [2, 2, 2]])
    weights = np.array([[0.5, 1.0, 2.0], [1.0, 1.0, 0.25]], dtype="float32")
    a, b = layers.CategoryEncoding(3, "count"), oracle.layers.CategoryEncoding(3, "count")
    oracle.close(a(torch.as_tensor(x), count_weights=weights), b(x, count_weights=weights))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), min_size=3, max_size=3), min_size=1, max_size=5))
def test_counts_add_up(rows):
    x = torch.tensor(rows)
    counts = layers.CategoryEncoding(8, "count")(x)
    assert (counts.sum(1) == 3).all()
    assert torch.equal((counts > 0).float(), layers.CategoryEncoding(8, "multi_hot")(x))
    one = layers.CategoryEncoding(8, "one_hot")(x)
    assert torch.equal(one.argmax(-1), x)


# Values of FarmHash's own tests, for words of every length that is treated apart.
PRINTS = {
    "": 0x9AE16A3B2F90404F, "a": 0xB3454265B6DF75E3, "abcde": 0xC22F4663E54E04D4,
    "0123456789#012": 0x5DA5A6A117C606F6, "0123456789+0123456": 0xA4ABB4E0DA2C594C,
    "size:  a.out:  bad magic": 0x80D73B843BA57DB8,
    "The major problem is with sendmail.  -Mark Horton": 0xC2F8DB8624FEFC0E,
    "How can you write a big system without C++?  -Paul Glick": 0x5A0A6EFD52E84E2A,
    "For every action there is an equal and opposite government program.": 0x55182F8859ECA4CE,
    "There is no reason for any individual to have a computer in their home. "
    "-Ken Olsen, 1977": 0x7E85D7B050ED2967,
    "The fugacity of a constituent in a mixture of gases at a given temperature is "
    "proportional to its mole fraction.  Lewis-Randall Rule": 0x098EFF6958C5E91A,
}  # fmt: skip


@pytest.mark.parametrize("word", PRINTS, ids=[len(word) for word in PRINTS])
def test_fingerprints(word):
    assert farm(word) == PRINTS[word]


def test_salted_fingerprints():
    """The vectors of SipHash's authors: key 00 01 ... 0f, message 00 01 ... (n - 1)."""
    key = [int.from_bytes(bytes(range(start, start + 8)), "little") for start in (0, 8)]
    assert sip("", key) == 0x726FDB47DD0E0E31
    assert sip("".join(map(chr, range(15))), key) == 0xA129CA6149BE45E5


@pytest.mark.parametrize(
    ("named", "words", "expected"),
    [
        ({}, "ABCDE", [1, 0, 1, 1, 2]), ({"salt": [133, 137]}, "ABCDE", [1, 2, 1, 0, 2]),
        ({"salt": 133}, "ABCDE", [0, 0, 2, 1, 0]), ({"mask_value": ""}, ["A", "B", "", "C", "D"],
                                                    [1, 1, 0, 2, 2]),
    ],
)  # fmt: skip
def test_hashing_gives_the_bins_that_keras_documents(named, words, expected):
    """Keras itself needs TensorFlow for this layer."""
    layer = layers.Hashing(num_bins=3, **named)
    assert layer([[word] for word in words]).flatten().tolist() == expected
    assert again(layer)(list(words)).tolist() == expected
    assert layer(np.array(list(words), dtype=object)[:, None]).flatten().tolist() == expected


def test_hashing_of_numbers_and_into_vectors():
    numbers = layers.Hashing(num_bins=3)(torch.tensor([[0], [1], [2]]))
    assert numbers.tolist() == [[farm(str(n)) % 3] for n in range(3)]
    assert layers.Hashing(3, output_mode="count")([["A", "C", "E"]]).tolist() == [[0.0, 2.0, 1.0]]
    assert layers.Hashing(1)(["a", "b"]).tolist() == [0, 0]


def test_crossing_gives_the_bins_that_keras_documents():
    first, second = ["A", "B", "A", "B", "A"], [101, 101, 101, 102, 102]
    assert layers.HashedCrossing(5)([first, second]).tolist() == [1, 4, 1, 1, 3]
    vectors = layers.HashedCrossing(5, output_mode="one_hot")([first, second])
    assert vectors.argmax(1).tolist() == [1, 4, 1, 1, 3]
    assert crossed(["A", 101]) != crossed([101, "A"])


# Lookups


def test_words_get_the_numbers_that_keras_documents():
    layer = layers.StringLookup(vocabulary=["a", "b", "c", "d"])
    data = [["a", "c", "d"], ["d", "z", "b"]]
    assert layer(data).tolist() == [[1, 3, 4], [4, 0, 2]]
    layer = layers.StringLookup()
    layer.adapt([["a", "c", "d"], ["d", "z", "b"]])
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    back = layers.StringLookup(vocabulary=layer.get_vocabulary(), invert=True)
    assert back(layer(data)).tolist() == data
    assert back(np.array([0, 99])).tolist() == ["[UNK]", "[UNK]"]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"output_mode": "one_hot"}, [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]),
        ({"output_mode": "multi_hot"}, [[1, 1, 0, 1]]),
        ({"output_mode": "count"}, [[1, 1, 0, 1]]),
        ({"output_mode": "count", "max_tokens": 6, "pad_to_max_tokens": True},
         [[1, 1, 0, 1, 0, 0]]),
        ({"output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.5]}, [[0.5, 0.25, 0, 0.5]]),
    ],
)  # fmt: skip
def test_words_as_vectors(named, expected):
    layer = layers.StringLookup(vocabulary=["a", "b", "c"], **named)
    data = ["a", "z", "c"] if named["output_mode"] == "one_hot" else [["a", "z", "c"]]
    assert layer(data).tolist() == expected
    assert again(layer)(data).tolist() == expected


def test_masks_and_several_numbers_for_unknown_words():
    layer = layers.StringLookup(vocabulary=["a", "b"], mask_token="", num_oov_indices=3)
    assert layer(["", "a", "b"]).tolist() == [0, 4, 5]
    assert layer(["x", "yy"]).tolist() == [1 + farm("x") % 3, 1 + farm("yy") % 3]
    assert layer.get_vocabulary() == ["", *["[UNK]"] * 3, "a", "b"]
    salted = layers.StringLookup(vocabulary=["a"], num_oov_indices=2, salt=[1, 2])
    assert salted(["x"]).tolist() == [sip("x", (1, 2)) % 2]
    numbers = layers.IntegerLookup(vocabulary=[12, 36], mask_token=0, num_oov_indices=2)
    assert numbers(torch.tensor([0, 12, 36, 5, 8])).tolist() == [0, 3, 4, 2, 1]


def test_the_most_frequent_words_are_learned():
    layer = layers.StringLookup(max_tokens=3)
    layer.adapt(iter([np.array(["a", "b"]), np.array(["b", "c", "c", "b"])]))
    assert layer.get_vocabulary() == ["[UNK]", "b", "c"]
    assert again(layer).get_vocabulary() == layer.get_vocabulary()
    weighted = layers.StringLookup(output_mode="tf_idf")
    weighted.adapt([["a", "b"], ["a", "a"], ["c", "b"]])
    known = dict(zip(weighted.vocabulary, weighted.idf_weights, strict=True))
    assert known["a"] == pytest.approx(np.log(1 + 3 / (1 + 2)))
    assert known["c"] == pytest.approx(np.log(1 + 3 / (1 + 1)))


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), min_size=1, max_size=20))
def test_words_go_there_and_back(words):
    words = [word.rstrip("\0") for word in words]  # arrays of numpy drop them
    words = [word for word in words if word != "[UNK]"] or ["a"]
    layer = layers.StringLookup()
    layer.adapt(words)
    back = layers.StringLookup(vocabulary=layer.get_vocabulary(False), invert=True)
    assert back(layer(words)).tolist() == words


# Text


def test_text_as_keras_documents_it():
    layer = layers.TextVectorization(max_tokens=5000, output_sequence_length=4)
    layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    assert layer(["foo qux bar", "qux baz"]).tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]
    layer = layers.TextVectorization(
        output_sequence_length=4, vocabulary=["earth", "wind", "and", "fire"]
    )
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]


@pytest.mark.parametrize(
    ("named", "text", "expected"),
    [
        ({}, "It's  a TEST, isn't it?", ["its", "a", "test", "isnt", "it"]),
        ({"standardize": None}, "It's a", ["It's", "a"]),
        ({"standardize": "lower"}, "A-B", ["a-b"]),
        ({"standardize": "strip_punctuation"}, "A-B.", ["AB"]),
        ({"split": "character"}, "Ab", ["a", "b"]),
        ({"split": None}, "A b", ["a b"]),
        ({"ngrams": 2}, "a b c", ["a", "b", "c", "a b", "b c"]),
        ({"ngrams": (2,)}, "a b c", ["a b", "b c"]),
        ({"ngrams": (3,)}, "a b", []),
    ],
)
def test_how_text_is_cut(named, text, expected):
    assert layers.TextVectorization(**named).words([text]) == [expected]


def test_text_as_vectors():
    texts = ["a b b", "", "c z"]
    for mode, expected in (
        ("multi_hot", [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 1]]),
        ("count", [[0, 1, 2, 0], [0, 0, 0, 0], [1, 0, 0, 1]]),
    ):
        layer = layers.TextVectorization(output_mode=mode, vocabulary=["a", "b", "c"])
        assert layer(texts).tolist() == expected
        assert again(layer)(texts).tolist() == expected
    layer = layers.TextVectorization(output_mode="tf_idf")
    layer.adapt(["a b", "b c b"])
    weights = dict(zip(layer.vocabulary, layer.idf_weights, strict=True))
    assert weights["b"] == pytest.approx(np.log(1 + 2 / 3))
    y = layer(["b b zz"])[0]
    assert y[layer.get_vocabulary().index("b")].item() == pytest.approx(2 * weights["b"])
    assert y[0].item() == pytest.approx(np.mean(list(weights.values())))
    assert torch.equal(again(layer)(["b b zz"])[0], y)


def test_texts_of_any_length_and_none():
    layer = layers.TextVectorization(vocabulary=["a", "b"])
    assert layer(["a b a", "b"]).tolist() == [[2, 3, 2], [3, 0, 0]]
    assert layer(["", ""]).shape == (2, 0)
    assert layer([["a"], ["b a"]]).tolist() == [[2, 0], [3, 2]]
    short = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=2)
    assert short(["a b a", "b"]).tolist() == [[2, 3], [3, 0]]


def test_text_goes_into_an_embedding():
    text = layers.TextVectorization(vocabulary=["a", "b"])
    embed = layers.Embedding(text.vocabulary_size(), 4, mask_zero=True)
    numbers = text(["a b a", "b"])
    assert embed(numbers).shape == (2, 3, 4)
    assert embed.find_lengths(numbers).tolist() == [3, 1]
