"""Schedules: names from progress to share, objects from step to rate, against Keras's values."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import inspect
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai import optimizers
from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.optimizers import schedules

NAMES = list(schedules.SCHEDULES)
CASES = [
    ("ExponentialDecay", (0.1, 20, 0.5), {}),
    ("ExponentialDecay", (0.1, 20, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 20, 0.5), {}),
    ("InverseTimeDecay", (0.1, 20, 0.5), {"staircase": True}),
    ("PolynomialDecay", (0.1, 40), {}),
    ("PolynomialDecay", (0.1, 40, 0.01, 2.0), {}),
    ("PolynomialDecay", (0.1, 40, 0.01, 0.5, True), {}),
    ("CosineDecay", (0.1, 50), {}),
    ("CosineDecay", (0.1, 50, 0.2), {}),
    ("CosineDecay", (0.01, 50, 0.1), {"warmup_target": 0.1, "warmup_steps": 10}),
    ("CosineDecay", (0.0, 50), {"warmup_target": 0.1, "warmup_steps": 10}),
    ("CosineDecay", (0.01, 50), {"warmup_target": 0.1}),
    ("CosineDecayRestarts", (0.1, 13), {}),
    ("CosineDecayRestarts", (0.1, 13, 1.5, 0.8, 0.05), {}),
    ("CosineDecayRestarts", (0.1, 13, 1.0, 0.5), {}),
    ("PiecewiseConstantDecay", ([10, 30, 31], [0.1, 0.05, 0.02, 0.01]), {}),
    ("PiecewiseConstantDecay", ([10], [0.0, 0.05]), {}),
]
IDS = [f"{name}-{place}" for place, (name, _, _) in enumerate(CASES)]


def made(name, positional, named):
    return getattr(schedules, name)(*positional, **named)


# -- objects -------------------------------------------------------------------------------


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
@pytest.mark.parametrize(("name", "positional", "named"), CASES, ids=IDS)
def test_rates_are_keras_s(name, positional, named):
    keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
    schedule = made(name, positional, named)
    oracle = getattr(keras.optimizers.schedules, name)(*positional, **named)
    # Keras finds restarts from logarithms in float32; at their very steps it may take either side.
    edges = {13, 26, 39, 52, 65, 78, 91, 104} if name == "CosineDecayRestarts" else set()
    for step in [s for s in range(130) if s not in edges]:
        expected = float(oracle(step))
        assert schedule(step) == pytest.approx(expected, rel=1e-4, abs=1e-7), step


@pytest.mark.parametrize("name", list(schedules.OBJECTS))
def test_names_order_and_defaults_are_keras_s(name):
    keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
    oracle = inspect.signature(getattr(keras.optimizers.schedules, name)).parameters
    own = inspect.signature(getattr(schedules, name)).parameters
    assert [(p.name, p.default) for p in own.values()] == [
        (p.name, p.default) for p in oracle.values()
    ]


@pytest.mark.parametrize(("name", "positional", "named"), CASES, ids=IDS)
def test_shares_times_the_reference_are_the_rates(name, positional, named):
    schedule = made(name, positional, named)
    assert schedule.reference > 0
    for step in range(0, 100, 7):
        assert schedule.at(step, 0.3) * schedule.reference == pytest.approx(schedule(step))
        assert schedules.share(schedules.get(schedule), step, 0.9) == schedule.at(step)


@pytest.mark.parametrize(("name", "positional", "named"), CASES, ids=IDS)
def test_a_description_gives_the_same_schedule(name, positional, named):
    schedule = made(name, positional, named)
    config = json.loads(json.dumps(schedule.to_config()))
    assert config["schedule"] == name
    for again in (schedules.from_config(config), schedules.get(config)):
        assert type(again) is type(schedule)
        assert again.config() == schedule.config()
        assert repr(again) == repr(schedule)
        assert [again(s) for s in range(50)] == [schedule(s) for s in range(50)]
    assert repr(schedule).startswith(f"{name}(")


@pytest.mark.parametrize("t_mul", [1.0, 1.5, 2.0, 3.0])
def test_restarts_are_at_their_very_steps(t_mul):
    schedule = schedules.CosineDecayRestarts(0.1, 16, t_mul=t_mul, m_mul=0.5)
    start, length = 0.0, 16.0
    for way in range(4):
        assert schedule(math.ceil(start)) == pytest.approx(0.1 * 0.5**way, rel=1e-2)
        assert schedule(start) == 0.1 * 0.5**way
        assert schedule(start + length - 1e-6) == pytest.approx(0, abs=1e-9)
        start, length = start + length, length * t_mul


def test_references():
    assert schedules.CosineDecay(0.0, 10, warmup_target=0.3, warmup_steps=2).reference == 0.3
    assert schedules.CosineDecay(0.1, 10, warmup_target=0.3, warmup_steps=2).at(2) == (
        pytest.approx(3.0)
    )
    assert schedules.PiecewiseConstantDecay([5], [0.0, 0.2]).reference == 0.2
    assert schedules.ExponentialDecay(0.0, 5, 0.2).reference == 1.0


class Noam(schedules.LearningRateSchedule):
    """A schedule of a user's own, as in Keras's tutorials: nothing stored, rates from 0."""

    def __init__(self, width, warmup):
        self.w, self.warmup = width, warmup

    def __call__(self, step):
        return self.w**-0.5 * min((step or math.inf) ** -0.5, step * self.warmup**-1.5)


def test_a_schedule_of_one_s_own():
    schedule = Noam(64, 100)
    assert schedule.reference == 1.0
    assert schedule.at(100) == schedule(100) == pytest.approx(0.0125)
    assert repr(schedule) == "Noam(warmup=100)"
    optimizer = optimizers.Adam(schedule)
    assert optimizer.rate == 1.0
    assert repr(optimizer).startswith("Adam(learning_rate=Noam(warmup=100), ")


@pytest.mark.parametrize(("make", "says"), [
    (lambda: schedules.ExponentialDecay(-0.1, 10, 0.5), ("initial_learning_rate", "-0.1", "Type")),
    (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ("decay_steps", "above 0", "received 0")),
    (lambda: schedules.ExponentialDecay(0.1, 10, -1), ("decay_rate", "received -1")),
    (lambda: schedules.PolynomialDecay(0.1, 10, power=0), ("power", "above 0")),
    (lambda: schedules.CosineDecay("a", 10), ("initial_learning_rate", "'a'")),
    (lambda: schedules.CosineDecay(0.1, 10, warmup_steps=-1), ("warmup_steps", "-1")),
    (lambda: schedules.CosineDecayRestarts(0.1, 10, 0.5), ("t_mul of at least 1", "t_mul=1.0")),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [1, 2]), ("2 values and 2 boundaries",)),
    (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ("that rise", "[1, 2]")),
    (lambda: schedules.from_config({"schedule": "CosineDecay", "decay_step": 3}),
     ("no 'initial_learning_rate'", "Did you mean 'decay_steps'")),
])  # fmt: skip
def test_what_cannot_be_is_refused(make, says):
    with pytest.raises(ConfigError) as caught:
        make()
    for words in says:
        assert words in str(caught.value)


# -- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(progress=st.floats(0, 1.2))
def test_shares_are_from_0_to_1(name, progress):
    value = schedules.share(schedules.get(name), 3, progress)
    assert isinstance(value, float)
    assert 0 <= value <= 1


EXPECTED = {
    "constant": [1, 1, 1, 1, 1],
    "cosine": [1, 0.853553, 0.5, 0.146447, 0],
    "linear": [0, 0.75, 0.5, 0.25, 0],
    "one_cycle": [0.04, 0.990393, 0.691342, 0.222215, 0],
    "exponential": [1, 0.316228, 0.1, 0.031623, 0.01],
    "polynomial": [1, 0.75**0.9, 0.5**0.9, 0.25**0.9, 0],
    "cosine_warmup": [0.04, 0.894570, 0.541290, 0.161359, 0],
    "warmup_constant": [0.04, 1, 1, 1, 1],
    "cosine_restarts": [1, 0.691342, 0.961940, 0.402455, 0],
    "warmup_stable_decay": [0.04, 1, 1, 1, 0],
    "inverse_sqrt": [0.04, 0.2**0.5, 0.1**0.5, (1 / 15) ** 0.5, 0.05**0.5],
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_named_schedules_have_their_shape(name):
    shares = [schedules.get(name)(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    np.testing.assert_allclose(shares, EXPECTED[name], atol=1e-4)


def test_every_name_has_a_shape_to_keep():
    assert set(EXPECTED) | {"wsd"} == set(NAMES)
    assert schedules.get("wsd") is schedules.get("warmup_stable_decay")


def test_restarts_start_again_at_the_peak():
    restarts = schedules.get("cosine_restarts")
    for edge in (0, 1 / 7, 3 / 7):
        assert restarts(edge) == pytest.approx(1)
        if edge:
            assert restarts(edge - 1e-9) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["cosine_warmup", "warmup_constant", "warmup_stable_decay",
                                  "inverse_sqrt"])  # fmt: skip
def test_warm_ups_rise_to_the_peak_without_a_jump(name):
    schedule = schedules.get(name)
    rising = [schedule(step / 1000) for step in range(51)]
    assert all(later > earlier for earlier, later in zip(rising, rising[1:], strict=False))
    assert rising[-1] == pytest.approx(1)
    assert schedule(0.0501) == pytest.approx(1, abs=2e-3)


def test_get_takes_names_functions_and_nothing():
    assert schedules.get(None) is schedules.constant
    mine = lambda progress: 1 - progress / 2  # noqa: E731
    assert schedules.get(mine) is mine
    assert schedules.share(mine, 7, 0.5) == 0.75


@pytest.mark.parametrize(("given", "error", "says"), [
    ("one_cicle", UnknownNameError, "Did you mean 'one_cycle'"),
    ("warmup_stable", UnknownNameError, "Did you mean 'warmup_stable_decay'"),
    ("CosineDecai", UnknownNameError, "Did you mean 'CosineDecay'"),
    ("CosineDecay", UnknownNameError, "schedules.CosineDecay(...)"),
    (schedules.CosineDecay, ConfigError, "schedule=CosineDecay(...)"),
    (0.1, ConfigError, "received 0.1"),
    ({"schedule": "Cosine"}, UnknownNameError, "Did you mean 'CosineDecay'"),
])  # fmt: skip
def test_what_is_no_schedule_is_refused(given, error, says):
    with pytest.raises(error) as caught:
        schedules.get(given)
    assert says in str(caught.value)
