"""The main job: the whole way for real, shortened; its figures in full where there is time."""

from __future__ import annotations

import io
import json
import statistics
import string

import httpx
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

import lepton_ai as lai
from lepton_ai.cli import app, recipe, words
from lepton_ai.cli.output import Output
from lepton_ai.cli.tour import NAME, STEPS, Tour


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """One shortened run of the whole way; the service is open while the tests run."""
    stream = io.StringIO()
    home = tmp_path_factory.mktemp("demo")
    tour = Tour(Output(False, stream), workspace=home, epochs=1, port=0, budget=4)
    document = tour.run()
    yield tour, document, stream.getvalue()
    tour.service.stop()


def test_each_step_is_told_in_one_line_with_what_was_measured(toured):
    _, document, said = toured
    assert [step["step"] for step in document["steps"]] == list(STEPS)
    for place in range(1, len(STEPS) + 1):
        lines = [line for line in said.splitlines() if line.startswith(f"{place:>2}/{len(STEPS)} ")]
        assert len(lines) == 1
        assert lines[0].endswith(" s)")
    assert json.loads(json.dumps(document)) == document


def test_it_learns_and_says_how_sure_the_figure_is(toured):
    tour, document, said = toured
    low, high = document["interval"]
    assert low < document["accuracy"] < high
    assert document["accuracy"] > 0.6  # one epoch in the place of fourteen
    assert f"{document['accuracy']:.4f}" in said
    assert tour.model.run.epochs == 1


def test_everything_that_lasts_is_in_the_workspace(toured):
    tour, document, _ = toured
    stored = lai.Dataset.open(NAME, workspace=tour.workspace)
    assert len(stored) == 10_000
    model = lai.load(document["model"])
    index = 7
    picture = tour.test[index]["image"]
    assert model.predict(picture)["label"] == tour.model.predict(picture)["label"]
    page = (tour.workspace.path / "reports" / document["run"] / "report.html").read_text()
    for part in ("<svg", "data:image/png;base64", "samples", "optimization"):
        assert part in page
    assert "http://" not in page.replace(document["url"], "").replace("http://www.w3.org", "")
    png = tour.workspace.path / "reports" / document["run"] / "explanation.png"
    with Pillow.open(png) as drawn:
        assert min(drawn.size) > 100


def test_the_service_answers_a_stranger(toured):
    tour, document, _ = toured
    buffer = io.BytesIO()
    picture = tour.test[11]["image"]
    Pillow.fromarray(picture).save(buffer, format="PNG")
    answer = httpx.post(
        f"{document['url']}/models/{NAME}/predict",
        files={"image": ("p.png", buffer.getvalue(), "image/png")}, timeout=60,
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == tour.faster.predict(picture)["label"]
    asked = {"Accept": "text/html"}
    page = httpx.get(f"{document['url']}/models/{NAME}", headers=asked, timeout=60)
    assert page.status_code == 200
    assert "<html" in page.text


def test_the_network_is_the_articles():
    layers = [type(layer).__name__ for layer in recipe.network().layers]
    assert layers.count("Conv2D") == 2
    assert layers.count("MaxPooling2D") == 2
    kernels = [tuple(layer.kernel_size) for layer in recipe.network().layers
               if type(layer).__name__ == "Conv2D"]  # fmt: skip
    assert kernels == [(3, 3), (3, 3)]


def test_both_languages_say_the_same_things():
    for key, (english, chinese) in words._LINES.items():
        names = [
            {name for _, name, _, _ in string.Formatter().parse(line) if name}
            for line in (english, chinese)
        ]
        assert names[0] == names[1], key


def test_the_language_follows_the_environment(monkeypatch):
    monkeypatch.setenv("LEPTON_LANGUAGE", "zh_CN")
    assert words.DemoWords()("check") == "质量检查"
    monkeypatch.setenv("LEPTON_LANGUAGE", "fr")
    assert words.DemoWords()("check") == "quality gate"


@pytest.mark.long
@pytest.mark.data
def test_the_median_of_five_seeds_on_all_test_pictures(data_home):
    training = lai.datasets.load(NAME, "train")
    test = lai.datasets.load(NAME, "test", full=True)
    figures = []
    for seed in range(5):
        model = recipe.network()
        model.fit(training, seed=seed, epochs=recipe.EPOCHS, verbose=0, **recipe.SETTINGS)
        figures.append(lai.evaluate(model, test)["accuracy"])
    assert statistics.median(figures) >= 0.88, figures


@pytest.mark.long
def test_the_command_prints_one_document(tmp_path):
    result = CliRunner().invoke(
        app, ["demo", "--epochs", "1", "--no-serve", "--port", "0", "--json", "--workspace",
              str(tmp_path)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["url"] is None
    assert len(told["steps"]) == len(STEPS)
