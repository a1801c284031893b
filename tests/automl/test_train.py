"""``lai.train``: from a source to a model, with every guess told."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image as Pillow

import lepton_ai as lai
from lepton_ai.automl.inferring import infer
from lepton_ai.automl.result import measure
from lepton_ai.errors import ConfigError, DataError, GateError
from lepton_ai.models.model import Model


def day_and_night(count=60, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 90, (count, 12, 12), dtype=np.uint8)
    pictures[::2] += 120
    return pictures, ["day", "night"] * (count // 2)


@pytest.fixture
def folder(tmp_path):
    pictures, labels = day_and_night()
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        place = tmp_path / "photos" / label
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(place / f"{index:03}.png")
    (tmp_path / "photos" / "day" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return tmp_path / "photos"


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "houses.csv"
    with path.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["house_id", "country", "area", "rooms", "quarter", "sold"])
        for number in range(80):
            area, rooms = rng.uniform(30, 200), int(rng.integers(1, 7))
            quarter = ["north", "south", "east"][number % 3]
            sold = "yes" if area > 110 else "no"
            write.writerow([f"h{number}", "fr", f"{area:.1f}", rooms, quarter, sold])
    return path


def test_an_image_folder_in_three_lines(folder, capsys):
    model = lai.train(folder, epochs=4)
    said = capsys.readouterr().out
    assert model.report_text.splitlines()[0] in said
    assert "image_classification (image -> label)" in said
    assert "1 members could not be read" in said
    assert "broken.png" in said
    assert "12 held out" in said
    assert model.run.status == "finished"
    assert model.run.metrics["test_accuracy"] == model.trained.result.figures["accuracy"]
    assert model.trained.result.count == 12
    low, high = model.trained.result.intervals["accuracy"]
    assert low <= model.trained.result.figures["accuracy"] <= high
    assert model.predict(np.full((12, 12), 200, np.uint8))["label"] == "day"


def test_every_guess_says_how_to_override_it(table):
    model = lai.train(table, epochs=1, verbose=0)
    lines = model.report_text.splitlines()
    guesses = [line for line in lines if line.split(":")[0] in ("target", "fields", "task",
               "left out", "split", "backbone", "recipe", "source")]  # fmt: skip
    assert len(guesses) >= 9
    for line in guesses:
        assert line.endswith("]"), line
        assert "  [" in line, line


def test_a_table_without_its_identifiers(table):
    model = lai.train(table, epochs=2, verbose=0)
    assert list(model.task.inputs) == ["area", "rooms", "quarter"]
    assert model.task.target == "sold"
    assert "'house_id', which differs in every row" in model.report_text
    assert "'country', which has one and the same value" in model.report_text
    assert model.trained.result.baseline[0] in ("yes", "no")


def test_a_named_field_keeps_its_column(table):
    fields = {"house_id": lai.data.fields.Label()}
    plan = infer(table, "sold", fields=fields)
    assert "house_id" in plan.task.inputs


def test_naming_things_overrides_every_guess(table):
    plan = infer(table, "area")
    assert type(plan.data.fields["area"]).__name__ == "Number"
    assert "sold" in plan.task.inputs
    assert not [guess for guess in plan.guesses if guess.what == "target"]


@pytest.mark.parametrize(
    ("columns", "target", "task", "field"),
    [
        ({"x": np.arange(40) % 7 * 1.5, "survived": [0, 1] * 20}, "survived", "Tabular", "Label"),
        ({"x": np.arange(40) % 7 * 1.5, "price": np.linspace(1, 9, 40)}, "price", "Tabular",
         "Number"),
        ({"class": ["a", "b"] * 20, "x": np.arange(40) % 7 * 1.5}, "class", "Tabular", "Label"),
        ({"n": np.arange(40) % 5 + 0.5, "review": [f"what a day {n}" for n in range(40)],
          "label": ["good", "bad"] * 20}, "label", "TextClassification", "Label"),
    ],
)  # fmt: skip
def test_what_is_inferred(columns, target, task, field):
    plan = infer(columns)
    assert plan.target == target
    assert type(plan.task).__name__ == task
    assert type(plan.data.fields[target]).__name__ == field


def test_inputs_that_no_task_reads_together_are_told():
    pictures, labels = day_and_night(40)
    columns = {"hour": np.arange(40) % 24 * 1.0, "image": pictures, "label": labels}
    plan = infer(columns)
    assert list(plan.task.inputs) == ["image"]
    assert any(guess.what == "left out" and "'hour'" in guess.said for guess in plan.guesses)


def test_blocked_data_is_cleaned_and_told():
    pictures, labels = day_and_night()
    pictures[7] = pictures[10]  # the same picture by day and by night
    model = lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0)
    assert "conflicting_labels: removed 2 examples" in model.report_text
    assert model.lineage["train"]["cleaned"] == ["conflicting_labels: removed 2 examples"]
    assert model.run.config["gate"].startswith("Quality gate passed: 58 examples")


def test_a_column_that_gives_the_answer_away_goes():
    rng = np.random.default_rng(0)
    labels = rng.choice(["no", "yes"], 80)
    columns = {"size": rng.normal(size=80), "shape": rng.normal(size=80),
               "answer": (labels == "yes").astype(float), "label": labels}  # fmt: skip
    model = lai.train(columns, epochs=1, verbose=0)
    assert list(model.task.inputs) == ["size", "shape"]
    assert "target_leak" in model.report_text


def test_data_that_cannot_be_cleaned_is_refused_unless_asked():
    pictures, labels = day_and_night()
    labels[5] = "dusk"
    with pytest.raises(GateError, match="'dusk' \\(row 5\\)"):
        lai.train({"image": pictures, "label": labels}, verbose=0)
    model = lai.train({"image": pictures, "label": labels}, verbose=0, epochs=1, gate=False)
    assert model.run.config["gate"] == "off"
    assert model.trained.gate is None


def test_equal_examples_never_stand_on_both_sides():
    pictures, labels = day_and_night(80)
    pictures[40:80] = pictures[:40]
    model = lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0, gate=False)
    trained = {picture.tobytes() for picture in model.trained.training["image"]}
    assert not trained & {picture.tobytes() for picture in model.trained.test["image"]}


def test_test_data_of_ones_own_is_what_is_judged_on():
    pictures, labels = day_and_night()
    others, truth = day_and_night(30, seed=5)
    others[3] = pictures[9]
    model = lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0,
                      test={"image": others, "label": truth})  # fmt: skip
    assert model.trained.result.count == 30
    assert len(model.trained.training) == 59  # the picture that stood in both is gone
    assert "split_leak" in model.report_text


def test_callbacks_choose_by_a_part_of_their_own():
    pictures, labels = day_and_night()
    stop = lai.callbacks.EarlyStopping(patience=1, restore_best_weights=True)
    model = lai.train({"image": pictures, "label": labels}, epochs=2, verbose=0, callbacks=[stop])
    assert len(model.trained.training) + len(model.trained.test) < 60


def test_equal_seeds_give_equal_models():
    pictures, labels = day_and_night()
    one, other = (
        lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0, seed=3)
        for _ in range(2)
    )
    scores = [model.predict(pictures)["label.scores"] for model in (one, other)]
    assert np.array_equal(*scores)


def test_the_result_measures_whatever_predicts():
    pictures, labels = day_and_night()
    model = lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0)

    class Remote:
        task = model.task

        def predict(self, examples, *, batch_size=None, **options):
            return model.predict(examples)

    data = lai.Dataset({"image": pictures, "label": labels})
    assert measure(Remote(), data).figures == measure(model, data).figures
    figures = lai.evaluate(model, data)
    assert measure(model, data).figures["accuracy"] == pytest.approx(figures["accuracy"])


def test_a_trained_model_is_saved_with_what_led_to_it(tmp_path):
    pictures, labels = day_and_night()
    model = lai.train({"image": pictures, "label": labels}, epochs=1, verbose=0)
    model.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    assert isinstance(again, Model)
    assert again.lineage["train"]["result"]["examples"] == 12


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"target": "lable"}, DataError, "Did you mean 'label'"),
        ({"task": "image_clasification"}, ConfigError, "Did you mean 'image_classification'"),
        ({"task": "sequence_tagging"}, ConfigError, "image: Image -> label: Label"),
        ({"backbone": "convent"}, ConfigError, "Did you mean 'convnet'"),
        ({"fields": {"imag": lai.data.fields.Image()}}, DataError, "Did you mean 'image'"),
        ({"gate": "yes"}, ConfigError, "Expected gate as True"),
        ({"learning_rat": 0.1}, ConfigError, "Did you mean 'learning_rate'"),
    ],
)
def test_what_cannot_be(arguments, error, says):
    pictures, labels = day_and_night(20)
    with pytest.raises(error, match=says):
        lai.train({"image": pictures, "label": labels}, verbose=0, **arguments)


def test_a_single_column_is_not_enough():
    with pytest.raises(DataError, match="inputs and a target"):
        lai.train({"text": ["a", "b", "c"]}, verbose=0)
