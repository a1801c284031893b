"""The report: text and page, in two languages and in the colours of where it is shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import lepton_ai as lai
from lepton_ai.errors import ArtifactError, ConfigError
from lepton_ai.optimization import Candidate, Report
from lepton_ai.optimization.measuring import Timing
from lepton_ai.optimization.wording import _WORDS, Said, say

CALM = Timing(
    1, 0.5, 0.6, 0.5, 0.6, 1.0, 31, 0.98, 1.02, 0.5, 0.5, 1.0, (0.98, 1.02)
)  # fmt: skip
QUICK = Timing(
    1, 0.2, 0.3, 0.5, 0.6, 2.5, 31, 2.4, 2.6, 0.21, 0.5, 2.38, (0.98, 1.02)
)  # fmt: skip


def candidate(name: str, verdict: str, told: Said | None = None, **more) -> Candidate:
    made = Candidate(name, "float32", 0.9, (0.85, 0.94), 0.0, megabytes=1.0, **more)
    return made.because(verdict, told)


@pytest.fixture
def report() -> Report:
    slow = Said("slower", {"size": "1", "speedup": "0.50"})
    made = Report(
        "task", "accuracy", True, 96, 0.01, 1.2, 60.0, 0, {"processor": "P", "threads": 1}
    )
    made.candidates = [
        candidate("original", "original", timings=[CALM]),
        candidate("openvino", "chosen", timings=[QUICK]),
        candidate("onnxruntime", "refused", slow, timings=[replace(QUICK, speedup=0.5)]),
        candidate("onnxruntime_int8", "failed", Said("as_told", {"text": "TypeError: <b>"})),
        candidate("other", "refused", Said("again", {"reason": slow})),
    ]
    made.chosen = "openvino"
    made.said = Said("chosen", {
        "name": "openvino", "speedup": "2.50", "low": "2.40", "high": "2.60", "calm_low": "0.98",
        "calm_high": "1.02", "metric": "accuracy", "figure": "0.9000", "before": "0.9000",
    })  # fmt: skip
    made.reason = made.said.text()
    made.notes = [Said("one_thread", {"threads": "2"})]
    made.whole = [replace(QUICK, noise=None)]
    return made


def test_the_report_shows_itself(fast):
    report = fast.optimization
    text = report.to_text()
    assert report.chosen in text
    assert len({len(row) for row in [report.header(), *report.rows()]}) == 1
    page = report._repr_html_()
    drawing = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314
    marks = [mark for mark in drawing.iter() if mark.tag.endswith("title")]
    assert len(marks) == len([c for c in report.candidates if c.timings])
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert Report.from_json(told) == report
    assert Report.from_json(told).to_text(language="zh") == report.to_text(language="zh")
    with pytest.raises(ArtifactError, match="report"):
        Report.from_json({"task": "x"})


def test_the_noise_and_the_intervals_are_told(report):
    for text in (report.to_text(), report.to_html()):
        assert "beside itself the original seems 0.98 to 1.02 (batch 1, 31 rounds)" in text
        assert "1.00 (0.98 to 1.02)" in text
        assert "2.50 (2.40 to 2.60)" in text
        assert "In processor time openvino is 2.38 (batch 1) times as fast." in text
        assert "2 threads were too noisy" in text
    told = report.to_json()["candidates"][1]["timings"][0]
    assert told["noise"] == [0.98, 1.02]
    assert (told["low"], told["high"], told["cpu_speedup"]) == (2.4, 2.6, 2.38)


def test_a_report_of_an_earlier_version_can_be_read(report):
    told = report.to_json()
    kept = ("batch_size", "median", "p95", "original", "original_p95", "speedup", "rounds")
    for entry in told["candidates"]:
        entry.pop("said")
        entry["timings"] = [{key: t[key] for key in kept} for t in entry["timings"]]
    told["whole"] = []
    told.pop("said")
    told.pop("notes")
    again = Report.from_json(told)
    assert again["openvino"].speedup == 2.5
    assert again["openvino"].range == (2.5, 2.5)
    assert again.reason in again.to_text(language="zh")
    assert "beside itself" not in again.to_text().splitlines()[-1]


@pytest.mark.parametrize(
    "told",
    [{"key": "no_such"}, {"key": "no_such", "values": {}}, {"key": "slower", "values": {}},
     {"key": "slower", "values": None}, {"key": [], "values": {}}, "slower", None,
     {"key": "again", "values": {"reason": {"key": "no_such", "values": {}}}}],
)  # fmt: skip
def test_what_cannot_be_said_is_left_out(told, report):
    assert Said.from_json(told) is None
    given = report.to_json()
    given["said"] = told
    assert report.reason in Report.from_json(given).to_html(language="zh")


def test_names_are_escaped(report):
    report.candidates[1].name = "<b>&"
    for language in ("en", "zh"):
        page = report.to_html(language=language)
        assert "<b>" not in page
        assert "&lt;b&gt;&amp;" in page


def test_it_speaks_chinese(report):
    page, text = report.to_html(language="zh"), report.to_text(language="zh")
    assert 'lang="zh-CN"' in page
    for told in (page, text):
        assert "openvino 的速度为原模型的 2.50 倍" in told
        assert "批量 1 时比原模型慢：速度为 0.50 倍" in told
        assert "复测：批量 1 时比原模型慢" in told
        assert "2.50（2.40 至 2.60）" in told
        assert "准确率" in told
    seen = re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.DOTALL)
    known = {"openvino", "onnxruntime", "onnxruntime_int8", "original", "other", "P", "MB", "p95",
             "predict", "TypeError", "int8"}  # fmt: skip
    assert set(re.findall(r"[A-Za-z_]{2,}\d*", seen)) - known <= {"lt", "gt"}
    with pytest.raises(ConfigError, match="Did you mean 'zh'"):
        report.to_html(language="zhh")


def test_every_sentence_has_the_same_values_in_both_languages():
    for key, (english, chinese) in _WORDS.items():
        names = [sorted(re.findall(r"{(\w+)}", text)) for text in (english, chinese)]
        assert names[0] == names[1], key
    assert say("drops", "zh", metric="accuracy", drop="1", bound="2").startswith("准确率")


def test_the_page_takes_the_colours_of_where_it_is(report):
    page = report.to_html()
    style = page[page.index("<style>") : page.index("</style>")]
    rest = page.replace(style, "")
    assert "@media(prefers-color-scheme:dark)" in style
    for name in ("ink", "quiet", "line", "soft"):
        assert style.count(f"--o-{name}:var(--{name},") == 4
    assert not re.findall(r"#[0-9a-fA-F]{3,6}\b", rest)
    assert "background:#" not in style
    used = set(re.findall(r"var\((--o-\w+)\)", style))
    assert used == set(re.findall(r"(--o-\w+):", style))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize(
    ("place", "ground"), [(0, "#ffffff"), (1, "#171c23"), (0, "#f6f7f9"), (1, "#0f1318")]
)
def test_its_letters_can_be_read_on_light_and_dark(report, place, ground):
    """A contrast of 4.5 is what WCAG 2.1 (2018) asks of text."""
    found = {}
    for name in ("ink", "quiet", "chosen", "good", "refused"):
        colours = re.findall(rf"--o-{name}:(?:var\(--{name},)?(#[0-9a-f]{{6}})", report.to_html())
        found[name] = colours[place]
    for name, colour in found.items():
        light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_the_whole_report_hands_its_language_on(fast, held_out, tmp_path):
    path = lai.report(
        fast, test=held_out, path=tmp_path / "report.html", language="zh",
    )  # fmt: skip
    page = Path(path).read_text(encoding="utf8")
    assert fast.optimization.to_html(language="zh") in page
