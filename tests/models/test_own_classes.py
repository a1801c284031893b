"""Classes and modules of the user's own, and new models that begin with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import layers, registry

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
KIND = (X[:, 0] > 0).astype("int64")
SIZE = X[:, 1].copy()
PICTURES = RNG.integers(0, 255, (24, 8, 8, 3), dtype=np.uint8)
LABELS = ["cat", "dog", "cow"] * 8


class Wide(lai.Model):
    """Layers of ours and of PyTorch's side by side, with ``forward``."""

    def __init__(self, units: int = 6, *, activation: str = "relu") -> None:
        super().__init__()
        self.units = units
        self.first = layers.Dense(units, activation=activation)
        self.top = nn.Linear(units, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(self.first(x))


class Pair(lai.Model):
    """Two inputs, two outputs, and ``call`` as in Keras."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(3), layers.Dense(3)
        self.kind, self.size = layers.Dense(2, "softmax"), layers.Dense(1)
        self.seen: list[bool] = []

    def call(self, left: torch.Tensor, right: torch.Tensor, training: bool = False) -> Any:
        self.seen.append(training)
        both = self.left(left) + self.right(right)
        return {"kind": self.kind(both), "size": self.size(both)}


class Pictures(lai.Model):
    """Features for the head of a task."""

    def __init__(self) -> None:
        super().__init__(task="image_classification")
        self.conv = layers.Conv2D(4, 3, activation="relu")

    def call(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image).mean(dim=(2, 3))


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    def config(self) -> dict[str, Any]:
        return {"width": self.width}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"wide": Wide, "pair": Pair, "pictures_of_mine": Pictures, "net": Net}
    for name, kind in own.items():
        monkeypatch.setitem(registry._registered["networks"], name, kind)


LOGITS = lai.losses.CategoricalCrossentropy(from_logits=True)


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    torch.manual_seed(3)  # PyTorch's own layers draw when they are made
    model = Wide(5, activation="tanh")
    model.compile(lai.optimizers.Adam(0.05), LOGITS, ["accuracy"])
    run = model.fit(X, KIND, epochs=8, batch_size=8, validation_split=0.2, seed=0, verbose=0)
    assert run.history["accuracy"][-1] > 0.85
    assert list(model.named_layers()) == ["first", "top"]
    answers = model.predict(X)
    direct = model(torch.from_numpy(X)).detach().numpy()  # call itself, as torch programs do
    assert np.allclose(answers, direct, atol=1e-6)
    model.save(tmp_path / "wide")
    again = lai.load(tmp_path / "wide")
    assert (type(again), again.units, again.first.activation) == (Wide, 5, "tanh")
    assert np.array_equal(again.predict(X), answers)
    torch.manual_seed(3)
    twin = Wide(5, activation="tanh")
    twin.compile(lai.optimizers.Adam(0.05), LOGITS)
    twin.fit(X, KIND, epochs=8, batch_size=8, validation_split=0.2, seed=0, verbose=0)
    assert np.array_equal(twin.predict(X), answers)  # layers built by their first call, seeded


def test_two_inputs_two_outputs_and_training(tmp_path: Path) -> None:
    model = Pair()
    model.compile(
        lai.optimizers.Adam(0.05), {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    )
    x, y = {"left": X, "right": X[:, ::-1].copy()}, {"kind": KIND, "size": SIZE}
    run = model.fit(x, y, epochs=6, batch_size=8, verbose=0, replicas=1)
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert {True, False} == set(model.seen)
    model.save(tmp_path / "pair")
    again = lai.load(tmp_path / "pair")
    for name, values in model.predict(x).items():
        assert np.array_equal(again.predict(x)[name], values)
    data = lai.Dataset({**x, **y})
    assert set(lai.evaluate(model, data)) == {"loss", "kind_loss", "size_loss"}


def test_features_for_a_task(tmp_path: Path) -> None:
    data = {"image": PICTURES, "label": LABELS}
    model = Pictures()
    model.fit(data, epochs=1, verbose=0)
    model.save(tmp_path / "mine")
    again = lai.load(tmp_path / "mine")
    assert np.array_equal(
        again.predict(PICTURES)["label.scores"], model.predict(PICTURES)["label.scores"]
    )
    assert lai.explain(model, PICTURES[0]).method


def test_any_module(tmp_path: Path) -> None:
    model = lai.models.wrap(Net(7))
    model.compile("adam", "mse", ["mae"])
    model.fit(X, SIZE, epochs=2, verbose=0)
    model.save(tmp_path / "net")
    again = lai.load(tmp_path / "net")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert lai.models.wrap(model) is model
    lazy = lai.models.wrap(nn.Sequential(nn.LazyLinear(3), nn.LazyLinear(1)))
    lazy.compile("sgd", "mse")
    lazy.fit(X, SIZE, epochs=1, verbose=0)
    assert lazy.count_params() == 4 * 3 + 3 + 4
    task = lai.Model(Net(3), task=lai.tasks.Supervised("mse"))
    task.fit(X, SIZE, epochs=1, verbose=0)
    assert task.predict(X).shape == (40, 1)


def test_pictures_of_a_module_are_as_they_are() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    model = lai.models.wrap(module)
    model.compile("sgd", LOGITS)
    first = PICTURES.transpose(0, 3, 1, 2) / 255.0  # in the order in which the module reads them
    model.fit(first, np.arange(24) % 2, epochs=1, verbose=0)
    given = torch.from_numpy(first).float()
    assert np.allclose(model.predict(first), module(given).detach().numpy(), atol=1e-5)
    columns = lai.models.wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3)))
    columns.compile("sgd", LOGITS)
    columns.fit(lai.Dataset({"image": PICTURES, "label": LABELS}), epochs=1, verbose=0)
    assert len(columns.predict({"image": PICTURES})["label"]) == 24


class Unregistered(lai.Model):
    def __init__(self, layer: Any = None) -> None:
        super().__init__()
        self.inner = layer or nn.Linear(4, 1)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


class Heady(lai.Model):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 1)

    def call(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x)


class Broken(lai.Model):
    def call(self, x: torch.Tensor) -> Any:
        return x @ torch.zeros(5, 1)


class Listed(lai.Model):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 1)])

    def call(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def fitted(model: Any) -> Any:
    model.compile("sgd", "mse")
    model.fit(X, SIZE, epochs=1, verbose=0)
    return model


def test_a_list_of_layers_may_be_called_layers() -> None:
    model = fitted(Listed())
    assert model.predict(X).shape == (40, 1)
    assert model.count_params() == 25


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda path: fitted(Unregistered()).save(path), "lai.register\\('networks'"),
        (lambda path: fitted(lai.models.wrap(nn.Linear(4, 1))).save(path), "lai.register"),
        (lambda path: Heady(), "self.top = "),
        (lambda path: fitted(Broken()), "stopped with"),
        (lambda path: lai.models.wrap("convnet"), "lai.Model\\('convnet'"),
        (lambda path: lai.Model("convnet")(3), "model.predict"),
    ],
)
def test_what_is_wrong_with_a_class_is_told(tmp_path: Path, mistake: Any, says: str) -> None:
    with pytest.raises(lai.LeptonError, match=says):
        mistake(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_arguments_that_cannot_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registered["networks"], "unregistered", Unregistered)
    model = fitted(Unregistered(nn.Linear(4, 1)))
    with pytest.raises(lai.LeptonError, match="Write config\\(self\\)"):
        model.save(tmp_path / "model")
    module = fitted(lai.models.wrap(Net(3)))
    monkeypatch.setattr(Net, "config", dict)
    with pytest.raises(lai.LeptonError, match="missing a required argument: 'width'"):
        module.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


# -- beginning with another model ----------------------------------------------------------------


def test_a_backbone_with_another_head(tmp_path: Path) -> None:
    base = lai.Model("convnet", "image_classification", filters=(4, 8))
    base.fit({"image": PICTURES, "label": LABELS}, epochs=1, verbose=0)
    base.save(tmp_path / "base")
    base = lai.models.load(tmp_path / "base")
    model = base.with_head("image_classification")
    model.freeze(except_last=1)
    data = {"image": PICTURES, "label": ["up", "down"] * 12}
    model.bind(data)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, base.network.state_dict()[name]), name
    assert model.specs["image"] == base.specs["image"]
    model.fit(data, epochs=1, verbose=0)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, base.network.state_dict()[name]), name
    assert set(model.predict(PICTURES)["label"].to_pylist()) <= {"up", "down"}
    model.save(tmp_path / "model")
    assert np.array_equal(
        lai.load(tmp_path / "model").predict(PICTURES)["label.scores"],
        model.predict(PICTURES)["label.scores"],
    )


def test_layers_with_another_end(tmp_path: Path) -> None:
    base = lai.models.Sequential([
        layers.Dense(8, activation="relu", input_shape=(4,)), layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    base.compile("adam", "sparse_categorical_crossentropy")
    base.fit(X, KIND, epochs=1, verbose=0)
    model = base.with_head(layers.Dense(1))
    model.freeze(except_last=1)
    model.compile("adam", "mse")
    first = [array.copy() for array in base.layers[0].keras_weights()]
    model.fit(X, SIZE, epochs=1, seed=5, verbose=0)
    for a, b in zip(first, model.layers[0].keras_weights(), strict=True):
        assert np.array_equal(a, b)
    assert base.predict(X).shape == (40, 2)
    assert model.predict(X).shape == (40, 1)


def test_a_network_that_begins_inside_another() -> None:
    x = lai.Input((4,), name="x")
    h = layers.Dense(6, activation="relu", name="body")(x)
    base = lai.Model(x, layers.Dense(2, activation="softmax", name="old")(h))
    base.compile("adam", "sparse_categorical_crossentropy")
    base.fit(X, KIND, epochs=2, verbose=0)
    body = [array.copy() for array in base.get_layer("body").keras_weights()]
    model = lai.Model(base.input, layers.Dense(1, name="new")(base.output_of("body")))
    model.compile("adam", "mse")
    model.freeze("body")
    model.fit(X, SIZE, epochs=1, seed=9, verbose=0)
    for a, b in zip(body, model.get_layer("body").keras_weights(), strict=True):
        assert np.array_equal(a, b)  # neither drawn again nor trained
    again = base.with_head(layers.Dense(3, name="other"))
    assert list(again.named_layers()) == ["x", "body", "other"]
    with pytest.raises(lai.LeptonError, match="Did you mean 'body'"):
        base.output_of("bodi")


def test_a_chain_as_features_of_a_task(tmp_path: Path) -> None:
    base = lai.models.Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3)),
        layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    base.compile("adam", "categorical_crossentropy")
    base.fit(lai.Dataset({"image": PICTURES, "label": LABELS}), epochs=1, verbose=0)
    model = base.with_head("image_classification")
    kernel = base.layers[0].keras_weights()[0].copy()
    model.freeze(except_last=1)
    model.fit({"image": PICTURES, "label": ["up", "down"] * 12}, epochs=1, verbose=0)
    assert np.array_equal(kernel, model.layers[1].keras_weights()[0])
    assert model.specs["image"] == base.specs["image"]
    model.save(tmp_path / "model")
    assert np.array_equal(
        lai.load(tmp_path / "model").predict(PICTURES)["label.scores"],
        model.predict(PICTURES)["label.scores"],
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Wide().with_head("image_classification"), "is neither"),
        (lambda: Wide().with_head(layers.Dense(1)), "is none"),
        (lambda: lai.models.Sequential([layers.Dense(1)]).with_head("image_clasification"),
         "Did you mean 'image_classification'"),
        (lambda: lai.models.Sequential([layers.Dense(1)]).with_head(3), "Expected a task"),
        (lambda: lai.models.Sequential([layers.Dense(1)]).with_head("image_classification"),
         "input_shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_gone_on_from(make: Any, says: str) -> None:
    with pytest.raises(lai.LeptonError, match=says):
        make()
