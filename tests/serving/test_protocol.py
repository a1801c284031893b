"""Open Inference Protocol v2: by hand in process, and by NVIDIA's own client on a real socket."""

from __future__ import annotations

import gzip
import json
import warnings
from typing import Any

import numpy as np
import pytest

HEADER = "inference-header-content-length"


def message(files: list[bytes], **changes: Any) -> tuple[bytes, dict[str, str]]:
    from lepton_ai.serving.wire import Wire, join, write_tensor

    values = np.empty(len(files), dtype=object)
    values[:] = files
    entry, blob = write_tensor(Wire("image", "BYTES", values), binary=True)
    return join({"inputs": [entry], **changes}, [blob or b""])


def test_the_server_tells_what_it_is(call: Any) -> None:
    told = call("GET", "/v2").json()
    assert told["name"] == "lepton"
    assert "binary_tensor_data" in told["extensions"]
    assert told["models"] == ["shapes"]


@pytest.mark.parametrize(
    "path",
    ["/v2/health/live", "/v2/health/ready", "/v2/models/shapes/ready",
     "/v2/models/shapes/versions/1/ready"],
)  # fmt: skip
def test_health(call: Any, path: str) -> None:
    assert call("GET", path).status_code == 200


def test_metadata_names_tensors_and_the_task(call: Any) -> None:
    told = call("GET", "/v2/models/shapes").json()
    assert told == call("GET", "/v2/models/shapes/versions/1").json()
    assert [(t["name"], t["datatype"], t["shape"]) for t in told["inputs"]] == [
        ("image", "BYTES", [-1])
    ]
    assert [(t["name"], t["datatype"], t["shape"]) for t in told["outputs"]] == [
        ("label", "BYTES", [-1]), ("label.scores", "FP32", [-1, 3]),
    ]  # fmt: skip
    assert told["parameters"]["task"]["task"] == "image_classification"


def test_infer_with_json_numbers(call: Any, pictures: Any, model: Any) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [2, 16, 16, 3],
              "data": pictures[:2].tolist()}  # fmt: skip
    answer = call("POST", "/v2/models/shapes/infer", json={"inputs": [tensor], "id": "mine"})
    told = answer.json()
    assert answer.status_code == 200, told
    assert (told["model_name"], told["model_version"], told["id"]) == ("shapes", "1", "mine")
    expected = model.predict({"image": pictures[:2]})
    outputs = {t["name"]: t for t in told["outputs"]}
    assert outputs["label"]["data"] == expected["label"].to_pylist()
    np.testing.assert_allclose(
        np.reshape(outputs["label.scores"]["data"], (2, 3)), expected["label.scores"], atol=1e-6
    )


def test_infer_with_files_and_chosen_outputs(
    call: Any, files: Any, pictures: Any, model: Any
) -> None:
    wanted = [{"name": "label", "parameters": {"binary_data": False}},
              {"name": "label.scores", "parameters": {"binary_data": True}}]  # fmt: skip
    body, headers = message(files[:3], outputs=wanted)
    answer = call("POST", "/v2/models/shapes/infer", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    end = int(answer.headers[HEADER])
    told = json.loads(answer.content[:end])
    assert told["outputs"][1]["parameters"]["binary_data_size"] == 36
    expected = model.predict({"image": pictures[:3]})
    assert told["outputs"][0]["data"] == expected["label"].to_pylist()
    scores = np.frombuffer(answer.content[end:], "<f4").reshape(3, 3)
    np.testing.assert_allclose(scores, expected["label.scores"], atol=1e-6)


def test_a_packed_body_is_unpacked_within_the_limit(call: Any, files: Any) -> None:
    body, headers = message(files[:1])
    packed = {**headers, "content-encoding": "gzip"}
    path = "/v2/models/shapes/infer"
    assert call("POST", path, content=gzip.compress(body), headers=packed).status_code == 200
    assert call("POST", path, content=gzip.compress(body)[:-9], headers=packed).status_code == 400
    bomb = gzip.compress(bytes(10**7))
    assert call("POST", path, content=bomb, headers=packed).status_code == 413
    packed["content-encoding"] = "br"
    assert call("POST", path, content=body, headers=packed).status_code == 415


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"inputs": []}, "list of tensors"),
        ({}, "list of tensors"),
        ([], "JSON object"),
        ({"inputs": [{"name": "imagen", "datatype": "UINT8", "shape": [1], "data": [1]}]},
         "Did you mean 'image'"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2], "data": [1]}]},
         "Expected 2 numbers"),
        ({"inputs": [{"name": "image", "datatype": "FP32", "shape": [2], "data": [1, 2]}]},
         "shape"),
        ({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["x"]}]},
         "picture"),
        ({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [0, 16, 16, 3], "data": []}]},
         "at least one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_as_the_protocol_wants_it(
    call: Any, document: Any, told: str
) -> None:
    answer = call("POST", "/v2/models/shapes/infer", json=document)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)
    assert told in answer.json()["error"]


def test_unknown_outputs_options_models_and_versions(call: Any, files: Any) -> None:
    path = "/v2/models/shapes/infer"
    body, headers = message(files[:1], outputs=[{"name": "lable"}])
    answer = call("POST", path, content=body, headers=headers)
    assert answer.status_code == 400
    assert "Did you mean 'label'" in answer.json()["error"]
    body, headers = message(files[:1], parameters={"confidence": 0.5})
    answer = call("POST", path, content=body, headers=headers)
    assert answer.status_code == 400
    assert "confidence" in answer.json()["error"]
    answer = call("POST", "/v2/models/shape/infer", content=body, headers=headers)
    assert answer.status_code == 404
    assert "Did you mean 'shapes'" in answer.json()["error"]
    answer = call("POST", "/v2/models/shapes/versions/9/infer", content=body, headers=headers)
    assert answer.status_code == 404


def test_too_many_examples(call: Any) -> None:
    tensor = {"name": "image", "datatype": "BYTES", "shape": [301], "data": ["x"] * 301}
    answer = call("POST", "/v2/models/shapes/infer", json={"inputs": [tensor]})
    assert answer.status_code == 400
    assert "300" in answer.json()["error"]


# -- NVIDIA's client, unmodified -----------------------------------------------------------------


@pytest.fixture
def triton(service: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
    client = http.InferenceServerClient(service.url.removeprefix("http://"))
    yield http, client
    client.close()


def test_triton_health_and_metadata(triton: Any) -> None:
    _, client = triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("shapes")
    assert client.get_server_metadata()["name"] == "lepton"
    assert client.get_model_metadata("shapes", "1")["inputs"][0]["name"] == "image"
    assert not client.is_model_ready("nothing")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
def test_triton_infers_numbers(
    triton: Any, pictures: Any, model: Any, there: bool, back: bool, packing: str | None
) -> None:
    http, client = triton
    tensor = http.InferInput("image", [4, 16, 16, 3], "UINT8")
    tensor.set_data_from_numpy(pictures[:4], binary_data=there)
    wanted = [http.InferRequestedOutput(n, binary_data=back) for n in ("label", "label.scores")]
    found = client.infer(
        "shapes", [tensor], outputs=wanted, request_id="7",
        request_compression_algorithm=packing,
    )  # fmt: skip
    expected = model.predict({"image": pictures[:4]})
    labels = found.as_numpy("label")
    texts = [value.decode() if isinstance(value, bytes) else value for value in labels]
    assert texts == expected["label"].to_pylist()
    np.testing.assert_allclose(found.as_numpy("label.scores"), expected["label.scores"], atol=1e-5)
    assert found.get_response()["id"] == "7"


def test_triton_sends_files(triton: Any, files: Any, pictures: Any, model: Any) -> None:
    http, client = triton
    values = np.empty((2, 1), dtype=object)
    values[:, 0] = files[:2]
    tensor = http.InferInput("image", [2, 1], "BYTES")
    tensor.set_data_from_numpy(values)
    found = client.infer("shapes", [tensor])
    expected = model.predict({"image": pictures[:2]})["label"].to_pylist()
    assert [value.decode() for value in found.as_numpy("label")] == expected


def test_triton_reads_the_message_of_an_error(triton: Any) -> None:
    http, client = triton
    tensor = http.InferInput("imago", [1], "FP32")
    tensor.set_data_from_numpy(np.ones(1, np.float32))
    with pytest.raises(Exception, match="Did you mean 'image'"):
        client.infer("shapes", [tensor])
