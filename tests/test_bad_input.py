"""Typical mistakes: each is one typed error saying what was expected, what came, what to type."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import lepton_ai as lai
from lepton_ai.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    GateError,
    LeptonError,
    LimitError,
    ShapeError,
    SourceError,
    UnknownNameError,
)

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 255, (24, 12, 12, 3), dtype=np.uint8)
LABELS = ["cat", "dog"] * 12


def good():
    return {"image": PICTURES, "label": LABELS}


def fit(data, **settings):
    model = lai.Model("convnet", "image_classification", filters=(4,))
    return model.fit(data, epochs=1, verbose=0, **settings)


def fitted():
    model = lai.Model("convnet", "image_classification", filters=(4,))
    model.fit(good(), epochs=1, verbose=0)
    return model


def sequential(*layers, loss="categorical_crossentropy", optimizer="adam", metrics=("accuracy",)):
    model = lai.models.Sequential(list(layers))
    model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    return model


def dense(units=2, **arguments):
    return lai.layers.Dense(units, activation="softmax", **arguments)


def with_value(value):
    pictures = PICTURES.astype(np.float32) / 255
    pictures[3, 2, 2, 0] = value
    return {"image": pictures, "label": LABELS}


def png(height=12, width=12, *, cut=None):
    buffer = io.BytesIO()
    Pillow.fromarray(RNG.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()[:cut]


def huge():
    """The first bytes of a picture of 65,000 x 65,000 pixels."""
    import struct
    import zlib

    def chunk(kind, body):
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", 65000, 65000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def table(**changes):
    columns = {"area": np.linspace(1, 9, 24), "rooms": np.arange(24) % 5 * 1.0, "sold": LABELS}
    return {**columns, **changes}


numbers = np.arange(48, dtype=np.float32).reshape(24, 2)

MISTAKES = [
    # -- wrong shapes ------------------------------------------------------------------------
    ("pictures with channels first",
     lambda: fit({"image": lai.data.fields.Image().read(PICTURES.transpose(0, 3, 1, 2)),
                  "label": LABELS}),
     DataError, ("[N, height, width, channels]", "transpose")),
    ("pictures with five channels",
     lambda: fitted().predict(np.zeros((2, 12, 12, 5), np.uint8)),
     DataError, ("1 or 3",)),
    ("columns of differing length",
     lambda: lai.Dataset({"image": PICTURES, "label": LABELS[:-1]}),
     DataError, ("columns of one length", "image: 24", "label: 23")),
    ("an input_shape that is not the data's",
     lambda: sequential(lai.layers.Flatten(input_shape=(9, 9, 3)), dense()).fit(
         PICTURES, np.arange(24) % 2, verbose=0),
     LeptonError, ("Expected", "9, 9, 3", "12, 12, 3")),
    ("a dense layer with too few units",
     lambda: sequential(lai.layers.Flatten(input_shape=(12, 12, 3)), dense(3)).fit(
         lai.Dataset({"image": PICTURES, "label": ["a", "b", "c", "d"] * 6}), verbose=0),
     ShapeError, ("4 classes", "3 units", "Dense(4")),
    ("a kernel larger than the picture",
     lambda: sequential(lai.layers.Conv2D(4, 15, input_shape=(12, 12, 3)), lai.layers.Flatten(),
                        dense()).fit(PICTURES, np.arange(24) % 2, verbose=0),
     LeptonError, ("Conv2D",)),
    ("one-hot rows as labels of a task",
     lambda: fit({"image": PICTURES, "label": np.eye(2)[np.arange(24) % 2]}),
     DataError, ("argmax",)),
    # -- labels outside the classes ----------------------------------------------------------
    ("a class that the task does not have",
     lambda: lai.Model("convnet", lai.tasks.ImageClassification(["cat", "dgo"])).fit(
         good(), verbose=0),
     DataError, ("Expected one of the classes cat, dgo", "'dog'", "Did you mean 'dgo'")),
    ("a class number that is too large",
     lambda: lai.Model("convnet", lai.tasks.ImageClassification(["cat", "dog"])).fit(
         {"image": PICTURES, "label": np.arange(24) % 3}, verbose=0),
     DataError, ("class numbers from 0 to 1", "received 2")),
    ("a class that was not trained on, when evaluating",
     lambda: lai.evaluate(fitted(), {"image": PICTURES[:2], "label": ["cat", "cow"]}),
     DataError, ("'cow'", "1 of 2")),
    ("a single class",
     lambda: fit({"image": PICTURES, "label": ["cat"] * 24}),
     DataError, ("at least two classes", "'cat'")),
    # -- nothing there -----------------------------------------------------------------------
    ("no example to fit",
     lambda: fit({"image": PICTURES[:0], "label": LABELS[:0]}),
     EmptyDataError, ("at least one", "Add examples")),
    ("no example to evaluate",
     lambda: lai.evaluate(fitted(), {"image": PICTURES[:0], "label": LABELS[:0]}),
     EmptyDataError, ("at least one", "Add examples")),
    ("no example to train",
     lambda: lai.train({"image": PICTURES[:0], "label": LABELS[:0]}, verbose=0),
     EmptyDataError, ("at least one", "Add examples")),
    ("one example to split",
     lambda: lai.Dataset(good()).take([0]).split(0.5),
     EmptyDataError, ("at least 2 examples",)),
    # -- numbers that are none ---------------------------------------------------------------
    ("NaN in pictures", lambda: fit(with_value(np.nan)), DataError,
     ("finite pixel values", "1 of 24", "nan_to_num")),
    ("infinite pixels", lambda: fit(with_value(np.inf)), DataError,
     ("finite pixel values", "1 of 24")),
    ("NaN in arrays",
     lambda: sequential(dense(input_shape=(2,))).fit(
         np.where(numbers == 4, np.nan, numbers), np.arange(24) % 2, verbose=0),
     DataError, ("finite numbers", "1 of 24", "example 2")),
    ("infinite numbers in a table",
     lambda: lai.Model("mlp", infer_task()).fit(table(area=[np.inf] + [1.0] * 23), verbose=0),
     DataError, ("finite numbers", "1 of 24")),
    # -- classes that cannot be learned ------------------------------------------------------
    ("a class with one sample",
     lambda: lai.train({"image": PICTURES, "label": [*LABELS[:-1], "cow"]}, verbose=0),
     GateError, ("single example", "'cow' (row 23)", "drop_classes")),
    ("labels that all differ",
     lambda: lai.train({"image": PICTURES, "label": [f"p{n}" for n in range(24)]}, "label",
                       fields={"label": lai.data.fields.Label()}, verbose=0),
     GateError, ("24 classes in 24 examples", "Name another target")),
    # -- pictures that are none --------------------------------------------------------------
    ("a truncated picture", lambda: fitted().predict(png(cut=150)), DataError,
     ("a whole picture file",)),
    ("bytes that are no picture", lambda: fitted().predict(b"GIF98 or so"), DataError,
     ("Expected a picture file (JPEG, PNG",)),
    ("a huge picture", lambda: fitted().predict(huge()), LimitError,
     ("at most 64,000,000 pixels",)),
    # -- wrong types and names ---------------------------------------------------------------
    ("texts in the place of pictures",
     lambda: fitted().predict({"image": np.array([["a", "b"]])}), LeptonError, ("Expected",)),
    ("mixed types in a column", lambda: lai.Dataset({"x": [1, "two", 3.0]}), DataError,
     ("values of one type", "int", "str")),
    ("a table without a column of the model",
     lambda: lai.Model("mlp", infer_task()).fit(
         {"aera": np.ones(24), "rooms": np.ones(24), "sold": LABELS}, verbose=0),
     DataError, ("received 'area'", "Did you mean 'aera'")),
    ("a column that is not there", lambda: lai.Dataset(good())["lable"], DataError,
     ("Did you mean 'label'",)),
    ("a field for a column that is not there",
     lambda: lai.Dataset(good(), {"imag": lai.data.fields.Image()}), DataError,
     ("Did you mean 'image'",)),
    ("sequences of differing length as an array",
     lambda: sequential(dense(input_shape=(3,))).fit([[1, 2, 3], [1, 2]], [0, 1], verbose=0),
     LeptonError, ("Pad", "length")),
    ("a source that is not there", lambda: lai.train("no/such/folder", verbose=0), SourceError,
     ("no/such/folder",)),
    # -- unknown names -----------------------------------------------------------------------
    ("an optimiser", lambda: sequential(dense(input_shape=(2,)), optimizer="adma"),
     UnknownNameError, ("Expected the name of an optimizer", "Did you mean 'adam'")),
    ("a loss", lambda: sequential(dense(input_shape=(2,)), loss="categorical_crossentropi"),
     UnknownNameError, ("Did you mean 'categorical_crossentropy'",)),
    ("a metric", lambda: sequential(dense(input_shape=(2,)), metrics=["acuracy"]),
     UnknownNameError, ("Expected the name of a metric", "Did you mean 'accuracy'")),
    ("a layer", lambda: lai.models.Sequential().add("Conv2"), ConfigError,
     ("Expected a layer", "Did you mean 'Conv2D'")),
    ("a layer of the folder", lambda: lai.layers.Con2D, AttributeError,
     ("Did you mean 'Conv2D'",)),
    ("an activation", lambda: lai.layers.Dense(3, activation="rleu"), LeptonError,
     ("Did you mean 'relu'",)),
    ("a backbone", lambda: lai.Model("convent", "image_classification"), UnknownNameError,
     ("Did you mean 'convnet'",)),
    ("a backbone that does not fit", lambda: lai.Model("mlp", "image_classification").fit(
        good(), verbose=0), ConfigError, ("does not fit", "These fit: convnet")),
    ("a task", lambda: lai.Model("convnet", "image_clasification"), UnknownNameError,
     ("Did you mean 'image_classification'",)),
    ("a transform", lambda: lai.Dataset(good()).apply_transforms(["random_rotatoin"]),
     UnknownNameError, ("Did you mean 'random_rotation'",)),
    ("a schedule", lambda: fit(good(), schedule="one_cicle"), UnknownNameError,
     ("Did you mean 'one_cycle'",)),
    ("a setting", lambda: fit(good(), learning_rat=0.1), ConfigError,
     ("Did you mean 'learning_rate'",)),
    ("a data set", lambda: lai.datasets.load("cifar_11"), UnknownNameError,
     ("Did you mean 'cifar10'",)),
    # -- settings that cannot be ---------------------------------------------------------------
    ("epochs below one", lambda: fit(good(), batch_size=0), ConfigError,
     ("batch_size as a whole number above 0", "received 0")),
    ("a negative learning rate", lambda: lai.optimizers.Adam(-1), ConfigError,
     ("learning_rate above 0", "-1")),
    ("fit before compile",
     lambda: lai.models.Sequential([dense(input_shape=(2,))]).fit(numbers, LABELS, verbose=0),
     LeptonError, ("model.compile(",)),
    ("predict before fit", lambda: lai.Model("convnet", "image_classification").predict(PICTURES),
     LeptonError, ("Expected a fitted model", "model.fit(data)")),
]  # fmt: skip


def infer_task():
    from lepton_ai.automl.inferring import infer

    return infer(table(), "sold").task


@pytest.mark.parametrize(
    ("mistake", "error", "says"),
    [pytest.param(*row[1:], id=row[0]) for row in MISTAKES],
)
def test_a_mistake_is_told(mistake, error, says):
    with pytest.raises(error) as caught:
        mistake()
    for phrase in says:
        assert phrase in str(caught.value)
    assert error is AttributeError or isinstance(caught.value, LeptonError)


def test_a_refused_fit_leaves_the_model_as_it_was(own_workspace):
    model = fitted()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    runs = sorted((own_workspace / "runs").iterdir())
    for data in (with_value(np.nan), {"image": PICTURES}, {"image": PICTURES[:0], "label": []}):
        with pytest.raises(LeptonError):
            model.fit(data, verbose=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert sorted((own_workspace / "runs").iterdir()) == runs


def test_unreadable_pictures_are_skipped_counted_and_listed(tmp_path):
    for index in range(16):
        folder = tmp_path / "photos" / LABELS[index]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index}.png").write_bytes(png(cut=150 if index in (4, 9) else None))
    data = lai.Dataset.read(tmp_path / "photos")
    report = lai.check(data)
    told = [member.member for member in data.skipped]
    told += [f.message for f in report.findings if f.check == "unreadable_pictures"]
    assert any("4.png" in one for one in told)
    assert any("9.png" in one for one in told) or "rows" in " ".join(told)
    model = lai.train(tmp_path / "photos", epochs=1, verbose=0)
    held = len(model.trained.training) + len(model.trained.test)
    assert held == 14
    assert "2 of 16" in model.report_text


def test_grey_among_coloured_pictures_is_noted_and_works():
    from lepton_ai.data import Items

    pictures = [*PICTURES[:23], RNG.integers(0, 255, (12, 12), dtype=np.uint8)]
    data = lai.Dataset({"image": Items(pictures), "label": LABELS})
    findings = {f.check: f for f in lai.check(data).findings}
    assert "1 of 24 (4.2 %)" in findings["mixed_channels"].message
    model = lai.Model("convnet", "image_classification", filters=(4,))
    model.fit(data, epochs=1, verbose=0)
    assert len(model.predict(data)["label"]) == 24


def test_nothing_is_written_by_a_refused_save(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(LeptonError, match="holds a saved model"):
        fitted().save(tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "lepton-home") == [
        "mine"
    ]
