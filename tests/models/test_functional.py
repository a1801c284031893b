"""Networks of layers called on one another's outputs: several inputs, several outputs, sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lepton_ai as lai
from lepton_ai import layers
from lepton_ai.models.functional import Functional
from lepton_ai.models.graph import Graph
from lepton_ai.models.tracing import trace

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def shop(
    kit: Any = layers, make: Any = None, build: Any = None, *, words: int | None = 7,
    scaled: bool = True,
) -> Any:  # fmt: skip
    """A picture, words and a row of a table; a kind and a price come out. Ours or Keras's."""
    make, build = make or lai.Input, build or lai.Model
    image, row = make((10, 10, 3), name="image"), make((4,), name="row")
    text = make((words,), dtype="int32", name="text")
    x = kit.Rescaling(1 / 255)(image) if scaled else image
    x = kit.Conv2D(4, 3, activation="relu")(x)
    x = kit.Flatten()(kit.MaxPooling2D()(x))
    y = kit.LSTM(5)(kit.Embedding(64, 6)(text))
    dense = kit.Dense(8, activation="relu")(kit.Concatenate()([x, y, row]))
    return build(
        inputs={"image": image, "text": text, "row": row},
        outputs={
            "kind": kit.Dense(3, activation="softmax", name="kind")(dense),
            "price": kit.Dense(1, name="price")(dense),
        },
    )


def compiled(model: Any) -> Any:
    model.compile(
        optimizer=lai.optimizers.Adam(0.01),
        loss={"kind": "sparse_categorical_crossentropy", "price": "mse"},
        loss_weights={"kind": 1.0, "price": 0.5},
        metrics={"kind": ["accuracy"], "price": ["mae"]},
    )
    return model


def parts(goods: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {name: goods[name] for name in ("image", "text", "row")},
        {name: goods[name] for name in ("kind", "price")},
    )


def test_a_picture_words_and_a_row_give_a_kind_and_a_price(goods: Any, tmp_path: Path) -> None:
    x, y = parts(goods)
    model = compiled(shop())
    assert isinstance(model, Functional)
    run = model.fit(x, y, epochs=12, batch_size=10, validation_split=0.25, seed=0, verbose=0)
    assert list(run.history)[:5] == [
        "loss", "kind_loss", "price_loss", "kind_accuracy", "price_mae",
    ]  # fmt: skip
    assert run.history["val_kind_accuracy"][-1] > 0.6
    assert run.history["price_loss"][-1] < run.history["price_loss"][0]
    history = run.history
    assert history["loss"][-1] == pytest.approx(
        history["kind_loss"][-1] + 0.5 * history["price_loss"][-1], rel=1e-5
    )
    answers = model.predict(x)
    assert {name: array.shape for name, array in answers.items()} == {
        "kind": (60, 3), "price": (60, 1),
    }  # fmt: skip
    loss, kind_loss, price_loss, accuracy, mae = model.evaluate(x, y)
    assert accuracy == np.mean(answers["kind"].argmax(1) == y["kind"])
    assert mae == pytest.approx(np.abs(answers["price"][:, 0] - y["price"]).mean(), rel=1e-5)
    picked = answers["kind"][np.arange(60), y["kind"]]
    assert kind_loss == pytest.approx(-np.log(picked).mean(), rel=1e-4)
    assert loss == pytest.approx(kind_loss + 0.5 * price_loss, rel=1e-5)
    model.save(tmp_path / "shop")
    again = lai.load(tmp_path / "shop")
    for name, array in again.predict(x).items():
        assert np.array_equal(array, answers[name]), name
    assert again.evaluate(x, y, return_dict=True) == model.evaluate(x, y, return_dict=True)
    assert again.fit(x, y, epochs=1, verbose=0).history["loss"]


def test_the_columns_of_a_data_set(goods: Any, tmp_path: Path) -> None:
    texts = [" ".join(f"word{n}" for n in row) for row in goods["text"]]
    fields = lai.data.fields
    data = lai.Dataset(
        {**goods, "text": texts, "kind": np.array(["bag", "cup", "hat"])[goods["kind"]]},
        {"text": fields.Text(), "price": fields.Number()},
    )
    model = compiled(shop(words=None, scaled=False))
    run = model.fit(data, epochs=12, batch_size=10, seed=0, verbose=0)
    assert run.history["kind_accuracy"][-1] > 0.8
    assert len(model.specs["text"]["vocabulary"]) <= 62
    columns = model.predict(data)
    assert set(columns) == {"kind", "kind.scores", "price"}
    assert set(columns["kind"].to_pylist()) <= {"bag", "cup", "hat"}
    assert np.corrcoef(columns["price"], goods["price"])[0, 1] > 0.5  # in the data's own unit
    whole = lai.evaluate(model, data)
    assert whole["kind_accuracy"] == np.mean(
        np.array(columns["kind"].to_pylist()) == np.array(data["kind"].to_pylist())
    )
    one = model.predict(data[0])
    assert one["kind"] == columns["kind"][0].as_py()
    model.save(tmp_path / "shop")
    again = lai.load(tmp_path / "shop").predict(data)
    for name, column in columns.items():
        assert np.array_equal(np.asarray(again[name]), np.asarray(column)), name

    class Columns:
        task = model.task

        def predict(self, examples: Any, **options: Any) -> Any:
            return model.predict(examples, **options)

    bare = lai.evaluate(Columns(), data)
    assert {name: whole[name] for name in bare} == pytest.approx(bare, rel=1e-4, abs=1e-5)


def test_a_text_of_a_fixed_length_is_filled_up(goods: Any) -> None:
    text = lai.Input((5,), name="text")
    x = layers.Flatten()(layers.Embedding(40, 3)(text))
    model = lai.Model(text, layers.Dense(1, name="good", activation="sigmoid")(x))
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    data = {"text": ["a b", "b c d e f g h", "c"] * 8, "good": ["no", "yes", "no"] * 8}
    model.fit(lai.Dataset(data, {"text": lai.data.fields.Text()}), epochs=1, verbose=0)
    assert model.specs["text"]["max_length"] == 5
    assert len(model.predict({"text": ["b", "c d"]})["good"]) == 2


def test_plain_texts_and_nested_inputs(goods: Any, tmp_path: Path) -> None:
    text, row, more = lai.Input((6,), name="text"), lai.Input((4,), name="a"), lai.Input((2,))
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 3)(text))
    both = layers.Concatenate()([x, row, more])
    model = lai.Model(
        {"words": {"text": text}, "rows": [row, more]}, layers.Dense(1, name="price")(both)
    )
    model.compile("adam", "mse")
    texts = ["a good cup", "an old hat", "the bag"] * 20
    given = {"words": {"text": texts}, "rows": [goods["row"], goods["row"][:, :2]]}
    assert list(model.entries()) == ["text", "a", "input"]
    model.fit(given, goods["price"], epochs=2, verbose=0)
    flat = {"text": texts, "a": goods["row"], "input": goods["row"][:, :2]}
    answers = model.predict(flat)
    assert answers.shape == (60, 1)
    assert np.array_equal(model.predict(given), answers)
    model.save(tmp_path / "model")
    assert np.array_equal(lai.load(tmp_path / "model").predict(flat), answers)


def test_explained_optimized_and_served(goods: Any) -> None:
    x, y = parts(goods)
    model = compiled(shop())
    model.fit(x, y, epochs=2, batch_size=10, seed=0, verbose=0)
    one = {name: values[0] for name, values in x.items()}
    explanation = lai.explain(model, one)
    assert {name for name, _ in [(a.input, a) for a in explanation.attributions]} == set(x)
    data = lai.Dataset({**x, **y}, {**model.task.inputs, **model.task.outputs})
    fast = lai.optimize(model, data=data, budget="8s", verbose=0)
    for name, array in fast.predict(x).items():
        assert np.abs(array - model.predict(x)[name]).max() < 0.1
    with lai.serve(model, port=0) as service, lai.connect(service.url) as remote:
        far = remote.predict(lai.Dataset(x, model.task.inputs))
        for name, array in model.predict(x).items():
            assert np.abs(far[name] - array).max() < 1e-5


def test_outputs_and_gradients_are_those_of_keras(keras: Any, goods: Any) -> None:
    x, _ = parts(goods)
    theirs = shop(keras.layers, keras.Input, keras.Model)
    ours = shop()
    weights = theirs.get_weights()
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape, scale=0.3).astype("float32") for w in weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.array_equal(a, b)
    expected = {k: keras.ops.convert_to_numpy(v) for k, v in theirs(x).items()}
    found = ours.predict(x)  # neither compiled nor fitted
    for name, array in zip(("kind", "price"), found, strict=True):
        assert np.abs(array - expected[name]).max() < 1e-5, name
    assert ours.count_params() == theirs.count_params()


def test_one_step_on_two_outputs_is_that_of_keras(keras: Any, goods: Any) -> None:
    x, y = parts(goods)
    theirs, ours = shop(keras.layers, keras.Input, keras.Model), shop()
    ours.set_weights(theirs.get_weights())
    ours.compile(
        optimizer=lai.optimizers.SGD(0.05), loss_weights={"kind": 2.0, "price": 0.25},
        loss={"kind": "sparse_categorical_crossentropy", "price": "mse"},
    )  # fmt: skip
    theirs.compile(
        optimizer=keras.optimizers.SGD(0.05), loss_weights={"kind": 2.0, "price": 0.25},
        loss={"kind": "sparse_categorical_crossentropy", "price": "mse"},
    )  # fmt: skip
    ours.fit(x, y, epochs=1, batch_size=60, verbose=0, shuffle=False, precision="float32")
    theirs.fit(x, y, epochs=1, batch_size=60, verbose=0, shuffle=False)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.abs(a - b).max() < 1e-5
    figures = theirs.evaluate(x, y, batch_size=60, verbose=0, return_dict=True)
    mine = ours.evaluate(x, y, return_dict=True)
    assert {name: mine[name] for name in figures} == pytest.approx(figures, rel=1e-4)


def test_a_layer_that_is_shared_has_one_set_of_weights() -> None:
    left, right = lai.Input((3,), name="left"), lai.Input((3,), name="right")
    shared = layers.Dense(4, name="shared")
    model = lai.Model([left, right], layers.Subtract()([shared(left), shared(right)]))
    assert [name for name in model.named_layers() if name == "shared"] == ["shared"]
    assert model.count_params() == 16
    same = np.ones((2, 3), "float32")
    assert np.array_equal(model.predict([same, same]), np.zeros((2, 4)))
    model.compile(optimizer="sgd", loss="mse")
    model.fit([same, 2 * same], np.ones((2, 4)), epochs=1, verbose=0)
    assert sum(p.numel() for p in model.parameters()) == 16


def test_layers_of_several_symbols_and_several_outputs() -> None:
    query, value = lai.Input((3, 8), name="query"), lai.Input((5, 8), name="value")
    seen = layers.MultiHeadAttention(2, 4)(query, value)
    steps, state, carry = layers.LSTM(4, return_sequences=True, return_state=True)(seen)
    model = lai.Model([query, value], [steps, layers.Add()([state, carry])])
    rng = np.random.default_rng(0)
    given = [rng.normal(size=s).astype("float32") for s in ((2, 3, 8), (2, 5, 8))]
    first, second = model.predict(given)
    assert first.shape == (2, 3, 4)
    assert second.shape == (2, 4)
    tensors = [torch.from_numpy(array) for array in given]
    direct = model(tensors)
    values = list(direct.values())
    assert np.allclose(values[0].detach().numpy(), first, atol=1e-6)


def test_symbols_add_subtract_and_multiply() -> None:
    a, b = lai.Input((2,), name="a"), lai.Input((2,), name="b")
    model = lai.Model([a, b], [a + b, a - b, a * b])
    x, y = np.array([[1.0, 2.0]], "float32"), np.array([[3.0, 5.0]], "float32")
    total, difference, product = model.predict([x, y])
    assert total.tolist() == [[4, 7]]
    assert difference.tolist() == [[-2, -3]]
    assert product.tolist() == [[3, 10]]


def test_a_model_is_a_layer_of_another() -> None:
    inner_in = lai.Input((4,))
    inner = lai.Model(inner_in, layers.Dense(3, activation="relu", name="inside")(inner_in))
    chain = lai.models.Sequential([layers.Dense(5, activation="tanh", name="chained")])
    outer_in = lai.Input((4,))
    model = lai.Model(outer_in, layers.Dense(1, name="out")(chain(inner(outer_in))))
    assert list(model.named_layers())[1:] == ["inside", "chained", "out"]
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    before = inner.predict(x)
    model.compile(optimizer=lai.optimizers.SGD(0.1), loss="mse")
    model.fit(x, np.ones(6), epochs=1, verbose=0)
    assert not np.array_equal(inner.predict(x), before)  # the layers are the same ones


def test_pictures_come_out_as_they_are_written(keras: Any) -> None:
    image = lai.Input((6, 6, 2))
    model = lai.Model(image, layers.Conv2D(3, 3, padding="same", activation="softmax")(image))
    x = np.random.default_rng(0).random((5, 6, 6, 2)).astype("float32")
    found = model.predict(x)
    assert found.shape == (5, 6, 6, 3)
    assert np.allclose(found.sum(-1), 1, atol=1e-5)
    theirs = keras.Sequential([
        keras.layers.Input((6, 6, 2)),
        keras.layers.Conv2D(3, 3, padding="same", activation="softmax"),
    ])  # fmt: skip
    theirs.set_weights(model.get_weights())
    assert np.abs(found - keras.ops.convert_to_numpy(theirs(x))).max() < 1e-5
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    classes = np.random.default_rng(1).integers(0, 3, (5, 6, 6))
    assert model.fit(x, classes, epochs=1, verbose=0).history["accuracy"]


def test_the_seed_draws_the_weights_and_set_weights_stay() -> None:
    def made(seed: int, weights: Any = None) -> list[np.ndarray]:
        x = lai.Input((3,))
        model = lai.Model(x, layers.Dense(2, name="out")(layers.Dense(4, name="first")(x)))
        if weights is not None:
            model.set_weights(weights)
        model.compile(optimizer=lai.optimizers.SGD(1e-12), loss="mse")
        model.fit(np.ones((4, 3), "float32"), np.ones((4, 2)), epochs=1, seed=seed, verbose=0)
        return model.get_weights()

    first, twin, other = made(1), made(1), made(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, twin, strict=True))
    assert not np.array_equal(first[0], other[0])
    kept = made(7, first)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(kept, first, strict=True))


def test_a_graph_goes_through_json() -> None:
    import json

    x = lai.Input((8, 8, 1), name="x")
    y = layers.MaxPooling2D()(layers.Conv2D(3, 3, activation="relu")(x))
    graph = trace({"x": x}, {"y": layers.Dense(2, activation="softmax")(layers.Flatten()(y))})
    again = Graph(json.loads(json.dumps(graph.describe())), linear_ends=True)
    again.load_state_dict(graph.state_dict())
    values = torch.rand(3, 1, 8, 8)
    assert torch.equal(graph(values), again(values))
    assert graph._modes.count("activate") == 1
    whole = Graph(graph.describe(), dict(graph.by_name), linear_ends=True)
    whole._modes = ["whole"] * len(whole.nodes)
    assert torch.equal(graph(values), whole(values))  # pooling before ReLU changes nothing


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_any_graph_of_sums_is_what_it_says(pairs: list[tuple[int, int]]) -> None:
    given_in = lai.Input((2,), name="x")
    symbols, values = [given_in], [np.array([[1.0, -2.0]], "float32")]
    for one, other in pairs:
        a, b = one % len(symbols), other % len(symbols)
        symbols.append(layers.Average()([symbols[a], symbols[b]]) if a != b else
                       layers.Rescaling(0.5)(symbols[a]))  # fmt: skip
        values.append((values[a] + values[b]) / 2 if a != b else values[a] * 0.5)
    model = lai.Model(given_in, symbols[-1])
    assert np.allclose(model.predict(values[0]), values[-1], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x, y: lai.Model(inputs=x, outputs=layers.Add()([x, y])), "Add it to inputs="),
        (lambda x, y: lai.Model(inputs=[x], outputs=[]), "Expected outputs; received none"),
        (lambda x, y: lai.Model(inputs=layers.Dense(2)(x), outputs=x), "made by lai.Input"),
        (lambda x, y: lai.Model(inputs=x, outputs=layers.Dense(2)), "as symbols"),
        (
            lambda x, y: lai.Model(x, layers.Dense(2, name="a")(layers.Dense(2, name="a")(x))),
            "'a' is there twice",
        ),
        (lambda x, y: x + 1, "Rescaling"),
        (lambda x, y: 1 if x else 2, "no value yet"),
        (lambda x, y: lai.Model([x, y], x + y).predict(np.ones((2, 2))), "Expected 2 inputs"),
        (
            lambda x, y: lai.Model({"left": x, "right": y}, x + y).predict(
                {"left": np.ones((2, 2)), "rihgt": np.ones((2, 2))}
            ),
            "'rihgt' meant to be 'right'",
        ),
        (
            lambda x, y: lai.Model(x, layers.Dense(1)(x)).predict(np.ones((2, 5), "float32")),
            "2",
        ),
    ],
)
def test_what_is_wrong_with_a_graph_is_told(make: Any, says: str) -> None:
    x, y = lai.Input((2,), name="x"), lai.Input((2,), name="y")
    with pytest.raises(lai.LeptonError, match=says):
        make(x, y)
