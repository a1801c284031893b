"""Every registered task is served and predicted with, without a line that knows it."""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.column import Ragged, item
from lepton_ai.models.golden import rows_as_json
from lepton_ai.serving.app import build_app

TASKS = [name for name in registry.names("tasks") if registry.lookup("tasks", name).recipe]


@pytest.fixture(scope="module")
def served() -> Any:
    """A model for each task, bound to sampled data (not trained: decisions need not be good)."""
    models = {}
    for name in TASKS:
        task = registry.lookup("tasks", name).example()
        columns = task.sample(np.random.default_rng(0), 24)
        models[name] = lai.Model(None, task).bind(columns, seed=0)
        typed = task.typed(lai.Dataset(columns, {**task.inputs, **task.outputs}))
        models[name].golden = typed.take(range(4))
    with lai.serve(models, port=0) as service:
        yield service


def examples(task: Any, count: int) -> lai.Dataset:
    columns = task.sample(np.random.default_rng(7), count)
    return lai.Dataset(columns, {**task.inputs, **task.outputs})


def numbers(column: Any, index: int) -> np.ndarray:
    value = column[index]
    return np.asarray(value.to_pylist() if isinstance(value, pa.Array) else value)


@pytest.mark.parametrize("name", TASKS)
def test_the_remote_model_equals_the_one_in_memory(served: Any, name: str) -> None:
    model = served.models[name].model
    data = examples(model.task, 9)
    with lai.connect(served.url, name) as remote:
        assert remote.task.to_config() == model.task.to_config()
        here, there = model.predict(data), remote.predict(data, batch_size=4)
        assert list(here) == list(there)
        for column, other in zip(here.values(), there.values(), strict=True):
            assert type(column) is type(other)
            if isinstance(column, Ragged):
                assert np.array_equal(column.lengths, other.lengths)
            for index in range(len(data)):
                a, b = numbers(column, index), numbers(other, index)
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                if a.dtype.kind == "f":
                    np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-5)
                else:
                    assert np.array_equal(a, b)
        figures = lai.evaluate(model, data)
        found = lai.evaluate(remote, data)
        assert found == pytest.approx({key: figures[key] for key in found}, abs=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_json_in_and_out(served: Any, in_process: Any, name: str) -> None:
    call = in_process(build_app(served.shelf))
    model = served.models[name].model
    data = examples(model.task, 3)
    rows = rows_as_json(data.select(list(model.task.inputs)).columns, model.task.inputs)
    answer = call("POST", f"/models/{name}/predict", json={"examples": rows})
    assert answer.status_code == 200, answer.text
    predictions = model.predict(data)
    for index, row in enumerate(answer.json()["predictions"]):
        for key, field in model.task.outputs.items():
            value = field.from_json(row[key])
            assert field.distance(value, item(predictions[key], index)) <= 1e-5
    explained = call("POST", f"/models/{name}/explain", json=rows[0])
    assert explained.status_code == 200, explained.text
    assert explained.json()["parts"]


def shown_example(snippet: str) -> Any:
    """What the Python lines of a page predict."""
    (predict,) = [
        node
        for node in ast.walk(ast.parse(snippet))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "model.predict"
    ]
    return ast.literal_eval(predict.args[0])


@pytest.mark.parametrize("name", TASKS)
def test_card_metadata_and_openapi(served: Any, in_process: Any, name: str) -> None:
    call = in_process(build_app(served.shelf))
    task = served.models[name].task
    card = call("GET", f"/models/{name}/card").json()
    assert [field["name"] for field in card["inputs"]] == list(task.inputs)
    assert name in card["code"]["curl"]
    given = shown_example(card["code"]["python"])
    if not any(field["media"] for field in card["inputs"]):
        with lai.connect(served.url, name) as remote:
            assert list(remote.predict(given)) == list(served.models[name].model.predict(given))
    told = call("GET", f"/v2/models/{name}").json()
    assert [tensor["name"] for tensor in told["inputs"]] == list(task.inputs)
    assert {tensor["name"] for tensor in told["outputs"]} >= set(task.outputs)
    paths = call("GET", "/openapi.json").json()["paths"]
    post = paths[f"/models/{name}/predict"]["post"]
    shown = post["requestBody"]["content"]["application/json"]["examples"]["one"]
    if "value" in shown:
        body = json.dumps(shown["value"])
        assert call("POST", f"/models/{name}/predict", content=body).status_code == 200
