"""Layers of a model: found, frozen, with rates and weights of their own; counted and drawn."""

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
X = RNG.normal(size=(32, 4)).astype("float32")
Y = (X @ [1.0, -1.0, 2.0, 0.0]).astype("float32")


def chain() -> Any:
    model = lai.models.Sequential([
        layers.Dense(6, activation="relu", input_shape=(4,), name="first"),
        layers.BatchNormalization(name="norm"), layers.Dense(5, name="second"),
        layers.Dense(1, name="last"),
    ])  # fmt: skip
    model.compile(lai.optimizers.SGD(0.1), "mse")
    return model


def kept(model: Any, before: dict[str, Any]) -> set[str]:
    """The layers whose weights did not change."""
    now = weights(model)
    return {
        name for name in before
        if all(np.array_equal(a, b) for a, b in zip(before[name], now[name], strict=True))
    }  # fmt: skip


def weights(model: Any) -> dict[str, Any]:
    return {
        name: [array.copy() for array in layer.keras_weights()]
        for name, layer in model.named_layers().items()
    }


def test_layers_are_found_by_name_and_number() -> None:
    model = chain()
    assert [layer.name for layer in model.layers] == ["first", "norm", "second", "last"]
    assert model.get_layer("second") is model.layers[2] is model.get_layer(index=-2)
    with pytest.raises(lai.LeptonError, match="Did you mean 'second'"):
        model.get_layer("secnd")
    with pytest.raises(lai.LeptonError, match="below 4"):
        model.get_layer(index=9)
    plain = lai.models.Sequential([layers.Dense(2, input_shape=(3,)), layers.Dense(2)])
    assert list(plain.named_layers()) == ["dense", "dense_1"]


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        (lambda m: m.freeze("second"), {"second"}),
        (lambda m: m.freeze(up_to="norm"), {"first", "norm"}),
        (lambda m: m.freeze(except_last=1), {"first", "norm", "second"}),
        (lambda m: m.freeze().unfreeze(["last", "norm"]), {"first", "second"}),
        (lambda m: setattr(m.layers[0], "trainable", False), {"first"}),
        (lambda m: (m.freeze(), setattr(m, "trainable", True)), set()),
    ],
)
@pytest.mark.parametrize("bound", [False, True])
def test_what_is_frozen_stays_as_it_is(freeze: Any, still: set[str], bound: bool) -> None:
    model = chain()
    if bound:
        model.fit(X, Y, epochs=1, verbose=0)
    freeze(model)
    if not bound:
        model.bind(lai.Dataset({"x": X, "y": Y}))
    before = weights(model)
    model.fit(X if bound else lai.Dataset({"x": X, "y": Y}), Y if bound else None,
              epochs=2, verbose=0)  # fmt: skip
    assert kept(model, before) == still  # a frozen normalisation keeps its averages too
    assert model.count_params(trainable=False) == sum(
        array.size for name in still for array in before[name]
    ) + (0 if "norm" in still else 12)
    assert model.trainable


def test_everything_frozen_is_told() -> None:
    model = chain()
    model.trainable = False
    with pytest.raises(lai.LeptonError, match=r"model\.unfreeze\(\)"):
        model.fit(X, Y, verbose=0)
    empty = lai.models.Sequential([layers.Flatten(input_shape=(4,))])
    empty.compile("sgd", "mse")
    with pytest.raises(lai.LeptonError, match="weights to learn"):
        empty.fit(X, X, verbose=0)


def test_a_frozen_backbone_learns_its_head_only() -> None:
    pictures = RNG.integers(0, 255, (24, 8, 8, 3), dtype=np.uint8)
    data = {"image": pictures, "label": ["a", "b", "c"] * 8}
    model = lai.Model("convnet", "image_classification", filters=(4, 8))
    model.freeze(except_last=1)  # before the layers are there
    model.fit(data, epochs=1, verbose=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.fit(data, epochs=1, verbose=0)
    changed = {n for n, t in model.state_dict().items() if not torch.equal(before[n], t)}
    assert changed
    assert all(name.startswith("head.") for name in changed)


# -- rates ---------------------------------------------------------------------------------------


def test_groups_of_parameters() -> None:
    model = chain()
    model.bind(lai.Dataset({"x": X, "y": Y}))
    (whole,) = model.parameter_groups(0.1)
    assert set(whole) == {"params"}
    assert {id(p) for p in whole["params"]} == {id(p) for p in model.parameters()}
    model.learning_rates = {"first": 0.0, "second": 0.5}
    model.layers[3].learning_rate_scale = 0.25
    model.layers[1].weight_decay_scale = 2.0
    groups = model.parameter_groups(0.2, 0.01)
    rates = {id(p): group.get("lr") for group in groups for p in group["params"]}
    assert rates[id(model.get_layer("first").kernel)] == 0.0
    assert rates[id(model.get_layer("second").bias)] == 0.5
    assert rates[id(model.get_layer("last").kernel)] == 0.2 * 0.25
    assert rates[id(model.get_layer("norm").gamma)] is None
    decays = {id(p): group.get("weight_decay") for group in groups for p in group["params"]}
    assert decays[id(model.get_layer("norm").gamma)] == 0.0  # a vector never decays
    assert decays[id(model.get_layer("last").kernel)] is None
    model.freeze("first")
    held = {id(p) for group in model.parameter_groups(0.2) for p in group["params"]}
    assert id(model.get_layer("first").kernel) not in held
    assert sum(len(group["params"]) for group in model.parameter_groups(0.2)) == 6


def test_rates_by_layer_are_those_that_are_stepped_with() -> None:
    found = {}
    for name, how in {
        "slow": {"learning_rates": {"first": 0.05}}, "all": {}, "none": {"learning_rates": {
            "first": 0.0, "second": 0.0, "last": 0.0, "norm": 0.0}},
    }.items():  # fmt: skip
        model = chain()
        model.bind(lai.Dataset({"x": X, "y": Y}), seed=0)
        before = weights(model)
        model.fit(lai.Dataset({"x": X, "y": Y}), epochs=1, batch_size=32, verbose=0, **how)
        after = weights(model)
        found[name] = {
            n: after[n][0] - before[n][0] for n in ("first", "second", "last")
        }  # fmt: skip
    for name in ("second", "last"):
        assert np.allclose(found["slow"][name], found["all"][name], atol=1e-7)
        assert not found["none"][name].any()
    assert np.allclose(found["slow"]["first"], 0.5 * found["all"]["first"], atol=1e-6)


def test_rates_for_layers_that_are_not_there() -> None:
    model = chain()
    with pytest.raises(lai.LeptonError, match="Did you mean 'second'"):
        model.fit(X, Y, learning_rates={"secnd": 0.1}, verbose=0)
    assert not model.bound
    with pytest.raises(lai.LeptonError, match="model.freeze\\('first'\\)"):
        model.fit(X, Y, learning_rates={"first": -1}, verbose=0)


# -- weights and counts --------------------------------------------------------------------------


def both(keras: Any, kind: str) -> tuple[Any, Any]:
    def made(kit: Any, make: Any, build: Any, chained: Any) -> Any:
        if kind == "chain":
            return chained(
                make((10, 10, 1)),
                [kit.Conv2D(4, 3, activation="relu"), kit.BatchNormalization(),
                 kit.MaxPooling2D(), kit.SeparableConv2D(6, 2), kit.Flatten(), kit.Dense(3)],
            )  # fmt: skip
        left, right = make((6, 8)), make((4,))
        x = kit.Bidirectional(kit.GRU(3, return_sequences=True))(left)
        x = kit.LayerNormalization()(kit.MultiHeadAttention(2, 3)(x, x))
        x = kit.Concatenate()([kit.GlobalAveragePooling1D()(x), kit.Dense(5)(right)])
        shared = kit.Dense(11, activation="tanh")
        return build([left, right], [kit.Dense(2)(shared(x)), shared(shared(x))])

    def ours(first: Any, rest: Any) -> Any:
        rest[0].input_shape = first.shape
        return lai.models.Sequential(rest)

    def theirs(first: Any, rest: Any) -> Any:
        return keras.Sequential([first, *rest])

    a = made(layers, lai.Input, lai.Model, ours)
    return a, made(keras.layers, keras.Input, keras.Model, theirs)


@pytest.mark.parametrize("kind", ["chain", "branches"])
def test_weights_and_counts_are_those_of_keras(keras: Any, kind: str) -> None:
    ours, theirs = both(keras, kind)
    assert ours.count_params() == theirs.count_params()
    learned = sum(int(np.prod(w.shape)) for w in theirs.trainable_weights)
    assert ours.count_params(trainable=True) == learned
    given = [RNG.random(w.shape).astype("float32") for w in theirs.get_weights()]
    assert [a.shape for a in ours.get_weights()] == [w.shape for w in given]
    theirs.set_weights(given)
    ours.set_weights(given)
    for a, b in zip(ours.get_weights(), given, strict=True):
        assert np.array_equal(a, b)
    shapes = [entry.shape for entry in ours.entries().values()]
    x = [RNG.normal(size=(3, *shape)).astype("float32") for shape in shapes]
    found = ours.predict(x if len(x) > 1 else x[0])
    expected = theirs(x if len(x) > 1 else x[0])
    expected = expected if isinstance(expected, list) else [expected]
    for a, b in zip(found if isinstance(found, list) else [found], expected, strict=True):
        assert np.abs(a - keras.ops.convert_to_numpy(b)).max() < 1e-4


def test_weights_that_do_not_fit_change_nothing() -> None:
    model = chain()
    before = model.get_weights()
    with pytest.raises(lai.errors.ShapeError, match="Expected 10 arrays"):
        model.set_weights(before[:-1])
    with pytest.raises(lai.errors.ShapeError, match="number 2"):
        model.set_weights([*before[:2], np.zeros(3), *before[3:]])
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_weights_before_there_are_any() -> None:
    open_ended = lai.models.Sequential([layers.Dense(2)])
    with pytest.raises(lai.errors.NotReadyError, match="build"):
        open_ended.get_weights()
    open_ended.build((3,))
    assert [array.shape for array in open_ended.get_weights()] == [(3, 2), (2,)]


def test_weights_of_any_module_go_out_and_in() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    model = lai.models.wrap(module)
    taken = [RNG.random(a.shape).astype("float32") for a in model.get_weights()]
    assert len(taken) == 8  # the averages of the normalisation are among them
    model.set_weights(taken)
    assert np.array_equal(module[0].weight.detach().numpy(), taken[0])
    assert model.count_params() == 15 + 6 + 6 + 4


# -- overview ------------------------------------------------------------------------------------


def test_a_summary_of_a_chain(capsys: pytest.CaptureFixture[str]) -> None:
    model = lai.models.Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(10, 10, 3)), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    text = model.summary()
    assert capsys.readouterr().out == text + "\n"
    lines = {line.split(" ")[0]: line for line in text.splitlines()}
    assert "(None, 8, 8, 4)" in lines["conv2d"]
    assert " 112 " in lines["conv2d"]
    assert "13.8 k" in lines["conv2d"]  # 2 x 8 x 8 places x 27 values x 4 filters
    assert "(None, 4, 4, 4)" in lines["max_pooling2d"]
    assert "1.02 kB" in lines["conv2d"]  # 8 x 8 x 4 floats
    assert " 256 " in lines["dense"]  # 2 x 64 x 2
    assert "Parameters: 242 (968 B); they learn: 242; kept as they are: 0" in text
    model.freeze("conv2d")
    assert "they learn: 130; kept as they are: 112" in model.summary()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 10, 10, 3), "float32"), np.arange(4) % 2, epochs=1, verbose=0)
    assert model.summary().splitlines()[4:8] == text.splitlines()[4:8]


def test_operations_of_recurrence_and_attention_are_counted() -> None:
    from lepton_ai.models.overview import rows_of

    x = lai.Input((7, 6))
    model = lai.Model(x, layers.MultiHeadAttention(2, 3)(layers.LSTM(6, return_sequences=True)(x),
                                                         x))  # fmt: skip
    cost = {row.kind: row.operations for row in rows_of(model)}
    assert cost["LSTM"] == 2 * 7 * (24 * 6 + 24 * 6)
    projections = 2 * 7 * (6 * 6) * 4
    assert cost["MultiHeadAttention"] == projections + 2 * (2 * 2 * 7 * 7 * 3)


@pytest.mark.parametrize("kind", ["backbone", "module", "own"])
def test_a_summary_of_anything(kind: str) -> None:
    if kind == "backbone":
        model = lai.Model("convnet", "image_classification", filters=(4,))
        with pytest.raises(lai.errors.NotReadyError, match="model.fit"):
            model.summary()
        pictures = RNG.integers(0, 255, (8, 8, 8, 3), dtype=np.uint8)
        model.fit({"image": pictures, "label": ["a", "b"] * 4}, epochs=1, verbose=0)
    elif kind == "module":
        model = lai.models.wrap(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)))
        model.compile("sgd", "mse")
        model.fit(X, Y, epochs=1, verbose=0)
    else:
        model = Own()
        model.compile("sgd", "mse")
        model.fit(X, Y, epochs=1, verbose=0)
    text = model.summary()
    total = sum(p.numel() for p in model.parameters())
    buffers = [b for b in model.buffers() if b.is_floating_point()]
    assert f"Parameters: {total + sum(b.numel() for b in buffers):,} " in text
    assert len(text.splitlines()) == 7 + len(model.layers)
    assert not model.training


class Own(lai.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.outer = nn.Linear(3, 1)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(torch.relu(self.inner(x)))


def test_a_drawing(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from lepton_ai.models.plotting import _place, boxes_of

    x = lai.Input((4,), name="x")
    y = layers.Dense(4, name="a")(x)
    for name in ("b", "c"):
        y = layers.Dense(4, name=name)(y)
    model = lai.Model(x, {"sum": layers.Add()([y, layers.Dense(4, name="a2")(x), x])})
    boxes = boxes_of(model)
    routes = _place(boxes)
    depth = {box.title.split(" ")[0]: box.depth for box in boxes}
    assert depth == {"x": 0, "a": 1, "b": 2, "c": 3, "a2": 1, "sum": 4}
    assert sorted(len(route) for route in routes) == [2, 2, 2, 2, 2, 4, 5]
    standing = {id(box): box for route in routes for box in route}.values()
    for one in standing:  # nothing stands on anything else
        for other in standing:
            if one is not other and one.depth == other.depth:
                least = 1.0 if "lane" not in (one.kind, other.kind) else 0.3
                assert abs(one.across - other.across) > least - 1e-9
    figure = model.plot(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").stat().st_size > 5000
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"x", "a  Dense", "sum  Add", "(None, 4)   20"} <= set(texts)
    assert chain().plot() is not None
