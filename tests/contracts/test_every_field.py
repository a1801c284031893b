"""Every field: samples pass through reading, encoding, JSON, parts and distance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lepton_ai import registry
from lepton_ai.data.column import Ragged, as_column, item, length, take
from lepton_ai.data.field import Field

NAMES = registry.names("fields")
# What a field must be told before it can give samples that belong together.
GIVEN: dict[str, dict[str, Any]] = {
    "label": {"classes": ["cat", "dog", "<script>"]},
    "tags": {"classes": ["NOUN", "VERB"]},
    "array": {"shape": [3], "integers": False},
    "image": {"size": [12, 10], "channels": 3},
}


def make(name: str) -> Field:
    return registry.lookup("fields", name)(**GIVEN.get(name, {}))


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def samples(name: str) -> list[Any]:
    rng = np.random.default_rng(3)
    return [make(name).sample(rng) for _ in range(6)]


def test_config_makes_the_same_field(name: str) -> None:
    field = make(name)
    again = Field.from_config(json.loads(json.dumps(field.to_config())))
    assert again == field
    assert repr(again) == repr(field)


def test_reads_and_checks_its_own_samples(name: str, samples: list[Any]) -> None:
    field = make(name)
    column = field.read(samples)
    field.check(column)
    assert length(column) == len(samples)
    picked = take(column, np.array([4, 1]))
    assert field.distance(item(picked, 0), samples[4]) == 0


def test_encoding_of_a_whole_column_equals_that_of_its_parts(name: str, samples: list[Any]) -> None:
    field = make(name)
    column = field.read(samples)
    spec = json.loads(json.dumps(field.learn(column, {})))
    whole = field.to_tensor(column, spec)
    assert length(whole) == len(samples)
    for index in range(len(samples)):
        one = field.to_tensor(take(column, np.array([index])), spec)
        a, b = (v.values if isinstance(v, Ragged) else v for v in (one, take(whole, [index])))
        assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def test_json_there_and_back(name: str, samples: list[Any]) -> None:
    field = make(name)
    for value in samples:
        text = json.dumps(field.to_json(value), allow_nan=False)
        again = field.from_json(json.loads(text))
        assert field.distance(value, again) <= 1e-6
    assert json.dumps(field.schema())


@pytest.mark.parametrize("data", [{"a": 1}, [[[["x"]]]], object], ids=["dict", "deep", "class"])
def test_json_that_is_something_else_is_refused(name: str, data: Any) -> None:
    from lepton_ai.errors import DataError

    with pytest.raises(DataError, match="Expected"):
        make(name).from_json(data)


def test_distance_is_zero_only_for_equals(name: str, samples: list[Any]) -> None:
    field = make(name)
    assert all(field.distance(value, value) == 0 for value in samples)
    gaps = [field.distance(a, b) for a in samples for b in samples]
    assert max(gaps) > 0
    assert np.allclose(gaps, np.reshape(gaps, (6, 6)).T.reshape(-1))


def test_parts_can_be_taken_away(name: str, samples: list[Any]) -> None:
    field = make(name)
    for value in samples[:2]:
        parts = field.parts(value)
        assert parts
        for part in parts[:4]:
            field.read(as_column([field.without(value, part)]))


def test_renders_safe_html(name: str, samples: list[Any]) -> None:
    field = make(name)
    for value in [*samples, "<script>"] if name in ("label", "text") else samples:
        weights = {part: 0.5 for part in field.parts(value)}
        for html in (field.render(value), field.render(value, weights)):
            assert "<" in html
            assert "<script" not in html


def test_recognises_its_own_column_best(name: str) -> None:
    rng = np.random.default_rng(0)
    field = make(name)
    column = field.read([field.sample(rng) for _ in range(200)])
    column_name = {"mask": "mask", "tags": "tags"}.get(name, "something")
    scores = {
        other: registry.lookup("fields", other).recognises(column_name, column) for other in NAMES
    }
    assert scores[name] == max(scores.values()) > 0, scores
