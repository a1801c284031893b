"""The examples: shortened where a test must be quick, whole and with their targets where not."""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lepton_ai as lai

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ARTICLE = EXAMPLES / "article.py"
NOTEBOOK = EXAMPLES / "article.ipynb"
FIRST = "Train on 50000 samples, validate on 10000 samples"
LINE = re.compile(
    r"^(\d+)/(\d+) \[=+\] - \d+s \d+ms/step - loss: \d+\.\d{4} - accuracy: [01]\.\d{4}"
    r" - val_loss: \d+\.\d{4} - val_accuracy: [01]\.\d{4}$"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(autouse=True)
def own_workspace(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One workspace for all examples, so that pictures are decoded once."""
    monkeypatch.setenv("LEPTON_HOME", str(home))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return home


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- shortened -----------------------------------------------------------------------------------

SHORT: dict[str, tuple[dict[str, int], Callable[[Any], Any]]] = {
    # arguments of main, and the figure of ours in what it returns
    "news_topics": ({"epochs": 1, "examples": 800}, lambda found: found[0]),
    "chinese_reviews": ({"epochs": 1, "examples": 300}, lambda found: found[0]),
    "parts_of_speech": ({"epochs": 1, "examples": 300}, lambda found: found["accuracy"]),
    "tile_defects": ({"epochs": 1, "examples": 48}, lambda found: found),
    "digits": ({"epochs": 1}, lambda found: found),
    "tables": ({"seeds": 1}, lambda found: found["breast_cancer"][0]),
}


def test_every_example_is_tested_and_described() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {*SHORT, "article"}
    told = (EXAMPLES / "README.md").read_text(encoding="utf8")
    for name in names:
        assert f"`{name}.py`" in told


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(SHORT))
def test_an_example_runs_shortened(
    name: str, data_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, figure = SHORT[name]
    found = figure(example(name).main(**arguments))
    assert 0 <= found <= 1
    assert capsys.readouterr().out.count("\n") >= 1


# -- whole, with their targets ---------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.data
def test_news_topics_are_as_good_as_a_linear_model(data_home: Path) -> None:
    ours, linear = example("news_topics").main()
    assert linear > 0.96
    assert ours >= linear - 0.005


@pytest.mark.long
@pytest.mark.data
def test_chinese_reviews_reach_their_target(data_home: Path) -> None:
    ours, linear = example("chinese_reviews").main()
    assert linear > 0.83
    assert ours >= 0.85


@pytest.mark.long
def test_tables_are_not_worse_than_linear_models() -> None:
    for name, (ours, linear) in example("tables").main().items():
        assert ours >= linear - 0.01, name


@pytest.mark.long
@pytest.mark.data
def test_parts_of_speech_reach_their_target(data_home: Path) -> None:
    found = example("parts_of_speech").main()
    assert found["accuracy"] >= 0.95
    assert found["accuracy"] > found["majority"]
    assert found["unknown_words"] > 0.5


@pytest.mark.long
@pytest.mark.data
def test_tile_defects_reach_their_target(data_home: Path) -> None:
    assert example("tile_defects").main() >= 0.45


@pytest.mark.long
@pytest.mark.data
def test_digits_reach_their_target(data_home: Path) -> None:
    assert example("digits").main() >= 0.97


# -- the article's program -----------------------------------------------------------------------


def cells() -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf8"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_the_program_is_the_same_everywhere() -> None:
    source = ARTICLE.read_text(encoding="utf8")
    assert "\n".join(cells()) + "\n" == source
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf8")
    assert f"```python\n{source}```\n" in page


def test_the_notebook_is_valid_and_without_outputs() -> None:
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "code"
        assert cell.outputs == []
        assert cell.execution_count is None


def check_lines(output: str, *, train: int, test: int, epochs: int) -> float:
    """The lines that the article shows, each in its place; returns the accuracy."""
    lines = output.strip().splitlines()
    assert f"Train on {train} samples, validate on {test} samples" in lines, output
    lines = lines[lines.index(f"Train on {train} samples, validate on {test} samples") :]
    titles = [line for line in lines if line.startswith("Epoch ")]
    assert titles == [f"Epoch {number}/{epochs}" for number in range(1, epochs + 1)]
    matched = [match for match in map(LINE.match, lines) if match]
    assert len(matched) == epochs, output
    assert all(match.groups() == (str(train), str(train)) for match in matched)
    last = re.fullmatch(r"Test accuracy: (\d\.\d\d)", lines[-1])
    assert last is not None, lines[-1]
    return float(last[1])


@pytest.mark.data
def test_the_article_runs_shortened(
    data_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The source as it is, but for the number of epochs; the data sets cut to their beginning."""
    import matplotlib.pyplot as plt

    whole = lai.datasets.load_image_dataset
    first = {"train": 2000, "test": 500}
    monkeypatch.setattr(
        lai.datasets, "load_image_dataset", lambda split, name: whole(split, name)[: first[split]]
    )
    source = ARTICLE.read_text(encoding="utf8")
    assert source.count("epochs=10") == 1
    code = compile(source.replace("epochs=10", "epochs=1"), str(ARTICLE), "exec")
    names: dict[str, Any] = {"__name__": "__main__"}
    with pytest.warns(lai.errors.LeptonWarning, match="random transforms"):
        exec(code, names)  # noqa: S102
    accuracy = check_lines(capsys.readouterr().out, train=2000, test=500, epochs=1)
    assert 0.1 < accuracy < 0.7
    assert set(names["history"].history) >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(plt.gcf().axes) == 2
    assert [len(axes.lines) for axes in plt.gcf().axes] == [2, 2]
    plt.close("all")


@pytest.mark.long
@pytest.mark.data
def test_the_article_runs_whole_and_unchanged(data_home: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, str(ARTICLE)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == FIRST, result.stdout
    assert check_lines(result.stdout, train=50000, test=10000, epochs=10) >= 0.64


@pytest.mark.long
@pytest.mark.data
@pytest.mark.filterwarnings("ignore:.*random transforms:lepton_ai.errors.LeptonWarning")
@pytest.mark.parametrize(("transforms", "target"), [(True, 0.66), (False, 0.67)])
def test_the_articles_network_reaches_its_target(
    transforms: bool, target: float, data_home: Path
) -> None:
    """Median of three seeds, which the program itself does not set."""
    source = ARTICLE.read_text(encoding="utf8").split("plt.figure")[0]
    if not transforms:
        source = re.sub(r"^.*apply_transforms.*\n", "", source, flags=re.M)
    found = []
    for seed in range(3):
        changed = source.replace("epochs=10", f"epochs=10, seed={seed}, verbose=0")
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(changed, str(ARTICLE), "exec"), names)  # noqa: S102
        found.append(names["test_accuracy"])
    assert statistics.median(found) >= target, found


@pytest.mark.long
@pytest.mark.data
def test_the_notebook_runs_whole(data_home: Path, tmp_path: Path, monkeypatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.delenv("MPLBACKEND", raising=False)  # a notebook has its own

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [out for cell in notebook.cells for out in cell.outputs]
    printed = ""
    for out in outputs:  # progress is one display, brought up to date in its place
        if out.output_type == "stream" and out.name == "stdout":
            printed += out.text
        elif out.output_type == "display_data" and "image/png" not in out.data:
            printed += out.data["text/plain"] + "\n"
    assert check_lines(printed, train=50000, test=10000, epochs=10) >= 0.64
    assert any("image/png" in out.get("data", {}) for out in outputs)
