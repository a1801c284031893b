"""Data in the forms of other libraries: frames, loaders, generators, sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lepton_ai as lai
from lepton_ai import layers
from lepton_ai.errors import DataError, EmptyDataError, LimitError
from lepton_ai.models import gathering
from lepton_ai.models.gathering import gather

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")
W = RNG.random(20).astype("float32")


def compiled(*, units: int = 2) -> Any:
    model = lai.models.Sequential([
        layers.Dense(4, activation="relu", input_shape=(3,)),
        layers.Dense(units, activation="softmax"),
    ])  # fmt: skip
    model.compile(lai.optimizers.SGD(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def batches(size: int = 5, *, weights: bool = False, endless: bool = False) -> Iterator[Any]:
    while True:
        for start in range(0, 20, size):
            part = slice(start, start + size)
            yield (X[part], Y[part], W[part]) if weights else (X[part], Y[part])
        if not endless:
            return


class Pairs(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(X[index]), int(Y[index])


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter((X[i], Y[i]) for i in range(20))


class Sequence:  # as Keras's, whose base classes are called so
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        part = slice(index * 5, index * 5 + 5)
        return X[part], Y[part]


class Tensors:
    """What ``tf.data.Dataset`` offers."""

    def as_numpy_iterator(self) -> Iterator[Any]:
        return batches()


def loader(**how: Any) -> Any:
    return torch.utils.data.DataLoader(Pairs(), batch_size=5, **how)


SOURCES = {
    "a generator": batches, "an endless generator": lambda: batches(endless=True),
    "a DataLoader": loader, "a torch Dataset": Pairs, "an IterableDataset": Stream,
    "a Sequence": Sequence, "tf.data": Tensors,
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_batches_train_like_the_arrays_they_hold(name: str) -> None:
    how = {"epochs": 2, "seed": 1, "verbose": 0}
    plain, gathered = compiled(), compiled()
    plain.fit(X, Y, batch_size=5, **how)
    more: dict[str, Any] = {"steps_per_epoch": 4} if "endless" in name else {}
    if name in ("a torch Dataset", "an IterableDataset"):
        more["batch_size"] = 5
    run = gathered.fit(SOURCES[name](), **how, **more)
    assert run.config["batch_size"] == 5
    for a, b in zip(plain.get_weights(), gathered.get_weights(), strict=True):
        assert np.array_equal(a, b)
    steps: dict[str, Any] = {"steps": 4} if "endless" in name else {}
    assert gathered.evaluate(SOURCES[name](), **steps) == pytest.approx(plain.evaluate(X, Y))


def test_weights_and_validation_come_along() -> None:
    first, second = compiled(), compiled()
    first.fit(batches(weights=True), seed=0, verbose=0, validation_data=loader())
    second.fit(X, Y, sample_weight=W, batch_size=5, seed=0, verbose=0, validation_data=(X, Y))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert first.run.history["val_loss"] == second.run.history["val_loss"]


def test_predicting_from_batches() -> None:
    model = compiled()
    model.fit(X, Y, epochs=1, verbose=0)
    expected = model.predict(X)
    assert np.array_equal(model.predict(x for x, _ in batches()), expected)
    assert np.array_equal(model.predict(torch.utils.data.DataLoader(X, batch_size=7)), expected)
    assert np.array_equal(model.predict_on_batch(X[:4]), model.predict(X[:4]))
    assert model.test_on_batch(X, Y) == model.evaluate(X, Y)


def test_several_inputs_and_outputs_in_batches() -> None:
    a, b = lai.Input((3,), name="a"), lai.Input((3,), name="b")
    x = layers.Concatenate()([a, b])
    model = lai.Model([a, b], {"kind": layers.Dense(2, "softmax")(x), "size": layers.Dense(1)(x)})
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    model.fit(
        (([x, 2 * x], {"kind": y, "size": x[:, 0]}) for x, y in batches()), epochs=1, verbose=0
    )
    found = model.predict({"a": X, "b": 2 * X})
    assert list(found) == ["kind", "size"]
    model.fit(({"a": x, "b": x}, [y, x[:, 1]]) for x, y in batches())


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_frames(kind: str) -> None:
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[kind](columns)
    model, twin = compiled(), compiled()
    target = pd.Series(Y) if kind == "pandas" else Y
    model.fit(frame, target, epochs=1, seed=0, verbose=0)
    twin.fit(X, Y, epochs=1, seed=0, verbose=0)
    assert np.array_equal(model.predict(frame), twin.predict(X))
    a, b = lai.Input((1,), name="a"), lai.Input((1,), name="b")
    both = lai.Model([a, b], layers.Dense(1, name="c")(layers.Concatenate()([a, b])))
    both.compile("sgd", "mse")
    both.fit(frame, epochs=1, verbose=0)  # columns by the names of inputs and output
    assert both.predict(frame)["c"].shape == (20,)


class ClassLabel:
    names = ("no", "yes")


class HuggingFace:
    """What ``datasets.Dataset`` offers, with its rows in another order than its table's."""

    def __init__(self) -> None:
        self.table = pa.table({"x": [list(map(float, row)) for row in X], "label": Y})
        self.features = {"x": object(), "label": ClassLabel()}
        self.column_names = ["x", "label"]

    def with_format(self, kind: str) -> Any:
        assert kind == "arrow"
        table = self.table

        class Formatted:
            def __getitem__(self, key: slice) -> pa.Table:
                return table[key]

        return Formatted()


def test_a_dataset_of_hugging_face() -> None:
    source = gather(HuggingFace()).inputs
    assert source.fields["label"] == lai.data.fields.Label(["no", "yes"])
    assert source["label"].to_pylist() == [ClassLabel.names[y] for y in Y]
    fields = {"x": lai.data.fields.Array()}
    data = lai.Dataset({"x": X, "label": source["label"]}, fields)
    model = compiled()
    model.fit(data, epochs=1, verbose=0)
    assert set(model.predict(data)["label"].to_pylist()) <= {"no", "yes"}


# -- what cannot be ------------------------------------------------------------------------------


def test_a_generator_that_ends_early() -> None:
    model = compiled()
    with pytest.raises(DataError, match=r"Expected 9 batches .* ended after 4"):
        model.fit(batches(), steps_per_epoch=9, verbose=0)
    assert not model.bound
    with pytest.raises(DataError, match="ended after 4"):
        compiled().fit(loader(), steps_per_epoch=5, verbose=0)


def test_a_generator_that_is_spent_or_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = batches()
    list(spent)
    with pytest.raises(EmptyDataError, match="make a new one"):
        compiled().fit(spent, verbose=0)
    monkeypatch.setattr(gathering, "MOST_ROWS", 100)
    with pytest.raises(LimitError, match="steps_per_epoch"):
        compiled().fit(batches(endless=True), verbose=0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: [(X[:5], Y[:5], W[:5], W[:5])], "4 parts"),
        (lambda: [{"x": X[:5]}, {"z": X[:5]}], "one holds z"),
        (lambda: [(X[:5], Y[:5]), (X[:5, :2], Y[:5])], "batches of one shape"),
    ],
)
def test_batches_that_do_not_go_together(make: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        gather(iter(make()))


def test_targets_beside_batches() -> None:
    with pytest.raises(DataError, match="leave y out"):
        compiled().fit(loader(), Y, verbose=0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.booleans())
def test_any_batches_are_put_together_in_order(sizes: list[int], as_dict: bool) -> None:
    total = sum(sizes)
    values, targets = np.arange(total * 2).reshape(total, 2), np.arange(total)
    edges = np.cumsum([0, *sizes])
    cut = [(values[a:b], targets[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    given_ = gather(({"v": x}, y) for x, y in cut) if as_dict else gather(iter(cut))
    found = given_.inputs["v"] if as_dict else given_.inputs
    assert np.array_equal(found, values)
    assert np.array_equal(given_.targets, targets)
    assert given_.batch_size == sizes[0]
