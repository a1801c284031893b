"""Small fitted models for the tests of optimisation."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.models.engines.exported import Exported
from lepton_ai.optimization import measuring


def pictures(count: int, size: int = 16, seed: int = 0) -> dict:
    """Noise with a bright square, whose place tells the class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, count)
    image = rng.integers(0, 80, (count, size, size, 3))
    for row, place in zip(image, label, strict=True):
        row[4 * place : 4 * place + 4, 4:12] += 150
    return {"image": image.astype("uint8"), "label": np.array(["low", "middle", "top"])[label]}


@pytest.fixture(scope="session")
def held_out() -> lai.Dataset:
    return lai.Dataset(pictures(96, seed=1))


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> lai.Model:
    fitted = lai.Model("convnet", "image_classification", filters=(8, 16))
    fitted.fit(
        pictures(160), epochs=6, batch_size=16, verbose=0,
        workspace=tmp_path_factory.mktemp("workspace"),
    )  # fmt: skip
    return fitted


@pytest.fixture
def step():
    """Register a step for the length of one test: ``step("name", Step)``."""
    from lepton_ai import registry

    added = []

    def add(name, kind):
        registry.register("steps", name, kind)
        added.append(name)
        return name

    yield add
    for name in added:
        registry._registered["steps"].pop(name)


class Ticks:
    """A machine that nothing disturbs: its clocks are moved by the calls, in milliseconds each.

    Attributes:
        costs: Time on the wall and of work, by what answers: ``"network"`` or the engine's name.
    """

    def __init__(self) -> None:
        self.now = self.worked = 0.0
        self.costs = {"network": (1.0, 1.0), "onnxruntime": (0.25, 0.25), "openvino": (0.3, 0.3)}
        self.watch = measuring.Watch(wall=lambda: self.now, cpu=lambda: self.worked)

    def spend(self, name: str) -> None:
        wall, work = self.costs[name]
        self.now += wall / 1e3
        self.worked += work / 1e3


@contextmanager
def undisturbed() -> Generator[Ticks]:
    ticks = Ticks()
    forward, answer = lai.Model.forward, Exported.__call__

    def network(self, columns, targets=None):
        ticks.spend("network")
        return forward(self, columns, targets)

    def engine(self, columns):
        ticks.spend(lai.registry.name_of("engines", type(self)))
        return answer(self, columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "WATCH", ticks.watch)
        patch.setattr(lai.Model, "forward", network)
        patch.setattr(Exported, "__call__", engine)
        yield ticks


@pytest.fixture
def ticks() -> Generator[Ticks]:
    with undisturbed() as made:
        yield made


@pytest.fixture(scope="session")
def fast(model, held_out) -> lai.Model:
    """The small network's faster form."""
    with undisturbed():
        return lai.optimize(model, data=held_out, budget=None, batch_sizes=(1, 4), verbose=0)
