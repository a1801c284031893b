"""Every backbone gives what it promises, for every task that it fits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.models.binding import unfit

TASKS = [name for name in registry.names("tasks") if name != "supervised"]
PAIRS = [
    (backbone, task) for backbone in registry.names("backbones") for task in TASKS
    if not unfit(registry.lookup("backbones", backbone), registry.lookup("tasks", task).example())
]  # fmt: skip


def test_each_fits_some_task() -> None:
    assert {backbone for backbone, _ in PAIRS} == set(registry.names("backbones"))
    assert {task for _, task in PAIRS} == set(TASKS)


@pytest.fixture(scope="module", params=PAIRS, ids=[f"{b}-{t}" for b, t in PAIRS])
def bound(request: pytest.FixtureRequest) -> lai.Model:
    backbone, name = request.param
    task = registry.lookup("tasks", name).example()
    data = lai.Dataset(task.sample(np.random.default_rng(0), 8), {**task.inputs, **task.outputs})
    model = lai.Model(backbone, task).bind(data, seed=0)
    model.sampled = data  # type: ignore[assignment]
    return model


def batch_of(model: lai.Model) -> dict[str, torch.Tensor]:
    encoded = encode_inputs(model.task.inputs, model.specs, model.sampled.columns)  # type: ignore[union-attr]
    return encoded.slice(0, len(encoded))


def test_features_have_the_promised_shape(bound: lai.Model) -> None:
    give = bound.task.needs()
    features = bound.network(bound.prepared(batch_of(bound)))[give]
    axis = 1 if give == "maps" else -1
    assert features.shape[0] == 8
    assert features.shape[axis] == bound.network.width


def test_the_stem_has_gradients(bound: lai.Model) -> None:
    inputs = bound.prepared(batch_of(bound))
    stem = {n: v.detach().float().requires_grad_() for n, v in bound.network.stem(inputs).items()}
    outputs = bound.head({**bound.network.features(stem, inputs)})
    sum(v.float().sum() for v in outputs.values() if v.is_floating_point()).backward()
    assert all(v.grad is not None and torch.isfinite(v.grad).all() for v in stem.values())


def test_one_example_alone_is_answered_alike(bound: lai.Model) -> None:
    data = bound.sampled  # type: ignore[union-attr]
    whole = bound.predict(data)
    for name, field in bound.task.outputs.items():
        for index in (0, 7):
            single = bound.predict(data.take([index]))
            assert field.distance(single[name][0], whole[name][index]) <= 1e-4


def test_a_backbone_that_does_not_fit_names_those_that_do() -> None:
    with pytest.raises(lai.LeptonError, match="These fit: .*text_gru"):
        lai.Model("convnet", "text_classification").bind({"text": ["a", "b"], "label": ["x", "y"]})
