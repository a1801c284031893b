"""The friendly way in: JSON, forms, tables, bare files; explanations; what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.serving.app import build_app
from lepton_ai.serving.hosted import Hosted, Shelf

PATH = "/models/shapes/predict"


def labels(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["label"] for row in answer.json()["predictions"]]


@pytest.fixture(scope="module")
def expected(model: Any, pictures: Any) -> list[str]:
    return model.predict({"image": pictures[:6]})["label"].to_pylist()


def test_json_one_and_many(call: Any, texts: list[str], expected: list[str]) -> None:
    assert labels(call("POST", PATH, json={"image": texts[0]})) == expected[:1]
    assert labels(call("POST", "/predict", json={"image": texts[0]})) == expected[:1]
    many = {"examples": [{"image": text} for text in texts]}
    assert labels(call("POST", PATH, json=many)) == expected
    assert labels(call("POST", PATH, json={"examples": texts})) == expected
    as_url = {"image": "data:image/png;base64," + texts[0]}
    assert labels(call("POST", PATH, json=as_url)) == expected[:1]


def test_pixels_in_json(call: Any, pictures: Any, expected: list[str]) -> None:
    assert labels(call("POST", PATH, json={"image": pictures[0].tolist()})) == expected[:1]


def test_the_answer_names_scores_model_time_and_request(call: Any, texts: list[str]) -> None:
    answer = call("POST", PATH, json={"image": texts[0]})
    told = answer.json()
    assert told["model"] == "shapes"
    assert told["version"] == "1"
    assert told["milliseconds"] > 0
    assert told["id"] == answer.headers["x-request-id"]
    scores = told["predictions"][0]["label.scores"]
    assert set(scores) == {"dark", "bright", "square"}
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
    assert max(scores, key=scores.get) == told["predictions"][0]["label"]


def test_form_with_files_as_curl_sends_it(call: Any, files: Any, expected: list[str]) -> None:
    one = [("image", ("shoe.png", files[0], "image/png"))]
    assert labels(call("POST", PATH, files=one)) == expected[:1]
    several = [("image", (f"{i}.png", raw, "image/png")) for i, raw in enumerate(files)]
    assert labels(call("POST", PATH, files=several)) == expected


def test_a_bare_file(call: Any, files: Any, expected: list[str]) -> None:
    answer = call("POST", PATH, content=files[0], headers={"content-type": "image/png"})
    assert labels(answer) == expected[:1]


@pytest.mark.parametrize(
    ("body", "kind", "status", "told"),
    [
        (b"{", "application/json", 400, "Expected JSON"),
        (b"\xff\xfe{", "application/json", 400, "UTF-8"),
        (b'{"image": NaN}', "application/json", 400, "NaN"),
        (b'{"image": [[1e999]]}', "application/json", 400, "finite"),
        (b'{"image": "a", "image": "b"}', "application/json", 400, "twice"),
        (b'{"image": ' + b"[" * 20_000, "application/json", 400, "deep"),
        (b'{"image": ' + b"9" * 5_000 + b"}", "application/json", 400, "Expected JSON"),
        (b'{"image": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json", 400, "Expected"),
        (b"3", "application/json", 400, "object"),
        (b"{}", "application/json", 400, "image missing"),
        (b'{"imago": "x"}', "application/json", 400, "Is 'imago' meant to be 'image'"),
        (b'{"examples": []}', "application/json", 400, "at least one"),
        (b'{"image": "x", "options": 3}', "application/json", 400, "options"),
        (b'{"image": "x", "options": {"beam": 3}}', "application/json", 400, "base64"),
        (b'{"image": null}', "application/json", 400, "picture"),
        (b'{"image": "/etc/hostname"}', "application/json", 400, "base64"),
        (b'{"image": "aGVsbG8="}', "application/json", 400, "picture file"),
        (b'{"image": [[1, 2], [3]]}', "application/json", 400, "pixels"),
        (b"image=x", "application/x-www-form-urlencoded", 415, "multipart"),
        (b"--x", "multipart/form-data", 400, "multipart"),
        (b"--x", "multipart/form-data; boundary=x", 400, "image missing"),
        (b"nothing", "image/png", 400, "picture file"),
        (b"wrong\n1\n", "text/csv", 400, "'image' is missing"),
    ],
)
def test_bad_bodies_are_told_what_is_wrong(
    call: Any, body: bytes, kind: str, status: int, told: str
) -> None:
    answer = call("POST", PATH, content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert told in error["message"], error
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text


def test_an_image_bomb_is_refused_before_it_is_unpacked(call: Any) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100)))
    answer = call("POST", PATH, content=bomb, headers={"content-type": "image/png"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "LimitError"


def test_a_body_over_the_limit_is_refused(call: Any) -> None:
    for size in (300_001, 2_000_000):
        answer = call("POST", PATH, content=bytes(size), headers={"content-type": "image/png"})
        assert answer.status_code == 413
        assert "300,000" in answer.json()["error"]["message"]


def test_an_unknown_model_gets_the_near_miss(call: Any, texts: list[str]) -> None:
    answer = call("POST", "/models/shape/predict", json={"image": texts[0]})
    assert answer.status_code == 404
    assert "Did you mean 'shapes'" in answer.json()["error"]["message"]


def test_explain(call: Any, texts: list[str]) -> None:
    answer = call("POST", "/models/shapes/explain", json={"image": texts[2]})
    told = answer.json()
    assert answer.status_code == 200, told
    assert set(told["prediction"]["label.scores"]) == {"dark", "bright", "square"}
    assert len(told["parts"]) == 49
    assert told["parts"][0]["place"] == [0, 0, 2, 2]
    assert any(part["weight"] != 0 for part in told["parts"])
    assert told["html"].startswith("<div")
    assert "<script" not in told["html"]
    chinese = call("POST", "/models/shapes/explain?lang=zh", json={"image": texts[2]})
    assert "为什么" in chinese.json()["html"]


def test_explain_one_example_by_a_known_method(call: Any, texts: list[str]) -> None:
    answer = call("POST", "/explain", json={"examples": texts[:2]})
    assert answer.status_code == 400
    wrong = {"image": texts[0], "options": {"method": "occlusio"}}
    answer = call("POST", "/explain", json=wrong)
    assert answer.status_code == 400
    assert "occlusion" in answer.json()["error"]["message"]
    right = {"image": texts[0], "options": {"method": "occlusion"}}
    assert call("POST", "/explain", json=right).json()["method"] == "occlusion"


def test_openapi_shows_a_real_example(call: Any) -> None:
    document = call("GET", "/openapi.json").json()
    body = document["paths"][PATH]["post"]["requestBody"]["content"]
    example = body["application/json"]["examples"]["one"]["value"]
    assert labels(call("POST", PATH, json=example))
    assert body["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"


# -- tables --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(in_process: Any) -> Any:
    """A table of numbers and classes; bound, not trained: only its reading is looked at."""
    from lepton_ai.tasks.tabular import Tabular

    rng = np.random.default_rng(0)
    columns = {
        "age": rng.normal(40, 10, 40),
        "job": ["cook", "clerk"] * 20,
        "bought": ["no", "yes"] * 20,
    }
    columns["age"][3] = np.nan
    task = Tabular({"age": Number(), "job": Label()}, {"bought": Label()})
    model = lai.Model(None, task).bind(columns, seed=0)
    hosted = Hosted("shop", model)
    hosted.check()
    return model, in_process(build_app(Shelf([hosted])))


def test_csv_json_and_form_say_the_same(table: Any) -> None:
    model, call = table
    rows = [{"age": 30.5, "job": "cook"}, {"age": None, "job": None}, {"age": 7, "job": "baker"}]
    answer = call("POST", "/predict", json={"examples": rows})
    expected = answer.json()["predictions"]
    assert answer.status_code == 200, answer.text
    text = "job,id,age\r\ncook,1,30.5\r\n,2,\r\nbaker,3,7\r\n"
    found = call("POST", "/predict", content=text, headers={"content-type": "text/csv"})
    assert found.json()["predictions"] == expected
    form = {"age": ["30.5", "", "7"], "job": ["cook", "", "baker"]}
    parts = [(name, (None, value)) for name, values in form.items() for value in values]
    found = call("POST", "/predict", files=parts)
    assert found.json()["predictions"] == expected
    columns = {"age": [30.5, None, 7.0], "job": ["cook", None, "baker"]}
    direct = model.predict(columns)
    assert [row["bought"] for row in expected] == direct["bought"].to_pylist()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "head line"),
        ("age,job\n", "at least one"),
        ("age,jobs\n1,cook\n", "Is 'jobs' meant to be 'job'"),
        ("age,job\n1\n", "line 2"),
        ("age,job\nold,cook\n", "'age'"),
        ("age,job\ninf,cook\n", "finite"),
        ('age,job\n1,"cook\n', "commas"),
    ],
)
def test_bad_tables(table: Any, text: str, told: str) -> None:
    answer = table[1]("POST", "/predict", content=text, headers={"content-type": "text/csv"})
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


def test_the_wrong_example_is_named(table: Any) -> None:
    rows = [{"age": 1, "job": "cook"}, {"age": [1], "job": "cook"}]
    answer = table[1]("POST", "/predict", content=json.dumps(rows))
    assert "'age' of example 1" in answer.json()["error"]["message"]
    form = [("age", (None, "1")), ("age", (None, "2")), ("job", (None, "cook"))]
    answer = table[1]("POST", "/predict", files=form)
    assert "age: 2, job: 1" in answer.json()["error"]["message"]
