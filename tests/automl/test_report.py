"""The report: one page for any task, safe, complete in itself, in two languages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.automl.report import report
from lepton_ai.automl.report_charts import confusion_table, line_chart, scatter_chart
from lepton_ai.automl.report_evaluation import judge
from lepton_ai.automl.report_page import Words
from lepton_ai.data.dataset import Dataset
from lepton_ai.errors import ConfigError, DataError
from lepton_ai.tasks import ImageClassification

BAD = "<script>alert(1)</script>"
VOID = {"meta", "img", "br", "line", "circle", "polyline", "path", "rect"}


class Outline(HTMLParser):
    """The tags of a page, and whether each that opens is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "srcset", "poster", "data", "action", "background"):
                self.addresses.append(value or "")
            assert not name.startswith("on"), f"{tag} runs code on {name}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag, f"</{tag}> closes another tag"


def read(path: Path) -> tuple[str, Outline]:
    text = path.read_text(encoding="utf8")
    outline = Outline()
    outline.feed(text)
    assert not outline.open, outline.open
    assert "script" not in outline.seen
    assert "link" not in outline.seen
    assert all(a.startswith("data:") for a in outline.addresses)
    assert not re.search(r"url\(|@import", text)
    return text, outline


def pictures(count: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    column = rng.integers(0, 255, (count, 8, 8), dtype=np.uint8)
    return {"image": column, "label": [BAD, "cat", "dog"] * (count // 3)}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model = lai.Model("convnet", ImageClassification(), filters=(4,))
    place = tmp_path_factory.mktemp("workspace")
    data = Dataset(pictures(24), name=f"pets {BAD}")
    model.fit(data, validation_data=pictures(12, 1), epochs=2, seed=0, verbose=0, workspace=place)
    return model


def everything(model: Any) -> dict[str, Any]:
    """All that a report can be given, each with something in it that must be escaped."""
    finding = SimpleNamespace(
        check="label_errors", severity="blocks", message=f"9 of 24 {BAD}", rows=np.arange(9),
        fix="relabel", column="label",
    )  # fmt: skip
    return {
        "data": Dataset(pictures(24)),
        "test": Dataset(pictures(30, 2)),
        "gate": SimpleNamespace(passed=False, findings=[finding]),
        "explanation": lai.explain(model, pictures(3)["image"][0]),
        "optimization": SimpleNamespace(to_html=lambda: "<table><tr><td>int8</td></tr></table>"),
        "served": "http://127.0.0.1:8000",
    }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_whole_report_holds_every_section(fitted: Any, tmp_path: Path, language: str) -> None:
    path = report(fitted, **everything(fitted), path=tmp_path / "r.html", language=language)
    text, outline = read(path)
    sections = ["asked", "samples", "gate", "curves", "evaluation", "explanation", "optimization",
                "serving"]  # fmt: skip
    assert [i for i in outline.ids if i] == sections
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in text
    words = Words(language)
    for key in sections:
        assert f"<h2>{words(key)} " in text
    assert fitted.run.id in text
    assert fitted.run.data["digest"] in text
    assert BAD not in text
    assert "int8" in text
    assert "curl http://127.0.0.1:8000/predict -F image=@image.png" in text


def test_the_figures_are_those_of_evaluate(fitted: Any, tmp_path: Path) -> None:
    test = Dataset(pictures(30, 2))
    found = judge(fitted, test)
    figures = lai.evaluate(fitted, test)
    for name, (value, _, _) in found.figures.items():
        assert value == pytest.approx(figures[name], abs=1e-6)
    name, value, interval = found.headline
    assert name == "accuracy"
    assert interval is not None
    assert interval[0] < value < interval[1]
    text, _ = read(report(fitted, test=test, path=tmp_path / "r.html"))
    assert f"{value:.3f}" in text
    assert f"{interval[0]:.3f} … {interval[1]:.3f}" in text


def test_the_confusions_are_counted(tmp_path: Path) -> None:
    """Against counting by hand, with a predictor whose answers are known."""

    class Known:
        task = ImageClassification(["a", "b", "c"])

        def predict(self, examples: Any, **options: Any) -> dict[str, Any]:
            said = ["a", "b", "b", "c", "a", "c"]
            scores = np.full((6, 3), 0.1)
            scores[np.arange(6), ["abc".index(s) for s in said]] = [0.8, 0.8, 0.9, 0.8, 0.5, 0.7]
            return {"label": pa.array(said), "label.scores": scores}

    data = {"image": np.zeros((6, 8, 8), np.uint8), "label": ["a", "b", "a", "c", "c", "a"]}
    text, _ = read(report(Known(), test=data, path=tmp_path / "r.html"))
    rows = re.findall(r'<tr><th class="row" scope="row">(\w)</th>(.*?)</tr>', text)
    counts = {name: [int(n) for n in re.findall(r">(\d+)</td>", cells)] for name, cells in rows}
    assert counts == {"a": [1, 1, 1], "b": [0, 1, 0], "c": [1, 0, 1]}
    surest = re.findall(r'<span class="given">(\w)</span> → <b>(\w)</b> ([\d.]+)', text)
    assert surest == [("a", "b", "0.90"), ("a", "c", "0.70"), ("c", "a", "0.50")]


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_every_task_gets_its_report(name: str, tmp_path: Path) -> None:
    task = registry.lookup("tasks", name).example()
    columns = task.sample(np.random.default_rng(0), 12)
    network = None
    if "backbone" not in task.training_recipe(Dataset(columns)):
        network = torch.nn.Linear(4, 1)
    model = lai.Model(network, task)
    model.fit(columns, epochs=1, seed=0, verbose=0, workspace=tmp_path / "workspace")
    example = {key: Dataset(columns, task.inputs | task.outputs)[0][key] for key in task.inputs}
    path = report(
        model, data=columns, test=columns, explanation=lai.explain(model, example),
        served="http://127.0.0.1:1", path=tmp_path / "r.html",
    )  # fmt: skip
    text, outline = read(path)
    assert {"asked", "samples", "curves", "evaluation", "explanation", "serving"} <= set(
        outline.ids
    )
    assert ("confusion" in text.split("</style>")[1]) == (
        bool(getattr(task.outputs[task.target], "classes", None))
        and isinstance(model.predict(columns)[task.target], pa.Array)
    )


def test_a_report_of_a_model_alone(fitted: Any, tmp_path: Path) -> None:
    text, outline = read(report(fitted, path=str(tmp_path / "alone.html")))
    assert outline.ids == ["asked", "curves"]
    assert "no test data was given" in text


def test_what_cannot_be_reported_is_said(fitted: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="en, zh; received 'de'"):
        report(fitted, path=tmp_path / "r.html", language="de")
    with pytest.raises(ConfigError, match="Expected a model"):
        report(None, path=tmp_path / "r.html")
    with pytest.raises(DataError, match="label"):
        report(fitted, test={"image": pictures(3)["image"]}, path=tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_both_languages_say_everything() -> None:
    words = json.loads(
        (Path(lai.__file__).parent / "automl" / "report_words.json").read_text("utf8")
    )
    for key, said in words.items():
        assert len(said) == 2, key
        assert all(said), key
        fields = [set(re.findall(r"\{(\w+)\}", text)) for text in said]
        assert fields[0] == fields[1], key


def test_lines_stay_inside_and_labels_apart() -> None:
    svg = line_chart(
        [("training", [1.0, 0.5, 0.5]), ("validation", [1.2, 0.5, float("nan")])],
        across="round", name=BAD,
    )  # fmt: skip
    assert BAD not in svg
    heights = [float(y) for y in re.findall(r'class="\w+-label" x="[\d.]+" y="([\d.]+)"', svg)]
    assert abs(heights[0] - heights[1]) >= 14 - 1e-6
    numbers = [float(v) for v in re.findall(r'c[xy]="(-?[\d.]+)"', svg)]
    assert min(numbers) >= 0
    assert svg.count("<circle") == 5
    assert line_chart([("training", [float("nan")])], across="round", name="loss") == ""


def test_points_on_the_line_are_on_the_line() -> None:
    svg = scatter_chart([1, 2, 3], [1, 2, 3], across="expected", up="predicted")
    points = np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', svg), dtype=float)
    assert len(points) == 3
    assert np.ptp(points.sum(axis=1)) < 0.3
    assert scatter_chart([], [], across="a", up="b") == ""


def test_the_confusion_table_tints_by_share() -> None:
    html = confusion_table(np.array([[8, 2], [0, 0]]), ["a", BAD])
    assert BAD not in html
    assert "80.0%" in html
    assert html.count('class="none"') == 2
