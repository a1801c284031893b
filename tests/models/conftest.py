"""What the tests of models share: Keras as the oracle, and small data."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    module = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
    if module.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend than torch")
    return module


@pytest.fixture(scope="session")
def goods() -> dict[str, np.ndarray]:
    """Sixty goods: a picture, words as numbers, a row of numbers; their kind and their price."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 60)
    image = rng.integers(0, 60, (60, 10, 10, 3), dtype=np.uint8)
    for picture, number in zip(image, kind, strict=True):
        picture[:, number * 3 : number * 3 + 3] += 150
    row = rng.normal(size=(60, 4)).astype("float32")
    text = rng.integers(1, 30, (60, 7))
    price = (row @ [1.0, -1.0, 2.0, 0.5] + kind).astype("float32")
    return {"image": image, "text": text, "row": row, "kind": kind, "price": price}
