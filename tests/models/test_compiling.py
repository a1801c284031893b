"""``compile`` and ``fit``: losses and metrics by output, weights of examples, what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import layers

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
KIND = np.arange(48) % 3
PRICE = (X @ [1.0, 2.0, -1.0, 0.5]).astype("float32")
WEIGHTS = RNG.random(48).astype("float32")


def classifier(kit: Any = layers, **last: Any) -> Any:
    model = (lai.models if kit is layers else kit).Sequential()
    kit = kit if kit is layers else kit.layers
    if kit is layers:
        model.add(kit.Dense(6, activation="tanh", input_shape=(4,)))
    else:
        model.add(kit.Input((4,)))
        model.add(kit.Dense(6, activation="tanh"))
    model.add(kit.Dense(3, **(last or {"activation": "softmax"})))
    return model


def two(**names: str) -> lai.Model:
    x = lai.Input((4,), name="x")
    h = layers.Dense(6, activation="tanh")(x)
    return lai.Model(x, [
        layers.Dense(3, activation="softmax", name="kind")(h), layers.Dense(1, name="price")(h),
    ])  # fmt: skip


def pair(keras: Any, **compiled: Any) -> tuple[Any, Any]:
    """Ours and Keras's with the same weights, compiled alike."""
    ours, theirs = classifier(), classifier(keras)
    ours.set_weights(theirs.get_weights())
    loss = "sparse_categorical_crossentropy"
    ours.compile(lai.optimizers.SGD(0.5), loss, **compiled)
    theirs.compile(keras.optimizers.SGD(0.5), loss, **compiled)
    return ours, theirs


def one_epoch(ours: Any, theirs: Any, x: Any, y: Any, **named: Any) -> tuple[Any, Any]:
    how = {"epochs": 1, "batch_size": 16, "verbose": 0, "shuffle": False, **named}
    return ours.fit(x, y, **how).history, theirs.fit(x, y, **how).history


# -- against Keras -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weighing",
    [
        {"class_weight": {0: 1.0, 1: 5.0, 2: 0.25}},
        {"sample_weight": WEIGHTS},
        {"class_weight": {1: 3.0}, "validation_split": 0.0},
    ],
)
def test_weighted_training_is_that_of_keras(keras: Any, weighing: dict[str, Any]) -> None:
    ours, theirs = pair(keras)
    mine, expected = one_epoch(ours, theirs, X, KIND, **weighing)
    assert mine["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.abs(a - b).max() < 1e-5
    plain, _ = pair(keras)
    plain.fit(X, KIND, epochs=1, batch_size=16, verbose=0, shuffle=False)
    assert not np.allclose(plain.get_weights()[0], ours.get_weights()[0], atol=1e-5)


def test_both_weights_are_multiplied() -> None:
    table = {0: 2.0, 2: 0.5}
    by_hand = WEIGHTS * np.array([2.0, 1.0, 0.5])[KIND]
    found = []
    for weighing in ({"class_weight": table, "sample_weight": WEIGHTS}, {"sample_weight": by_hand}):
        model = classifier()
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(X, KIND, epochs=2, seed=3, verbose=0, **weighing)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_weighted_metrics_and_weighted_evaluation(keras: Any) -> None:
    ours, theirs = pair(keras, metrics=["accuracy"], weighted_metrics=["accuracy"])
    mine, expected = one_epoch(ours, theirs, X, KIND, sample_weight=WEIGHTS)
    assert set(mine) == {"loss", "accuracy", "weighted_accuracy"} == set(expected)
    for name in expected:
        assert mine[name] == pytest.approx(expected[name], rel=1e-5), name
    figures = theirs.evaluate(
        X, KIND, sample_weight=WEIGHTS, batch_size=48, verbose=0, return_dict=True
    )
    found = ours.evaluate(X, KIND, sample_weight=WEIGHTS, return_dict=True)
    assert found == pytest.approx(figures, rel=1e-4)


def test_classes_by_name_and_a_column_of_weights() -> None:
    names = np.array(["bag", "cup", "hat"])[KIND]
    data = lai.Dataset({"x": X, "weight": WEIGHTS, "label": names})
    found = []
    for fit in (
        lambda m: m.fit(data, sample_weight="weight", class_weight={"cup": 4.0}, seed=1, verbose=0),
        lambda m: m.fit(
            data.select(["x", "label"]), sample_weight=WEIGHTS, class_weight={1: 4.0}, seed=1,
            verbose=0,
        ),
    ):  # fmt: skip
        model = classifier()
        model.compile("sgd", "categorical_crossentropy")
        fit(model)
        assert list(model.task.inputs) == ["x"]
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)


def test_weights_of_a_task_and_of_validation() -> None:
    pictures = RNG.integers(0, 255, (32, 8, 8, 3), dtype=np.uint8)
    data = {"image": pictures, "label": ["cat", "dog"] * 16}
    losses = []
    for weight in (1.0, 100.0):
        model = lai.Model("convnet", "image_classification", filters=(4,))
        run = model.fit(data, epochs=1, verbose=0, seed=0, class_weight={"dog": weight})
        losses.append(run.history["loss"][0])
    assert losses[1] > 10 * losses[0]
    ours = classifier()
    ours.compile("sgd", "sparse_categorical_crossentropy")
    zero = np.zeros(48)
    run = ours.fit(X, KIND, validation_data=(X, KIND, zero), epochs=1, verbose=0)
    assert run.history["val_loss"] == [0.0]


def test_fit_takes_the_arguments_of_keras(keras: Any) -> None:
    ours, theirs = pair(keras, metrics=["accuracy"])
    how = {
        "x": X, "y": KIND, "batch_size": 8, "epochs": 4, "initial_epoch": 1, "verbose": 0,
        "shuffle": False, "steps_per_epoch": None, "validation_data": (X, KIND),
        "validation_freq": 2,
    }  # fmt: skip
    mine, expected = ours.fit(**how).history, theirs.fit(**how).history
    assert len(mine["loss"]) == len(expected["loss"]) == 3
    assert mine["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert mine["val_loss"][0] == pytest.approx(expected["val_loss"][0], rel=1e-5)
    short = classifier()
    short.compile("sgd", "sparse_categorical_crossentropy", clipnorm=0.5, ema=0.9)
    run = short.fit(X, KIND, batch_size=8, steps_per_epoch=2, clipvalue=0.1, verbose=0)
    assert (run.config["clip_norm"], run.config["clip_value"]) == (0.5, 0.1)
    assert (run.config["average_decay"], run.config["steps_per_epoch"]) == (0.9, 2)


# -- losses and metrics by output ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (
            {"loss": ["sparse_categorical_crossentropy", "mse"], "metrics": ["accuracy", "mae"]},
            ["kind_accuracy", "price_mae"],
        ),
        (
            {"loss": {"price": "mae", "kind": "sparse_categorical_crossentropy"},
             "metrics": {"price": ["mse", "mae"]}},
            ["price_mse", "price_mae"],
        ),
        (
            {"loss": {"price": "mae", "kind": "sparse_categorical_crossentropy"},
             "metrics": [["accuracy", "top_k_accuracy"], None], "loss_weights": [1, 0]},
            ["kind_accuracy", "kind_top_k_accuracy"],
        ),
    ],
)  # fmt: skip
def test_one_a_list_or_a_dict(asked: dict[str, Any], names: list[str]) -> None:
    model = two()
    model.compile("adam", **asked)
    run = model.fit(X, [KIND, PRICE], epochs=1, verbose=0)
    assert list(run.history) == ["loss", "kind_loss", "price_loss", *names]
    first, second = model.predict(X)
    assert (first.shape, second.shape) == ((48, 3), (48, 1))
    assert model.task.headline == names[0]


def test_compiled_again_it_is_judged_anew(tmp_path: Path) -> None:
    model = two()
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    model.fit(X, [KIND, PRICE], epochs=1, verbose=0)
    weights = model.get_weights()
    model.compile("sgd", ["sparse_categorical_crossentropy", "mae"], metrics=["accuracy", "mse"])
    for a, b in zip(weights, model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    figures = model.evaluate(X, [KIND, PRICE], return_dict=True)
    assert list(figures) == ["loss", "kind_loss", "price_loss", "kind_accuracy", "price_mse"]
    model.save(tmp_path / "m")
    assert lai.load(tmp_path / "m").evaluate(X, [KIND, PRICE], return_dict=True) == figures


def test_a_loss_that_is_a_function(tmp_path: Path) -> None:
    def cubic(expected: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
        return (expected - predicted).abs() ** 3

    model = lai.models.Sequential([layers.Dense(1, input_shape=(4,))])
    model.compile("sgd", cubic)
    model.fit(X, PRICE, epochs=1, verbose=0)
    found = model.evaluate(X, PRICE)[0]
    assert found == pytest.approx(np.mean(np.abs(model.predict(X)[:, 0] - PRICE) ** 3), rel=1e-4)
    with pytest.raises(lai.LeptonError, match="'cubic' is a function"):
        model.save(tmp_path / "m")


def test_several_answers_of_yes_and_no(keras: Any) -> None:
    rows = (RNG.random((48, 3)) > 0.5).astype("float32")
    ours, theirs = (classifier(kit, activation="sigmoid") for kit in (layers, keras))
    ours.set_weights(theirs.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    expected = theirs.evaluate(X, rows, batch_size=48, verbose=0)
    ours.fit(X, rows, epochs=1, verbose=0, optimizer=lai.optimizers.SGD(1e-12))
    assert ours.evaluate(X, rows) == pytest.approx(expected, rel=1e-4)


def test_the_task_of_a_backbone_takes_settings_only() -> None:
    model = lai.Model("convnet", "image_classification", filters=(4,))
    model.compile(optimizer=lai.optimizers.SGD(0.125), schedule="constant")
    pictures = RNG.integers(0, 255, (16, 8, 8, 3), dtype=np.uint8)
    run = model.fit({"image": pictures, "label": ["a", "b"] * 8}, epochs=1, verbose=0)
    assert "0.125" in str(run.config["optimizer"])
    with pytest.raises(lai.LeptonError, match="has its own"):
        model.compile("adam", loss="mse")
    with pytest.raises(lai.LeptonError, match="lai.Model\\('convnet', 'image_classification'\\)"):
        lai.Model("convnet").compile("adam", "mse")


# -- what does not fit ---------------------------------------------------------------------------


def compile_two(**asked: Any) -> None:
    two().compile("adam", **asked)


def fit_two(y: Any, x: Any = X) -> None:
    model = two()
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    model.fit(x, y, epochs=1, verbose=0)


def fit(model: Any, loss: Any, y: Any = KIND, metrics: Any = (), **how: Any) -> None:
    model.compile("adam", loss, metrics)
    model.fit(X, y, epochs=1, verbose=0, **how)


CROSS = lai.losses.CategoricalCrossentropy
MISTAKES = [
    ("a loss for one of two", lambda: compile_two(loss={"kind": "mse"}), "price has none"),
    ("an output that is not there", lambda: compile_two(loss={"kind": "mse", "prize": "mse"}),
     "Did you mean 'price'"),
    ("three losses for two", lambda: compile_two(loss=["mse"] * 3), "each of the 2 outputs"),
    ("one metric for two", lambda: compile_two(loss="mse", metrics=["mae"]), "metrics for each"),
    ("a weight that is a word", lambda: compile_two(loss="mse", loss_weights={"kind": "a"}),
     "loss_weights of at least 0"),
    ("an unknown metric", lambda: compile_two(loss="mse", metrics={"kind": ["acuracy"]}),
     "Did you mean 'accuracy'"),
    ("a setting that is none", lambda: two().compile("adam", "mse", precison="float32"),
     "Did you mean 'precision'"),
    ("targets for one of two", lambda: fit_two(KIND), "Expected 2 outputs \\(kind, price\\)"),
    ("targets by other names", lambda: fit_two({"kind": KIND, "prise": PRICE}),
     "'prise' meant to be 'price'"),
    ("softmax twice", lambda: classifier().compile("adam", CROSS(from_logits=True)),
     "applied twice"),
    ("softmax twice in a module",
     lambda: fit(lai.models.wrap(nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1))),
                 CROSS(from_logits=True)), "probabilities already"),
    ("logits taken for probabilities",
     lambda: fit(classifier(activation=None), CROSS()), "from_logits=True"),
    ("logits of a module", lambda: fit(lai.models.wrap(nn.Linear(4, 3)), CROSS()),
     "from_logits=True"),
    ("probabilities of a quantity",
     lambda: fit(lai.models.Sequential([layers.Dense(1, input_shape=(4,))]), "mse", PRICE,
                 ["auc"]), "'auc' needs probabilities"),
    ("accuracy of a quantity",
     lambda: fit(lai.models.Sequential([layers.Dense(1, input_shape=(4,))]), "mse", PRICE,
                 ["accuracy"]), "mean_absolute_error"),
    ("weights of another length",
     lambda: fit(classifier(), CROSS(), sample_weight=np.ones(47)), "each of the 48 examples"),
    ("negative weights", lambda: fit(classifier(), CROSS(), sample_weight=-np.ones(48)),
     "at least 0"),
    ("weights that are no numbers",
     lambda: fit(classifier(), CROSS(), sample_weight=np.full(48, np.nan)), "at least 0"),
    ("a column of weights beside arrays",
     lambda: fit(classifier(), CROSS(), sample_weight="weight"), "a column of a Dataset"),
    ("an unknown class", lambda: fit(classifier(), CROSS(), class_weight={7: 2.0}),
     "classes of the data, 0, 1, 2; received 7"),
    ("an unknown class by name",
     lambda: fit(classifier(), CROSS(), np.array(["bag", "cup", "hat"])[KIND],
                 class_weight={"bgag": 2.0}), "Did you mean 'bag'"),
    ("class weights of a quantity",
     lambda: fit(lai.models.Sequential([layers.Dense(1, input_shape=(4,))]), "mse", PRICE,
                 class_weight={0: 1.0}), "one class for each example"),
    ("class weights of two outputs",
     lambda: two_with(class_weight={0: 1.0}), "one output for class_weight"),
    ("class weights in a list", lambda: fit(classifier(), CROSS(), class_weight=[1, 2, 3]),
     "a dict from class to weight"),
    ("nothing that learns", lambda: fit(frozen(), CROSS()), "unfreeze\\(\\)"),
    ("data twice", lambda: classifier_compiled().fit(X, KIND, x=X), "received it twice"),
    ("no data", lambda: classifier_compiled().fit(), "Expected data"),
    ("channels first", lambda: channels_first(), "look channels first"),
]  # fmt: skip


def two_with(**how: Any) -> None:
    model = two()
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    model.fit(X, [KIND, PRICE], verbose=0, **how)


def frozen() -> Any:
    return classifier().freeze()


def classifier_compiled() -> Any:
    model = classifier()
    model.compile("adam", CROSS())
    return model


def channels_first() -> None:
    model = lai.models.Sequential([
        layers.Flatten(input_shape=(8, 8, 3)), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", CROSS())
    model.fit(np.zeros((6, 3, 8, 8), "float32"), np.arange(6) % 2, verbose=0)


@pytest.mark.parametrize(
    ("mistake", "says"), [pytest.param(*row[1:], id=row[0]) for row in MISTAKES]
)
def test_what_does_not_fit_is_told(mistake: Any, says: str) -> None:
    with pytest.raises(lai.LeptonError, match=says):
        mistake()


def test_a_refused_fit_changes_nothing() -> None:
    model = classifier_compiled()
    weights = model.get_weights()
    with pytest.raises(lai.LeptonError):
        model.fit(X, KIND, sample_weight=[1.0], verbose=0)
    assert not model.bound
    assert model.task.plain is None
    for a, b in zip(weights, model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    data = lai.Dataset({"x": X, "label": np.array(["a", "b", "c"])[KIND]})
    model.fit(data, epochs=1, verbose=0)
    assert set(model.predict(data)) == {"label", "label.scores"}


@pytest.mark.parametrize("low", [-1, 0])
def test_hinge_decides_at_nothing(low: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    y = np.where(x[:, 0] > 0, 1, low)
    model = lai.models.Sequential([layers.Dense(1, input_shape=(3,))])
    model.compile("adam", loss="hinge", metrics=["accuracy"])
    model.fit(x, y, epochs=2, batch_size=16, verbose=0)
    _, accuracy = model.evaluate(x, y)
    assert accuracy == pytest.approx(np.mean((model.predict(x)[:, 0] > 0) == (y > 0)))
