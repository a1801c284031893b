"""The door: hosts, origins, headers, limits, failures that tell nothing."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lepton_ai.serving
from lepton_ai.serving.app import Pool, build_app
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.limits import Limits

PAGES = Path(lepton_ai.serving.__file__).parent / "pages"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_own_names_are_let_in(call: Any, host: str) -> None:
    assert call("GET", "/v2", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "10.0.0.1"]
)
def test_foreign_names_are_not(call: Any, host: str) -> None:
    answer = call("GET", "/models", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "ServiceError"


def test_plain_addresses_are_good_names_where_others_may_call(
    shelf: Shelf, in_process: Any
) -> None:
    call = in_process(build_app(shelf, hosts=["box.example"], addresses=True))
    for host in ("10.0.0.1:8000", "box.example"):
        assert call("GET", "/v2", headers={"host": host}).status_code == 200
    assert call("GET", "/v2", headers={"host": "evil.example"}).status_code == 400


def test_pages_of_other_sites_change_nothing(call: Any, texts: list[str]) -> None:
    body = {"image": texts[0]}
    for origin in ("http://evil.example", "null", "http://localhost:81"):
        answer = call("POST", "/predict", json=body, headers={"origin": origin})
        assert answer.status_code == 403
    for origin in ("http://localhost", "https://localhost"):
        answer = call("POST", "/predict", json=body, headers={"origin": origin})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/models/shapes", "/static/model.js", "/v2", "/nowhere", "/predict"]
)
def test_every_answer_has_safe_headers(call: Any, path: str) -> None:
    answer = call("GET", path, headers={"accept": "text/html"})
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert len(answer.headers["x-request-id"]) == 16
    assert "access-control-allow-origin" not in answer.headers


def test_paths_and_verbs_that_are_not_there(call: Any) -> None:
    assert call("GET", "/docs").status_code == 404
    assert call("GET", "/static/../service.py").status_code == 404
    assert call("GET", "/static/%2e%2e%2fservice.py").status_code == 404
    assert call("GET", "/static/model.html").status_code == 404
    answer = call("GET", "/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert isinstance(call("GET", "/v2/nowhere").json()["error"], str)


class Failing:
    """A model that fails in a way that nobody foresaw."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def ready(self) -> Any:
        return self

    def predict(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("secret inside")


def test_a_failure_is_logged_and_not_told(
    model: Any, in_process: Any, texts: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    hosted = Hosted("shapes", Failing(model))
    hosted.ready = True
    call = in_process(build_app(Shelf([hosted])))
    with caplog.at_level(logging.ERROR, logger="lepton_ai.serving"):
        answer = call("POST", "/predict", json={"image": texts[0]})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    error = answer.json()["error"]
    assert error["request_id"] in error["message"]
    assert error["request_id"] in caplog.text
    assert "secret inside" in caplog.text


def test_nothing_is_predicted_before_the_check(
    model: Any, in_process: Any, texts: list[str]
) -> None:
    call = in_process(build_app(Shelf([Hosted("shapes", model)])))
    assert call("GET", "/v2/health/live").status_code == 200
    assert call("GET", "/v2/health/ready").status_code == 503
    assert call("GET", "/v2/models/shapes/ready").status_code == 503
    assert call("POST", "/predict", json={"image": texts[0]}).status_code == 503
    assert call("GET", "/v2/models/shapes").status_code == 503


def test_calls_beyond_the_queue_are_refused_at_once(
    model: Any, in_process: Any, texts: list[str]
) -> None:
    hosted = Hosted("shapes", model)
    hosted.ready = True
    limits = Limits(waiting=1)
    pool = Pool(limits)
    call = in_process(build_app(Shelf([hosted], limits), pool=pool))
    answers: list[Any] = []
    with hosted.lock:
        first = threading.Thread(
            target=lambda: answers.append(call("POST", "/predict", json={"image": texts[0]}))
        )
        first.start()
        while not pool.waiting:
            time.sleep(0.001)
        second = call("POST", "/predict", json={"image": texts[0]})
        live = call("GET", "/v2/health/live")
    first.join()
    assert second.status_code == 503
    assert second.headers["retry-after"] == "1"
    assert live.status_code == 200
    assert answers[0].status_code == 200


# -- pages ---------------------------------------------------------------------------------------


def test_index_and_page_speak_the_readers_language(call: Any) -> None:
    html = {"accept": "text/html"}
    assert 'lang="en"' in call("GET", "/", headers=html).text
    chinese = {**html, "accept-language": "fr, zh-CN;q=0.9, en;q=0.5"}
    answer = call("GET", "/models/shapes", headers=chinese)
    assert 'lang="zh"' in answer.text
    assert answer.headers["content-language"] == "zh"
    assert 'lang="en"' in call("GET", "/models/shapes?lang=en", headers=chinese).text
    assert call("GET", "/models/nothing", headers=html).status_code == 404


def test_lists_and_cards_are_json_for_programs(call: Any) -> None:
    (model,) = call("GET", "/", headers={"accept": "application/json"}).json()["models"]
    assert model["name"] == "shapes"
    assert model["checked"] == 8
    card = call("GET", "/models/shapes/card").json()
    assert card["inputs"][0]["widget"] == "image"
    assert card["outputs"][0]["classes"] == ["bright", "dark", "square"]
    assert card["code"]["curl"] == (
        "curl -F image=@image.png http://localhost/models/shapes/predict"
    )
    assert len(call("GET", "/models/shapes/examples").json()["examples"]) == 6


def test_static_files_are_kept_by_the_browser(call: Any) -> None:
    first = call("GET", "/static/style.css")
    assert first.headers["content-type"].startswith("text/css")
    again = call("GET", "/static/style.css", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_both_languages_have_every_text() -> None:
    texts = json.loads((PAGES / "strings.json").read_text(encoding="utf8"))
    english, chinese = texts["en"], texts["zh"]
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
        assert text.strip()
        assert chinese[key].strip()
    sources = "".join(p.read_text(encoding="utf8") for p in PAGES.glob("*.[jh][st]*"))
    used = set(re.findall(r'(?:\bt\(|data-t[-\w]*=)"(\w+)"', sources))
    assert used <= set(english)
    spoken = used | set(re.findall(r'"(\w+)"', sources)) | {"language"}
    unused = {key for key in english if key not in spoken and not key.startswith("widget_")}
    assert not unused


def test_pages_ask_no_other_machine_and_run_no_inline_script() -> None:
    for file in PAGES.iterdir():
        text = file.read_text(encoding="utf8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), file.name
        assert "innerHTML" not in text.replace("without innerHTML", ""), file.name
        if file.suffix == ".html":
            assert not re.search(r"<script(?![^>]*src=)|\son\w+=|<style|javascript:", text)
