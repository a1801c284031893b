"""Explanations: they add up, find planted causes, notice models that know nothing, and are safe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.errors import ConfigError, DataError, NotReadyError, UnknownNameError
from lepton_ai.explanation.grading import grade
from lepton_ai.tasks import ImageClassification
from lepton_ai.tasks.task import Task

SIZE, PATCH = 14, 2


def squares(count: int, seed: int) -> dict[str, Any]:
    """Noise in which a bright square at the top left means "yes", and its absence "no"."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 60, (count, SIZE, SIZE, 1), dtype=np.uint8)
    yes = np.arange(count) % 2 == 0
    pictures[yes, :PATCH, :PATCH] = 255
    return {"image": pictures, "label": np.where(yes, "yes", "no")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("workspace")
    model = lai.Model("convnet", "image_classification", filters=(8, 16))
    model.fit(squares(256, 0), epochs=6, seed=0, verbose=0, learning_rate=1e-2, workspace=place)
    assert model.evaluate(squares(64, 1), return_dict=True)["accuracy"] > 0.95
    return model


class Elsewhere:
    """A predictor of which only the answers can be had, as of a service."""

    def __init__(self, model: Any) -> None:
        self.task = model.task
        self._model = model

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        return self._model.predict(examples, batch_size=batch_size, **options)


class Stuck:
    """An engine: it answers by the network, but without gradients."""

    precision = "int8"

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, columns: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with torch.inference_mode():
            return {k: v.detach() for k, v in self._model(columns).items()}


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_the_planted_cause_comes_first(model: Any, method: str) -> None:
    pictures = squares(20, 2)["image"]
    hits = 0
    for picture in pictures[::2]:
        found = lai.explain(model, picture, method)
        assert found.prediction["label"] == "yes"
        hits += found.top(1)[0].part.place == (0, 0, PATCH, PATCH)
        assert found.trusted
    assert hits == 10


def test_weights_of_integrated_gradients_add_up(model: Any) -> None:
    picture = squares(1, 3)["image"][0]
    found = lai.explain(model, picture)
    assert found.method == "integrated_gradients"
    assert found.completeness is not None
    assert found.completeness < 0.02
    # Against the definition: the score of the picture less that of the mean picture.
    mean = np.full_like(picture, round(model.specs["image"]["mean"][0] * 255))
    scorer_input = {"image": np.stack([picture, mean])}
    scores = np.asarray(model.predict(scorer_input)["label.scores"])
    yes = model.task.outputs["label"].classes.index("yes")
    change = scores[0, yes] - scores[1, yes]
    assert sum(f.weight for f in found.attributions) == pytest.approx(change, abs=0.03)
    assert found.heat["image"].shape == (SIZE, SIZE)
    assert found.heat["image"].sum() == pytest.approx(change, abs=0.03)


def test_more_steps_are_taken_until_the_sum_is_right(model: Any) -> None:
    found = lai.explain(model, squares(1, 4)["image"][0], steps=2)
    assert found.completeness is not None
    assert found.completeness < 0.02


def test_a_service_and_the_model_in_hand_are_explained_alike(model: Any) -> None:
    picture = squares(1, 5)["image"][0]
    near = lai.explain(model, picture, "occlusion")
    far = lai.explain(Elsewhere(model), picture)
    assert far.method == "occlusion"
    assert far.score == pytest.approx(near.score, abs=1e-5)
    ours = [f.weight for f in near.attributions]
    assert [f.weight for f in far.attributions] == pytest.approx(ours, abs=1e-5)


def test_a_form_without_gradients_falls_back_and_says_so(model: Any) -> None:
    picture = squares(1, 6)["image"][0]
    model.engine = Stuck(model)
    try:
        assert lai.explain(model, picture).method == "occlusion"
        asked = lai.explain(model, picture, "integrated_gradients")
    finally:
        model.engine = None
    assert asked.method == "occlusion"
    assert "gradients" in asked.notes[0]


def test_random_weights_are_not_to_be_trusted(model: Any) -> None:
    picture = squares(1, 7)["image"][0]
    trained = lai.explain(model, picture)
    fresh = lai.Model("convnet", "image_classification", filters=(8, 16))
    fresh.bind(squares(16, 0), seed=1)
    random = lai.explain(fresh, picture)
    assert trained.grade is not None
    assert random.grade is not None
    assert trained.trusted
    assert not random.trusted
    assert random.grade.gain < 0.25 * trained.grade.gain
    assert "do not trust" in random.to_html()


def test_shuffled_attributions_lose_the_grade(model: Any) -> None:
    from lepton_ai.explanation.explainer import Question
    from lepton_ai.explanation.scoring import Scorer

    row = {"image": squares(1, 8)["image"][0]}
    scorer = Scorer(model, row)
    parts = [("image", part) for part in model.task.inputs["image"].parts(row["image"])]
    question = Question(model, row, parts, scorer)
    right = np.array([part.place[:2] == (0, 0) for _, part in parts], dtype=float)
    good, bad = grade(question, right, 1.0), grade(question, -right, 1.0)
    assert good is not None
    assert bad is not None
    assert good.trusted
    assert not bad.trusted
    assert bad.gain < 0 < good.gain


def test_another_class_can_be_asked_for(model: Any) -> None:
    picture = squares(1, 9)["image"][0]
    yes, no = lai.explain(model, picture), lai.explain(model, picture, target="no")
    assert (yes.target, no.target) == (None, "no")
    assert yes.score + no.score == pytest.approx(1.0, abs=1e-5)
    assert no.top(1)[0].part.place != yes.top(1)[0].part.place
    far = lai.explain(Elsewhere(model), picture, target="no")
    assert far.score == pytest.approx(no.score, abs=1e-5)


def test_the_same_question_gets_the_same_answer(model: Any) -> None:
    picture = squares(1, 10)["image"][0]
    first, second = (json.dumps(lai.explain(model, picture, seed=3).to_json()) for _ in range(2))
    assert first == second


def test_explaining_leaves_the_model_as_it_was(model: Any) -> None:
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.zero_grad(set_to_none=True)
    model.train()
    lai.explain(model, squares(1, 11)["image"][0])
    assert model.training
    model.eval()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_file_is_an_example(model: Any, tmp_path: Path) -> None:
    from PIL import Image as Pillow

    path = tmp_path / "square.png"
    picture = squares(1, 12)["image"][0]
    Pillow.fromarray(picture[..., 0]).save(path)
    found, same = lai.explain(model, str(path)), lai.explain(model, picture)
    assert found.score == pytest.approx(same.score, abs=1e-5)


def test_the_planted_word_comes_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    usual = ["fine", "plain", "the", "shoes", "coat", "很", "好", "快", "came", "today"]
    texts, labels = [], []
    for index in range(200):
        words = [str(word) for word in rng.choice(usual, 6)]
        words[rng.integers(6)] = "wonderful" if index % 2 else "awful"
        texts.append(" ".join(words))
        labels.append("good" if index % 2 else "bad")
    model = lai.Model("text_gru", "text_classification")
    model.fit({"text": texts, "label": labels}, epochs=5, seed=0, verbose=0, workspace=tmp_path)
    for method in ("integrated_gradients", "occlusion"):
        found = [lai.explain(model, text, method) for text in texts[:10]]
        hits = sum(f.top(1)[0].part.name in ("wonderful", "awful") for f in found)
        assert hits >= 9, method
        assert all(f.completeness is None or f.completeness < 0.02 for f in found)
        assert "solid" in found[0].to_html()


class Table:
    """A rule over columns: "high" when ``pressure`` is above 3, whatever the others are."""

    def __init__(self) -> None:
        inputs = {
            "age": Number(usual=40.0),
            "pressure": Number(usual=0.0),
            "town": Label(["A", "B"]),
        }
        self.task = ImageClassification.of(inputs, {"label": Label(["high", "low"])})  # type: ignore[arg-type]

    def predict(self, examples: Any, **options: Any) -> dict[str, Any]:
        high = np.asarray(examples["pressure"], dtype=float) > 3
        scores = np.where(high[:, None], [[0.9, 0.1]], [[0.2, 0.8]])
        label = self.task.outputs["label"].names(scores.argmax(1))  # type: ignore[attr-defined]
        return {"label": label, "label.scores": scores}


def test_columns_of_a_table_are_parts(tmp_path: Path) -> None:
    found = lai.explain(Table(), {"age": 51.0, "pressure": 7.5, "town": "B"})
    assert [f.input for f in found.attributions] == ["age", "pressure", "town"]
    assert found.top(1)[0].input == "pressure"
    assert found.top(1)[0].weight == pytest.approx(0.7)
    assert [f.weight for f in found.attributions if f.input != "pressure"] == [0.0, 0.0]
    html = found.to_html()
    assert html.index("pressure") < html.index("age")
    assert found.save(tmp_path / "bars.png").stat().st_size > 2000


def test_text_is_escaped_everywhere(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    task = ImageClassification([bad, "fine"])
    task.inputs = {"image": Image(channels=1, size=[8, 8])}
    assert isinstance(task, Task)
    model = lai.Model("convnet", task, filters=(4,))
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (8, 8, 8), dtype=np.uint8)
    model.bind({"image": pictures, "label": [bad, "fine"] * 4}, seed=0)
    found = lai.explain(model, pictures[0], target=bad)
    page = found.save(tmp_path / "found.html").read_text(encoding="utf8")
    for html in (found.to_html(), found.to_html(language="zh"), page, found._repr_html_()):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
    assert "Content-Security-Policy" in page
    assert "http" not in page.replace("http-equiv", "")


def test_it_is_saved_as_picture_or_page(model: Any, tmp_path: Path) -> None:
    from PIL import Image as Pillow

    found = lai.explain(model, squares(1, 13)["image"][0])
    with Pillow.open(found.save(tmp_path / "found.png")) as drawn:
        assert drawn.width > 400
    assert found.save(tmp_path / "found.html").read_text(encoding="utf8").count("<img") == 2
    with pytest.raises(ConfigError, match=r"\.png or \.html"):
        found.save(tmp_path / "found.pdf")


def test_what_cannot_be_asked_is_said_in_a_sentence(model: Any) -> None:
    pictures = squares(4, 14)["image"]
    with pytest.raises(DataError, match="one example; received 4"):
        lai.explain(model, {"image": pictures})
    with pytest.raises(UnknownNameError, match="Did you mean 'occlusion'"):
        lai.explain(model, pictures[0], "oclusion")
    with pytest.raises(ConfigError, match="out of no, yes; received 'yess'.*Did you mean 'yes'"):
        lai.explain(model, pictures[0], target="yess")
    with pytest.raises(DataError):
        lai.explain(model, {"picture": pictures[0]})
    with pytest.raises(ConfigError, match="at least 2 steps"):
        lai.explain(model, pictures[0], steps=1)
    with pytest.raises(ConfigError, match="Expected a model"):
        lai.explain(object(), pictures[0])
    with pytest.raises(NotReadyError):
        lai.explain(lai.Model("convnet", "image_classification"), pictures[0])
