"""The commands, run in the process; one JSON document each where a machine reads."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Pillow
from typer.testing import CliRunner

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.cli import app


def lepton(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def document(*arguments, code=0):
    """Standard output is one JSON document and nothing else."""
    return json.loads(lepton(*arguments, "--json", code=code).stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of pictures, a table, and a model of each."""
    root = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    for index in range(40):
        label = ["day", "night"][index % 2]
        picture = rng.integers(0, 90, (12, 12), dtype=np.uint8) + (120 if label == "day" else 0)
        (root / "photos" / label).mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture.astype(np.uint8)).save(root / "photos" / label / f"{index}.png")
    rows = ["area,rooms,sold"]
    for index in range(60):
        area = rng.uniform(30, 200)
        rows.append(f"{area:.1f},{index % 5},{'yes' if area > 110 else 'no'}")
    (root / "houses.csv").write_text("\n".join(rows) + "\n")
    (root / "new.csv").write_text("area,rooms\n40,1\n190,2\n")
    for source, model in (("photos", "sky"), ("houses.csv", "sale")):
        trained = lai.train(root / source, epochs=2, verbose=0, workspace=root / "ws")
        trained.save(root / model)
    return root


def test_help_lists_the_commands():
    said = lepton("--help").stdout
    for command in ("demo", "data", "fit", "evaluate", "predict", "explain", "optimize", "serve",
                    "runs"):  # fmt: skip
        assert command in said


@pytest.mark.parametrize(
    "command",
    ["demo", "data", "data describe", "data check", "fit", "evaluate", "predict", "explain",
     "optimize", "serve", "runs", "runs show"],
)  # fmt: skip
def test_every_command_has_help_and_a_machine_form(command):
    assert "--json" in lepton(*command.split(), "--help").stdout


def test_named_data_sets_are_listed():
    assert "fashion_mnist" in lepton("data").stdout
    found = {entry["name"] for entry in document("data")}
    assert found <= set(registry.names("datasets"))
    assert "cifar10" in found


def test_describe_says_what_is_there(place):
    told = document("data", "describe", place / "houses.csv")
    assert told["examples"] == 60
    assert set(told["fields"]) == {"area", "rooms", "sold"}
    assert "first example" in lepton("data", "describe", place / "photos").stdout


def test_check_has_an_exit_code_of_its_own(place, tmp_path):
    assert document("data", "check", place / "houses.csv")["passed"] is True
    bad = tmp_path / "bad.csv"
    bad.write_text("area,label\n" + "\n".join(f"{n}.5,{'no' if n else 'yes'}" for n in range(20)))
    told = document("data", "check", bad, code=3)
    assert told["passed"] is False
    assert "single_example_classes" in {f["check"] for f in told["findings"]}
    assert "failed" in lepton("data", "check", bad, code=3).stdout
    result = lepton("fit", bad, code=3)
    assert "single_example_classes" in result.stderr
    assert result.stderr.count("\n") == 1


def test_fit_saves_a_model_that_answers(place, tmp_path):
    told = document(
        "fit", place / "houses.csv", "--target", "sold", "--epochs", "2", "--out",
        tmp_path / "model", "--workspace", tmp_path / "ws",
    )  # fmt: skip
    assert told["examples"] == 12
    assert lai.load(tmp_path / "model").task.target == "sold"
    runs = document("runs", "--workspace", tmp_path / "ws")
    assert [run["id"] for run in runs] == [told["run"]]
    shown = document("runs", "show", told["run"], "--workspace", tmp_path / "ws")
    assert len(shown["history"]["loss"]) == 2
    assert told["run"] in lepton("runs", "--workspace", tmp_path / "ws").stdout
    assert (
        "epoch" in lepton("runs", "show", told["run"][:15], "--workspace", tmp_path / "ws").stdout
    )


def test_fit_without_a_place_keeps_the_model_by_its_run(place, own_workspace):
    told = document("fit", place / "photos", "--epochs", "1", "--backbone", "ConvNet")
    picture = next((place / "photos" / "day").glob("*.png"))
    assert document("predict", told["run"], picture)["predictions"][0]["label"] in ("day", "night")


def test_fit_tells_people_what_it_guesses(place):
    said = lepton("fit", place / "photos", "--epochs", "1").stdout
    for word in ("target:", "task:", "gate:", "split:", "result:", "saved:"):
        assert word in said


def test_evaluate_gives_figures_with_intervals(place):
    told = document("evaluate", place / "sky", place / "photos")
    assert told["examples"] == 40
    low, high = told["intervals"]["accuracy"]
    assert low <= told["figures"]["accuracy"] <= high
    model = lai.load(place / "sky")
    expected = lai.evaluate(model, lai.Dataset.read(place / "photos"))["accuracy"]
    assert told["figures"]["accuracy"] == pytest.approx(expected)


def test_predict_reads_pictures_tables_and_objects(place):
    pictures = sorted((place / "photos" / "night").glob("*.png"))[:3]
    told = document("predict", place / "sky", *pictures)["predictions"]
    assert [one["of"] for one in told] == [str(path)[:57] + "..." if len(str(path)) > 60
                                           else str(path) for path in pictures]  # fmt: skip
    assert set(told[0]["label.scores"]) == {"day", "night"}
    model = lai.load(place / "sky")
    assert told[0]["label"] == model.predict(np.asarray(Pillow.open(pictures[0])))["label"]
    rows = document("predict", place / "sale", place / "new.csv")["predictions"]
    assert len(rows) == 2
    one = document("predict", place / "sale", '{"area": 40, "rooms": 1}')["predictions"][0]
    assert one["sold.scores"] == pytest.approx(rows[0]["sold.scores"])
    assert "score" in lepton("predict", place / "sale", place / "new.csv").stdout


def test_explain_saves_a_page_and_a_picture(place, tmp_path):
    picture = next((place / "photos" / "day").glob("*.png"))
    told = document("explain", place / "sky", picture, "--out", tmp_path / "why.html")
    assert told["attributions"]
    assert "<html" in (tmp_path / "why.html").read_text()
    said = lepton("explain", place / "sale", place / "new.csv", "--row", "1").stdout
    assert "area" in said
    lepton("explain", place / "sale", place / "new.csv", "--row", "9", code=1)


def test_optimize_measures_and_saves(place, tmp_path):
    pytest.importorskip("onnxruntime")
    told = document(
        "optimize", place / "sky", place / "photos", "--budget", "20s", "--step", "onnxruntime",
        "--out", tmp_path / "fast",
    )  # fmt: skip
    assert told["candidates"][0]["name"] == "original"
    assert told["saved"] == str(tmp_path / "fast")
    assert lai.load(tmp_path / "fast").task.target == "label"


def test_serve_answers_until_it_is_asked_to_end(place):
    with subprocess.Popen(
        [sys.executable, "-m", "lepton_ai.cli", "serve", str(place / "sky"), "--port", "0",
         "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as served:  # fmt: skip
        try:
            told = json.loads(served.stdout.readline())
            assert told["models"] == ["sky"]
            picture = next((place / "photos" / "day").glob("*.png"))
            predicted = document("predict", told["url"], picture)["predictions"][0]
            assert (
                predicted["label"]
                == document("predict", place / "sky", picture)["predictions"][0]["label"]
            )
            remote = document("evaluate", told["url"], place / "photos")
            assert (
                remote["figures"]
                == document("evaluate", place / "sky", place / "photos")["figures"]
            )
        finally:
            served.terminate()
        out, error = served.communicate(timeout=60)
    assert (served.returncode, out) == (0, ""), error


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["fit", "nowhere.csv"], 1, "a file, a folder or the name of a data set"),
        (["fit", "fashion_mnst"], 1, "Did you mean 'fashion_mnist'"),
        (["predict", "nowhere", "x"], 1, "the folder of a saved model"),
        (["runs", "show", "zzz"], 1, "Expected the id of one run"),
        (["fit", "houses.csv", "--target", "sould"], 1, "Did you mean 'sold'"),
        (["predict", "sale", '{"area": 4}'], 1, "rooms missing"),
        (["predict", "sale", "big house"], 1, "Expected a JSON object"),
        (["predict", "sky", "no.png"], 1, "there is no file 'no.png'"),
        (["predict", "sky", "houses.csv"], 1, "image"),
        (["explain", "sale", '{"area": 4, "rooms": 2}', "--out", "x.gif"], 1, ".png or .html"),
        (["fit", "houses.csv", "--out", "photos"], 1, "Choose another with --out"),
        (["fit", "houses.csv", "--backbone", "mpl"], 2, "Did you mean 'mlp'"),
        (["fit", "houses.csv", "--task", "tabula"], 2, "Did you mean 'tabular'"),
        (["fit", "houses.csv", "--optimizer", "adma"], 2, "Did you mean"),
        (["explain", "sale", "x", "--method", "oclusion"], 2, "Did you mean 'occlusion'"),
        (["fit"], 2, "SOURCE"),
        (["fitt"], 2, "fitt"),
        (["fit", "houses.csv", "--epochs", "0"], 2, "epochs"),
    ],
)
def test_mistakes_are_told_in_a_line(place, monkeypatch, arguments, code, says):
    monkeypatch.chdir(place)
    result = lepton(*arguments, code=code)
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert result.stdout == ""
    if code == 1:
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        told = json.loads(lepton(*arguments, "--json", code=code).stdout)
        assert told["error"]["type"].endswith("Error")


def test_debug_shows_where(monkeypatch):
    result = CliRunner().invoke(app, ["--debug", "fit", "nowhere.csv"])
    assert isinstance(result.exception, lai.LeptonError)


def test_an_error_that_nobody_foresaw_is_a_line_too(monkeypatch):
    def broken():
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(lai.datasets, "listing", broken)
    result = lepton("data", code=1)
    assert "the disk is on fire" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_interrupted_fit_goes_on(place, tmp_path, monkeypatch):
    from lepton_ai.training import resuming
    from lepton_ai.training.trainer import Trainer

    monkeypatch.setattr(resuming, "SECONDS_BETWEEN", 0.0)
    asked = ["fit", place / "houses.csv", "--epochs", "3"]
    whole = document(*asked, "--workspace", tmp_path / "whole")
    ending = Trainer._end_epoch

    def interrupted(self):
        ending(self)
        if self.epoch == 2:
            self.saver.keeper.finish()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_end_epoch", interrupted)
        assert (
            CliRunner()
            .invoke(app, [str(one) for one in (*asked, "--workspace", tmp_path / "cut")])
            .exit_code
        )
    again = document(*asked, "--workspace", tmp_path / "cut", "--resume")
    assert len(list((tmp_path / "cut" / "runs").iterdir())) == 1
    first, second = (lai.load(one["model"]).state_dict() for one in (whole, again))
    assert all((first[name] == second[name]).all() for name in first)
