"""Every task passes the whole way: bind, fit, evaluate, predict, save, load, replay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.column import item, length
from lepton_ai.models.artifact import read_golden
from lepton_ai.models.golden import replay
from lepton_ai.tasks.task import Task

NAMES = [name for name in registry.names("tasks") if name != "supervised"]  # see tests/models


@pytest.fixture(scope="module", params=NAMES)
def fitted(request: pytest.FixtureRequest, tmp_path_factory: Any) -> lai.Model:
    task = registry.lookup("tasks", request.param).example()
    data = lai.Dataset(task.sample(np.random.default_rng(0), 64), {**task.inputs, **task.outputs})
    model = lai.Model(None, task)
    run = model.fit(
        data, epochs=2, batch_size=16, seed=1, verbose=0, workspace=tmp_path_factory.mktemp("home")
    )
    assert np.isfinite(run.history["loss"]).all()
    model.sampled = data  # type: ignore[assignment]
    return model


@pytest.mark.parametrize("name", NAMES)
def test_config_makes_the_same_task(name: str) -> None:
    task = registry.lookup("tasks", name).example()
    again = Task.from_config(json.loads(json.dumps(task.to_config())))
    assert again.to_config() == task.to_config()
    assert again.headline == task.headline


@pytest.mark.parametrize("name", NAMES)
def test_its_own_fields_suit_it_best(name: str) -> None:
    task = registry.lookup("tasks", name).example()
    target = task.outputs[task.target]
    scores = {other: registry.lookup("tasks", other).suits(task.inputs, target) for other in NAMES}
    assert scores[name] == max(scores.values()) > 0


def test_metrics_of_a_model_and_of_bare_predictions_agree(fitted: lai.Model) -> None:
    data: Any = fitted.sampled
    whole = lai.evaluate(fitted, data)

    class Columns:
        task = fitted.task

        def predict(self, examples: Any, **options: Any) -> Any:
            return fitted.predict(examples, **options)

    bare = lai.evaluate(Columns(), data)
    assert set(whole) == {"loss", *bare}
    for name, figure in bare.items():
        assert whole[name] == pytest.approx(figure, abs=1e-6), name


def test_prediction_columns_are_those_of_the_data(fitted: lai.Model) -> None:
    data: Any = fitted.sampled
    predicted = fitted.predict(data)
    for name, field in fitted.task.outputs.items():
        assert length(predicted[name]) == len(data)
        field.check(predicted[name])
        json.dumps(field.to_json(item(predicted[name], 0)))


def test_batches_do_not_change_predictions(fitted: lai.Model) -> None:
    data: Any = fitted.sampled
    whole, small = fitted.predict(data), fitted.predict(data, batch_size=7)
    for name, field in fitted.task.outputs.items():
        gaps = [
            field.distance(item(whole[name], i), item(small[name], i)) for i in range(len(data))
        ]
        assert max(gaps) <= 1e-4


def test_saved_loaded_and_replayed(fitted: lai.Model, tmp_path: Path) -> None:
    data: Any = fitted.sampled
    fitted.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    golden = read_golden(tmp_path / "model" / "golden")
    assert golden is not None
    replay(again, golden, tolerance=0).require("the loaded model")
    before, after = fitted.predict(data), again.predict(data)
    for name in before:
        a, b = before[name], after[name]
        for index in range(len(data)):
            x, y = item(a, index), item(b, index)
            assert np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y
    assert again.lineage == fitted.lineage


def test_the_same_seed_gives_the_same_weights(fitted: lai.Model, tmp_path: Path) -> None:
    data: Any = fitted.sampled
    twin = lai.Model(
        None, registry.lookup("tasks", registry.name_of("tasks", type(fitted.task))).example()
    )
    twin.fit(data, epochs=2, batch_size=16, seed=1, verbose=0)
    for (name, a), b in zip(fitted.state_dict().items(), twin.state_dict().values(), strict=True):
        assert np.array_equal(a.numpy(), b.numpy()), name


def test_missing_columns_are_named(fitted: lai.Model) -> None:
    data: Any = fitted.sampled
    first = next(iter(fitted.task.inputs))
    with pytest.raises(lai.LeptonError, match=first):
        fitted.predict(data.rename({first: f"{first}x"}))
