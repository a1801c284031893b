"""Columns of every kind travel and come back as the same kind."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from lepton_ai.data.column import Files, Items, Ragged
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import DataError
from lepton_ai.serving.tensors import to_input, to_output, to_wire
from lepton_ai.serving.wire import Wire, join, read_tensors, split, write_tensor


def travelled(wire: Wire) -> Wire:
    entry, blob = write_tensor(wire, binary=True)
    body, headers = join({"outputs": [entry]}, [blob or b""])
    document, tail = split(body, headers["inference-header-content-length"])
    return read_tensors(document["outputs"], tail, "outputs")[0]


def equal(a: Any, b: Any) -> bool:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, pa.Array):
        return a.type == b.type and a.equals(b)
    if isinstance(a, Ragged):
        return np.array_equal(a.lengths, b.lengths) and equal(a.values, b.values)
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


COMPANIONS = {
    "scores": np.array([[1 / 3, 2 / 3]], np.float32),
    "doubles": np.array([1 / 3, np.nan]),
    "numbers": np.array([[1, 2], [3, 4]], np.int64),
    "truth": np.array([True, False]),
    "texts": pa.array(["a", "", "猫"]),
    "holes": pa.array(["a", None]),
    "integers": pa.array([1, 2], pa.int32()),
    "bytes": pa.array([b"\xff", b""], pa.binary()),
    "words": Ragged.of([["a", "b"], ["c"]]),
    "empty words": Ragged.of([["a"], []]),
    "ragged numbers": Ragged(np.array([1.5, 1 / 3], np.float32), np.array([0, 2])),
    "ragged scores": Ragged(np.full((3, 2), 1 / 3, np.float32), np.array([1, 2])),
    "maps": Items([np.ones((2, 2), np.float32), np.zeros((1, 3), np.float32)]),
}


@pytest.mark.parametrize("kind", COMPANIONS)
def test_a_companion_comes_back_as_it_was(kind: str) -> None:
    column = COMPANIONS[kind]
    assert equal(column, to_output(travelled(to_wire("x", column))))


def test_a_tensor_comes_back_as_an_array() -> None:
    back = to_output(travelled(to_wire("x", torch.ones(2, 3))))
    assert isinstance(back, np.ndarray)
    assert back.shape == (2, 3)


def test_pictures_of_several_sizes_travel_as_files() -> None:
    rng = np.random.default_rng(0)
    pictures = Items([rng.integers(0, 255, (h, 5, 3), dtype=np.uint8) for h in (4, 6)])
    wire = travelled(to_wire("image", pictures, Image()))
    assert wire.parameters["content_type"] == "raw"
    column = to_input(wire, Image())
    tensor = Image().to_tensor(column, {"size": [4, 5], "channels": 3})
    assert torch.equal(tensor[0], torch.from_numpy(pictures[0]).permute(2, 0, 1))


def test_pictures_with_fractions_travel_exactly() -> None:
    pictures = Items([np.full((2, 3), 1 / 3), np.full((3, 3), 2 / 3)])
    wire = travelled(to_wire("image", pictures, Image()))
    column = to_input(wire, Image())
    assert column[0][0, 0] == 1 / 3


def test_files_of_the_client_are_sent_and_never_their_paths(tmp_path: Any, files: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(files[0])
    wire = to_wire("image", Files([str(path)]), Image())
    assert wire.values[0] == files[0]


def objects(*values: bytes) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def test_a_picture_may_be_bytes_or_base64_or_pixels(files: list[bytes], pictures: Any) -> None:
    spec = {"size": [16, 16], "channels": 3}
    expected = Image().to_tensor(pictures[:1], spec)
    for values in (objects(files[0]), objects(base64.b64encode(files[0]))):
        column = to_input(Wire("image", "BYTES", values), Image())
        assert torch.equal(Image().to_tensor(column, spec), expected)
    column = to_input(Wire("image", "UINT8", pictures[:1]), Image())
    assert torch.equal(Image().to_tensor(column, spec), expected)


def test_a_path_of_the_service_is_never_opened(tmp_path: Any, files: list[bytes]) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(files[0])
    for content in ("str", "json", None):
        text = f'"{path}"' if content == "json" else str(path)
        told = {"content_type": content} if content else {}
        wire = Wire("image", "BYTES", objects(text.encode()), told)
        with pytest.raises(DataError):
            Image().to_tensor(to_input(wire, Image()), {"size": [16, 16], "channels": 3})


def test_missing_values_travel() -> None:
    column = pa.array(["a", None])
    back = to_input(travelled(to_wire("job", column, Label(["a", "b"]))), Label(["a", "b"]))
    assert back.to_pylist() == ["a", None]
    numbers = to_input(travelled(to_wire("age", np.array([1.0, np.nan]), Number())), Number())
    assert np.isnan(numbers[1])


def test_an_infinite_number_is_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        to_input(Wire("age", "FP64", np.array([np.inf])), Number())


def test_an_unknown_content_type_is_refused() -> None:
    with pytest.raises(DataError, match="content_type"):
        to_input(Wire("age", "BYTES", objects(b"1"), {"content_type": "pickle"}), Number())
