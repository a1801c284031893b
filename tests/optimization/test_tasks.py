"""Every task can be optimised, or says why not."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import lepton_ai as lai
from lepton_ai import registry

NOT_YET: dict[str, str] = {}
"""Tasks whose usual network cannot be exported yet, and why; each entry must still fail."""


def bound(name: str) -> tuple[lai.Model, lai.Dataset]:
    task = registry.lookup("tasks", name).example()
    columns = task.sample(np.random.default_rng(0), 24)
    data = lai.Dataset(columns, {**task.inputs, **task.outputs})
    network = None if "backbone" in task.recipe else nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    return lai.Model(network, task).bind(data, seed=0), data


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_every_task_can_be_optimised(name, ticks):
    ticks.costs = {"network": (100.0, 100.0), "onnxruntime": (50.0, 50.0)}  # few rounds will do
    model, data = bound(name)
    got = lai.optimize(
        model, data=data, steps=["onnxruntime"], batch_sizes=(1,), budget="40s", verbose=0
    )
    candidate = got.optimization["onnxruntime"]
    if name in NOT_YET:
        assert candidate.verdict == "failed", f"{name} works now: take it out of NOT_YET"
        return
    assert candidate.verdict == "chosen", candidate.reason
    assert candidate.agreement >= 0.99, candidate.reason
    assert candidate.difference < 1e-3
    assert got.engine is not None
