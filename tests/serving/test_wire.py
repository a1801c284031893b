"""Tensors on the wire: every datatype both ways, and every lie refused."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.errors import DataError
from lepton_ai.serving.wire import DATATYPES, Wire, join, read_tensors, split, write_tensor


def there_and_back(wire: Wire, *, binary: bool) -> Wire:
    entry, blob = write_tensor(wire, binary=binary)
    body, headers = join({"inputs": [entry]}, [blob] if blob is not None else [])
    document, tail = split(body, headers.get("inference-header-content-length"))
    return read_tensors(document["inputs"], tail, "inputs")[0]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_numbers_of_every_datatype_arrive_as_they_were(datatype: str, binary: bool) -> None:
    dtype = np.dtype(DATATYPES[datatype])
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    if dtype.kind in "ui":
        values[0, 0], values[0, 1] = np.iinfo(dtype).min, np.iinfo(dtype).max
    if dtype.kind == "f":
        values[0] = [np.finfo(dtype).max, np.finfo(dtype).smallest_normal, 1 / 3]
    arrived = there_and_back(Wire("x", datatype, values), binary=binary)
    assert arrived.values.dtype == dtype
    assert arrived.values.shape == (2, 3)
    np.testing.assert_array_equal(arrived.values, values)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_any_bytes_arrive_as_they_were(values: list[bytes]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    arrived = there_and_back(Wire("x", "BYTES", array), binary=True)
    assert arrived.values.tolist() == values


@given(st.lists(st.text(max_size=20).filter(lambda text: text.isprintable()), max_size=8))
def test_any_text_arrives_in_json(values: list[str]) -> None:
    array = np.empty(len(values), dtype=object)
    array[:] = [value.encode() for value in values]
    arrived = there_and_back(Wire("x", "BYTES", array), binary=False)
    assert [value.decode() for value in arrived.values] == values


def test_bfloat16_is_read() -> None:
    raw = (np.array([1.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    entry = {"name": "x", "datatype": "BF16", "shape": [2], "parameters": {"binary_data_size": 4}}
    assert read_tensors([entry], raw, "inputs")[0].values.tolist() == [1.5, -2.0]


def entry(**changes: object) -> dict:
    return {"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2], **changes}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (entry(shape=[3]), "Expected 3 numbers"),
        (entry(shape=[10**9, 10**9]), "received 2"),
        (entry(shape=[-1, -2]), "shape"),
        (entry(shape=[2.0]), "shape"),
        (entry(shape=[True, 2]), "shape"),
        (entry(shape=[]), "shape"),
        (entry(shape=None), "shape"),
        (entry(datatype="FP23"), "Did you mean 'FP32'"),
        (entry(datatype=["FP32"]), "datatype"),
        (entry(data=None), "list"),
        (entry(data="12"), "list"),
        (entry(data=[1, None]), "null"),
        (entry(data=["1", "2"]), "FP32 values"),
        (entry(data=[[1], [2, 3]]), "plain numbers"),
        (entry(data=[1, {"a": 2}]), "FP32 values"),
        (entry(data=[1, 1e300]), "finite"),
        (entry(datatype="UINT8", data=[1, 256]), "0 to 255"),
        (entry(datatype="UINT8", data=[1, -1]), "0 to 255"),
        (entry(datatype="INT64", data=[1, 2**63]), "INT64"),
        (entry(datatype="INT32", data=[1, 0.5]), "INT32 values"),
        (entry(datatype="BOOL", data=[1, 2]), "true and false"),
        (entry(datatype="BYTES", data=["a", 2]), "texts"),
        (entry(datatype="BYTES", data=["a"]), "Expected 2 elements"),
        (entry(datatype="BYTES", data=["a", "\ud800"]), "whole characters"),
        (entry(name=None), "name"),
        (entry(parameters=[1]), "object"),
        (entry(parameters={"binary_data_size": 8}), "0 bytes that follow"),
        (entry(parameters={"binary_data_size": -1}), "binary_data_size"),
        (entry(parameters={"binary_data_size": True}), "binary_data_size"),
        (3, "name"),
    ],
)
def test_what_is_not_what_it_claims_is_refused(wrong: object, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_tensors([wrong], b"", "inputs")


def binary(datatype: str, shape: list[int], size: int) -> dict:
    return {"name": "x", "datatype": datatype, "shape": shape,
            "parameters": {"binary_data_size": size}}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "tail", "told"),
    [
        (binary("FP32", [3], 8), bytes(8), "12 bytes"),
        (binary("FP32", [10**12, 10**12], 8), bytes(8), "bytes"),
        (binary("FP32", [2], 8), bytes(9), "left over"),
        (binary("FP32", [2], 8), bytes(7), "7 bytes that follow"),
        (binary("BYTES", [1], 4), struct.pack("<I", 2**32 - 1), "end too early"),
        (binary("BYTES", [10**9], 4), bytes(4), "at most 1"),
        (binary("BYTES", [1], 8), bytes(8), "left over"),
        (binary("BYTES", [2], 8), struct.pack("<I", 2) + bytes(4), "end too early"),
    ],
)
def test_binary_lengths_are_not_believed(wrong: dict, tail: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_tensors([wrong], tail, "inputs")


@pytest.mark.parametrize("header", ["-1", "1000", "x", "", "9" * 30, "²"])
def test_the_length_of_the_header_is_not_believed(header: str) -> None:
    with pytest.raises(DataError, match="length of the JSON part"):
        split(json.dumps({"inputs": []}).encode(), header)


def test_a_tensor_comes_once() -> None:
    with pytest.raises(DataError, match="twice"):
        read_tensors([entry(), entry()], b"", "inputs")
