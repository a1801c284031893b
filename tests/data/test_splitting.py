"""Splits: duplicates and groups stay whole, classes keep their shares, seeds repeat."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.data import Dataset, Items, Ragged
from lepton_ai.data.splitting import column_digests, row_digests
from lepton_ai.errors import ConfigError, EmptyDataError

rows = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.sampled_from(["x", "y", "z"])),
    min_size=4, max_size=60,
).filter(lambda pairs: len({text for text, _ in pairs}) > 1)  # fmt: skip


def table(pairs):
    return Dataset({"text": [a for a, _ in pairs], "label": [b for _, b in pairs]})


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 5), st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_duplicates_never_cross(pairs, seed, fraction):
    data = table(pairs)
    first, second = data.split(fraction, seed=seed, stratify="label")
    assert len(first)
    assert len(second)
    assert not set(first["text"].to_pylist()) & set(second["text"].to_pylist())
    together = first["text"].to_pylist() + second["text"].to_pylist()
    assert Counter(together) == Counter(data["text"].to_pylist())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("xyzw"), min_size=4, max_size=80), st.integers(0, 5),
    st.sampled_from([0.1, 0.2, 0.37, 0.5]),
)  # fmt: skip
def test_shares_are_kept_within_one_example(labels, seed, fraction):
    data = Dataset({"n": np.arange(len(labels), dtype=float), "label": labels})
    _, second = data.split(fraction, seed=seed, stratify="label")
    counts, held = Counter(labels), Counter(second["label"].to_pylist())
    if len(second) == 1:
        return  # so few that a single one had to be taken from any class
    for label, count in counts.items():
        assert abs(held[label] - fraction * count) <= 1, (label, count, held[label])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=4, max_size=60), st.integers(0, 5))
def test_groups_stay_whole(groups, seed):
    data = Dataset({"n": np.arange(len(groups), dtype=float), "person": [f"p{g}" for g in groups]})
    if len(set(groups)) < 2:
        with pytest.raises(EmptyDataError, match="group"):
            data.split(0.3, seed=seed, groups="person")
        return
    first, second = data.split(0.3, seed=seed, groups="person")
    assert not set(first["person"].to_pylist()) & set(second["person"].to_pylist())


def test_the_same_seed_gives_the_same_split():
    data = Dataset({"n": np.arange(100.0), "label": ["a", "b"] * 50})
    one, two = data.split(0.2, seed=1, stratify="label"), data.split(0.2, seed=1, stratify="label")
    assert np.array_equal(one[1]["n"], two[1]["n"])
    assert not np.array_equal(one[1]["n"], data.split(0.2, seed=2, stratify="label")[1]["n"])


def test_a_class_with_one_example_stays_in_the_first_part():
    data = Dataset({"n": np.arange(21.0), "label": ["a", "b"] * 10 + ["rare"]})
    first, second = data.split(0.3, stratify="label")
    assert "rare" in first["label"].to_pylist()
    assert "rare" not in second["label"].to_pylist()


def test_missing_labels_do_not_crash():
    data = Dataset({"n": np.arange(20.0), "label": ["a", None] * 10})
    first, second = data.split(0.2, stratify="label")
    assert (len(first), len(second)) == (16, 4)


def test_equal_pictures_with_other_labels_stay_together():
    pictures = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    pictures[10:] = pictures[:10]
    data = Dataset({"image": pictures, "label": ["a"] * 10 + ["b"] * 10})
    first, second = data.split(0.3, stratify="label")
    assert not set(row_digests(first, ["image"])) & set(row_digests(second, ["image"]))


def test_all_equal_is_refused():
    with pytest.raises(EmptyDataError, match="all of them are equal"):
        Dataset({"text": ["same one"] * 5, "label": list("aabbb")}).split(0.2, stratify="label")


def test_wrong_number_of_groups_is_refused():
    with pytest.raises(ConfigError, match="Expected 4 groups"):
        Dataset({"n": np.arange(4.0)}).split(0.5, groups=[1, 2])


def test_digests_tell_sign_bits_and_order_apart():
    """Sums of plain products would not: the sign bits of two numbers would cancel out."""
    array = np.array([[1, 2], [-1, -2], [2, 1], [1, -2], [-1, 2], [1, 2]], dtype=np.float64)
    digests = column_digests(array)
    assert len(set(digests[:5].tolist())) == 5
    assert digests[0] == digests[5]


def test_digests_do_not_depend_on_the_place():
    images = np.random.default_rng(0).integers(0, 256, (50, 5, 5, 3), dtype=np.uint8)
    whole = column_digests(images)
    assert np.array_equal(column_digests(images[::-1])[::-1], whole)
    assert np.array_equal(column_digests(images[7:9]), whole[7:9])
    assert len(set(whole.tolist())) == 50


@pytest.mark.parametrize(
    "column",
    [
        Ragged.of([["a", "b"], ["ab"], ["a", "b"], []]),
        Ragged.of([[1, 2], [1], [1, 2], []]),
        Items([np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3)), b"raw"]),
    ],
)
def test_digests_of_other_columns(column):
    digests = column_digests(column)
    assert digests[0] == digests[2]
    assert len(set(digests.tolist())) == 3


def test_digests_of_texts_and_nulls():
    data = Dataset({"text": ["a", None, "a", "", "None"], "n": [1.0] * 5})
    digests = column_digests(data["text"])
    assert digests[0] == digests[2]
    assert len(set(digests.tolist())) == 4
