"""What every step of the registry promises; a new step is tested by being listed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.models.engines.engine import Engine
from lepton_ai.optimization.comparing import AGREEMENT, Answers
from lepton_ai.optimization.form import as_model
from lepton_ai.optimization.step import Bench, Step

EVERY = registry.names("steps")


@pytest.fixture(scope="module")
def model() -> lai.Model:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (48, 12, 12, 3), dtype=np.uint8)
    image[::2] //= 2
    data = {"image": image, "label": ["dark", "light"] * 24}
    made = lai.Model("convnet", "image_classification", filters=(4, 8)).bind(data, seed=0)
    made.golden = made.task.typed(lai.Dataset(data))
    return made


@pytest.fixture(scope="module")
def bench(model) -> Bench:
    encoded = encode_inputs(model.task.inputs, model.specs, model.golden.columns)
    return Bench(encoded, threads=1)


@pytest.fixture(scope="module")
def made(model, bench):
    found = {}
    for name in EVERY:
        step = registry.lookup("steps", name)()
        if step.applies(model) is None:
            found[name] = step.apply(model, bench)
    return found


@pytest.mark.parametrize("name", EVERY)
def test_it_is_a_step_that_can_be_described(name):
    kind = registry.lookup("steps", name)
    assert issubclass(kind, Step)
    assert registry.name_of("steps", kind) == name
    assert kind.__doc__
    assert isinstance(kind.rank, int)


@pytest.mark.parametrize("name", EVERY)
def test_it_says_why_it_does_not_apply(name, model):
    reason = registry.lookup("steps", name)().applies(model)
    assert reason is None or (isinstance(reason, str) and len(reason) > 10)


@pytest.mark.parametrize("name", EVERY)
def test_its_form_answers_like_the_model(name, model, made):
    if name not in made:
        pytest.skip("does not apply on this machine")
    form = as_model(model, made[name])
    assert model.engine is None
    precision = getattr(form.engine, "precision", "float32")
    likeness = Answers(model, model.golden).compare(form)
    assert likeness.agreement >= AGREEMENT[precision]
    assert likeness.difference < (1e-4 if precision == "float32" else 0.1)


@pytest.mark.parametrize("name", EVERY)
def test_its_form_takes_batches_of_any_size(name, model, bench, made):
    if name not in made:
        pytest.skip("does not apply on this machine")
    form = as_model(model, made[name])
    tolerance = {"float32": 1e-4}.get(getattr(form.engine, "precision", "float32"), 0.2)
    for count in (1, 2, 7):
        batch = bench.calibration.slice(0, count)
        with torch.inference_mode():
            expected, got = model.outputs(batch), form.outputs(batch)
        assert set(got) == set(expected)
        for key, value in expected.items():
            assert got[key].shape == value.shape
            assert got[key].dtype == value.dtype
            torch.testing.assert_close(got[key], value, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", EVERY)
def test_its_form_is_saved_and_read_again(name, model, made, tmp_path):
    if name not in made:
        pytest.skip("does not apply on this machine")
    form = as_model(model, made[name])
    form.save(tmp_path / "model")
    loaded = lai.load(tmp_path / "model")
    assert np.array_equal(
        form.predict(model.golden)["label.scores"], loaded.predict(model.golden)["label.scores"]
    )
    if isinstance(made[name], Engine):
        assert json.loads(json.dumps(made[name].config())) == loaded.engine.config()
        assert loaded.engine.megabytes() == pytest.approx(made[name].megabytes(), rel=0.01)


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_makes_the_same_form(name, model, bench, made):
    if name not in made:
        pytest.skip("does not apply on this machine")
    again = as_model(model, registry.lookup("steps", name)().apply(model, bench))
    assert np.array_equal(
        again.predict(model.golden)["label.scores"],
        as_model(model, made[name]).predict(model.golden)["label.scores"],
    )
