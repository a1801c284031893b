"""Files that are cut off, foreign or meant to do harm are refused, and nothing in them is run."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="the extra 'interop' is not installed")

from lepton_ai.errors import (
    ArtifactError,
    IntegrityError,
    LeptonError,
    LimitError,
    ShapeError,
    UnsafeFormatError,
)
from lepton_ai.models.interop import keras_archive, load_keras


def dense(**changed: Any) -> dict[str, Any]:
    config = {
        "name": "dense",
        "trainable": True,
        "units": 2,
        "activation": "linear",
        "use_bias": True,
    }
    entry = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": config,
        "registered_name": None,
    }
    config |= changed.pop("config", {})
    return {**entry, **changed}


def described(*layers: dict[str, Any]) -> dict[str, Any]:
    start = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
             "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "x"}}  # fmt: skip
    return {"module": "keras", "class_name": "Sequential", "registered_name": None,
            "config": {"name": "model", "layers": [start, *(layers or (dense(),))]}}  # fmt: skip


def weights(change: Callable[[Any], None] | None = None) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        inside = file.create_group("layers/dense/vars")
        inside["0"] = np.ones((3, 2), "float32")
        inside["1"] = np.zeros(2, "float32")
        if change is not None:
            change(file)
    return buffer.getvalue()


def archive(path: Path, description: Any = None, members: dict[str, bytes] | None = None) -> Path:
    text = description if isinstance(description, bytes) else json.dumps(description or described())
    with zipfile.ZipFile(path, "w") as opened:
        held = {"metadata.json": b"{}", "config.json": text, "model.weights.h5": weights()}
        for name, content in {**held, **(members or {})}.items():
            opened.writestr(name, content)
    return path


def test_the_plain_one_is_read(tmp_path: Path) -> None:
    found = load_keras(archive(tmp_path / "m.keras")).predict(np.ones((1, 3), "float32"))
    assert found.tolist() == [[3.0, 3.0]]


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
          "config": {"name": "sneaky", "function": {"class_name": "__lambda__", "config": {
              "code": "4wEAAAA="}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (LAMBDA, UnsafeFormatError, "'sneaky' is a Lambda"),
        ({**LAMBDA, "module": None}, UnsafeFormatError, "'sneaky' is a Lambda"),
        (dense(class_name="Dens"), ArtifactError, "'Dens', which has no twin.*mean 'Dense'"),
        (dense(class_name="TextVectorization"), ArtifactError, "'TextVectorization'"),
        (dense(module="os"), ArtifactError, "from 'os', which is not Keras's own"),
        (dense(registered_name="mine>Dense"), ArtifactError, "class 'mine>Dense'"),
        (dense(config={"units": -1}), ArtifactError, "'dense' cannot be made here.*units"),
        (dense(config={"colour": "red"}), ArtifactError, "no argument 'colour'"),
        (dense(config={"activation": "rlu"}), ArtifactError, "mean 'relu'"),
        (dense(config={"activation": {"class_name": "function", "module": "builtins",
                                      "config": "run", "registered_name": "mine>run"}}),
         UnsafeFormatError, "code of the author's"),
        (dense(config={"kernel_regularizer": {"class_name": "Mine", "config": {}}}),
         ArtifactError, "regulariser 'Mine'"),
        ({"class_name": "Dense"}, ArtifactError, "arguments of the layer|cannot be read"),
        (7, ArtifactError, "description of a layer|cannot be read"),
        ({**described(), "config": {"layers": []}}, ArtifactError, "received 0"),
    ],
)  # fmt: skip
def test_layers_that_are_refused(
    layer: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        load_keras(archive(tmp_path / "m.keras", described(layer)))


def test_a_class_of_its_own(tmp_path: Path) -> None:
    own = {"module": "mine", "class_name": "MyModel", "config": {}, "registered_name": "MyModel"}
    with pytest.raises(ArtifactError, match="not Keras's own"):
        load_keras(archive(tmp_path / "m.keras", own))
    with pytest.raises(ArtifactError, match="Sequential or functional.*'Dense'"):
        load_keras(archive(tmp_path / "m.keras", dense()))


def test_graphs_that_do_not_hold_together(tmp_path: Path) -> None:
    def call(name: str) -> list[Any]:
        history = {"shape": [None, 3], "dtype": "float32", "keras_history": [name, 0, 0]}
        return [{"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": {}}]

    start = described()["config"]["layers"][0]

    def graph(of: str, output: str = "dense", **first: Any) -> dict[str, Any]:
        return {"module": "keras", "class_name": "Functional", "registered_name": None, "config": {
            "name": "m", "layers": [start, dense(inbound_nodes=call(of), **first)],
            "input_layers": [["x", 0, 0]], "output_layers": [[output, 0, 0]]}}  # fmt: skip

    path = tmp_path / "m.keras"
    assert load_keras(archive(path, graph("x"))).predict(np.ones((1, 3), "f4")).shape == (1, 2)
    for description, message in (
        (graph("dense"), "or on its own"),
        (graph("nothing"), "not there"),
        (graph("x", output="other"), "output 'other'"),
    ):
        with pytest.raises(ArtifactError, match=message):
            load_keras(archive(path, description))


def test_no_keras_file(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with pytest.raises(ArtifactError, match="is missing"):
        load_keras(path)
    with pytest.raises(ArtifactError, match="load_tensorflow"):
        load_keras(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="and is neither"):
        load_keras(path)
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("readme.txt", "nothing")
    with pytest.raises(ArtifactError, match=r"without config.json \(it holds readme.txt\)"):
        load_keras(path)
    for text in (b"{", b"[" * 100_000, b'{"class_name": "Sequential"}', b"[]", b"\xff"):
        with pytest.raises(ArtifactError):
            load_keras(archive(path, text))
    deep = json.dumps(described()).replace('"linear"', "[" * 300 + "]" * 300).encode()
    with pytest.raises(LimitError, match="nested"):
        load_keras(archive(path, deep))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_group("model_weights")
    with pytest.raises(ArtifactError, match="weights only"):
        load_keras(tmp_path / "m.h5")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.999])
def test_a_truncated_archive(share: float, tmp_path: Path) -> None:
    whole = archive(tmp_path / "m.keras").read_bytes()
    cut = tmp_path / "cut.keras"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(IntegrityError, match="cut off or damaged"):
        load_keras(cut)


def test_truncated_weights(tmp_path: Path) -> None:
    part = {"model.weights.h5": weights()[:-200]}
    with pytest.raises(IntegrityError, match=r"model.weights.h5 in .* is cut off"):
        load_keras(archive(tmp_path / "m.keras", members=part))


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "..\\evil", "C:/evil"])
def test_names_that_lead_out_of_the_archive(name: str, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="leads out of it"):
        load_keras(archive(tmp_path / "m.keras", members={name: b"x"}))


def test_an_archive_that_swells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("config.json", b" " * (32 * 2**20))
        opened.writestr("model.weights.h5", weights())
    with pytest.raises(LimitError, match="times its compressed size"):
        load_keras(path)
    monkeypatch.setattr(keras_archive, "LARGEST_CONFIG", 100)
    with pytest.raises(LimitError, match="at most 100 bytes"):
        load_keras(archive(path))


def test_many_members_and_a_name_twice(tmp_path: Path) -> None:
    many = {f"assets/{place}": b"" for place in range(1001)}
    with pytest.raises(LimitError, match="at most 1000 members"):
        load_keras(archive(tmp_path / "m.keras", members=many))
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as opened:
        opened.writestr("config.json", json.dumps(described()))
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened.writestr("config.json", json.dumps(described()))
    with pytest.raises(IntegrityError, match="comes twice"):
        load_keras(tmp_path / "m.keras")


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    def other(file: Any) -> None:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = np.zeros(5, "float32")

    path = tmp_path / "m.keras"
    with pytest.raises(
        ShapeError, match=r"'dense' expected weights of shapes \[\(3, 2\), \(2,\)\]"
    ):
        load_keras(archive(path, members={"model.weights.h5": weights(other)}))
    huge = described(dense(config={"units": 10**12}))  # no memory is taken for it
    with pytest.raises(ShapeError, match="1000000000000"):
        load_keras(archive(path, huge))


def replaced(make: Callable[[Any], None]) -> dict[str, bytes]:
    def change(file: Any) -> None:
        del file["layers/dense/vars/0"]
        make(file["layers/dense/vars"])

    return {"model.weights.h5": weights(change)}


def test_weights_elsewhere_on_this_machine(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["key"] = np.ones((3, 2), "float32")
    raw = tmp_path / "raw"
    raw.write_bytes(np.ones((3, 2), "float32").tobytes())

    def external(group: Any) -> None:
        group["0"] = h5py.ExternalLink(str(secret), "key")

    def soft(group: Any) -> None:
        group["0"] = h5py.SoftLink("/layers/dense/vars/1")

    def stored(group: Any) -> None:
        group.create_dataset("0", (3, 2), "float32", external=[(str(raw), 0, 24)])

    def virtual(group: Any) -> None:
        layout = h5py.VirtualLayout((3, 2), "float32")
        layout[:] = h5py.VirtualSource(str(secret), "key", (3, 2))
        group.create_virtual_dataset("0", layout)

    for make in (external, soft, stored, virtual):
        with pytest.raises(UnsafeFormatError, match="inside the file"):
            load_keras(archive(tmp_path / "m.keras", members=replaced(make)))


def test_weights_that_swell_or_are_no_numbers(tmp_path: Path) -> None:
    def hollow(group: Any) -> None:  # a shape without any bytes behind it
        del group["1"]
        group.create_dataset("0", (3, 2**24), "float32")

    def texts(group: Any) -> None:
        group["0"] = np.array([[b"a", b"b"]] * 3)

    path = tmp_path / "m.keras"
    wide = described(dense(config={"units": 2**24, "use_bias": False}))
    with pytest.raises(LimitError, match="times their compressed size"):
        load_keras(archive(path, wide, members=replaced(hollow)))
    with pytest.raises(ArtifactError, match="Expected numbers"):
        load_keras(archive(path, members=replaced(texts)))


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_damaged_files_raise_what_is_promised(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(archive(tmp_path / "m.keras").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(2, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    (tmp_path / "odd.keras").write_bytes(bytes(whole))
    with contextlib.suppress(LeptonError):
        load_keras(tmp_path / "odd.keras")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_odd_descriptions_raise_what_is_promised(tmp_path: Path, data: st.DataObject) -> None:
    description = described()
    holder: Any = description
    keys = data.draw(st.sampled_from([
        ("config",), ("config", "layers"), ("config", "layers", 0),
        ("config", "layers", 0, "config"),
        ("config", "layers", 0, "config", "batch_shape"), ("config", "layers", 1, "config"),
        ("config", "layers", 1, "config", "units"), ("config", "layers", 1, "class_name"),
        ("config", "layers", 1, "config", "activation"), ("class_name",), ("config", "name"),
        ("config", "layers", 1, "config", "name"), ("config", "layers", 1, "module"),
        ("config", "layers", 1, "config", "kernel_initializer"),
        ("config", "layers", 1, "config", "kernel_regularizer"),
        ("config", "layers", 1, "config", "kernel_constraint"),
    ]))  # fmt: skip
    for key in keys[:-1]:
        holder = holder[key]
    holder[keys[-1]] = data.draw(JUNK)
    with contextlib.suppress(LeptonError):
        load_keras(archive(tmp_path / "m.keras", description))
