"""Every explainer on every task: parts get weights, the answer is graded, drawn and safe."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.explanation.explainer import Explainer


@cache
def fitted(name: str) -> tuple[Any, dict[str, Any]]:
    """A model of the task's own example, bound to sampled data, and one example."""
    task = registry.lookup("tasks", name).example()
    columns = task.sample(np.random.default_rng(0), 12)
    network = None if "backbone" in task.training_recipe(Dataset(columns)) else _plain(task)
    model = lai.Model(network, task)
    model.bind(columns, seed=0)
    row = Dataset(columns, {**task.inputs, **task.outputs})[0]
    return model, {key: row[key] for key in task.inputs}


def _plain(task: Any) -> torch.nn.Module:
    """A network for a task that brings none: one linear layer over its only array."""
    (shape,) = (field.shape for field in task.inputs.values())
    (out,) = (field.shape for field in task.outputs.values())
    return torch.nn.Linear(shape[-1], out[-1])


@pytest.mark.parametrize("task", registry.names("tasks"))
@pytest.mark.parametrize("method", registry.names("explainers"))
def test_it_explains(task: str, method: str) -> None:
    model, example = fitted(task)
    found = lai.explain(model, example, method)
    kind = registry.lookup("explainers", method)
    assert issubclass(kind, Explainer)
    if not kind.unfit(model):
        assert found.method == method, found.notes
    parts = {name: field.parts(example[name]) for name, field in model.task.inputs.items()}
    assert [(f.input, f.part) for f in found.attributions] == [
        (name, part) for name, own in parts.items() for part in own
    ]
    weights = np.array([f.weight for f in found.attributions])
    assert np.isfinite(weights).all()
    assert np.isfinite(found.score)
    assert np.abs(weights).max() > 0
    json.dumps(found.to_json(), allow_nan=False)
    for name, heat in found.heat.items():
        own = sum(f.weight for f in found.attributions if f.input == name)
        assert heat.sum() == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize("task", registry.names("tasks"))
def test_it_is_drawn_in_both_languages(task: str, tmp_path: Any) -> None:
    model, example = fitted(task)
    found = lai.explain(model, example)
    for language in ("en", "zh"):
        html = found.to_html(language=language)
        assert "<script" not in html
        assert html.count("<div") == html.count("</div>")
    assert found.save(tmp_path / "found.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("task", registry.names("tasks"))
def test_a_predictor_elsewhere_is_explained_by_its_answers(task: str) -> None:
    model, example = fitted(task)

    class Elsewhere:
        def __init__(self) -> None:
            self.task = model.task

        def predict(self, examples: Any, **options: Any) -> Any:
            return model.predict(examples, **options)

    found = lai.explain(Elsewhere(), example)
    assert found.method == "occlusion"
    assert np.isfinite([f.weight for f in found.attributions]).all()
