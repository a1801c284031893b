"""Small fitted models for the tests of optimisation."""

from __future__ import annotations

import numpy as np
import pytest

import lepton_ai as lai


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
