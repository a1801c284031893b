"""Who wins a race: on simulated machines, whose clocks and calls are made up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.optimization.contest import (
    MORE,
    STALL,
    WIDEST,
    Contest,
    is_wide,
    mean,
    noise,
    shortfall,
)
from lepton_ai.optimization.measuring import (
    FEWEST_ROUNDS,
    MOST_CALLS,
    ROUNDS,
    Plan,
    Timing,
    Watch,
    median_interval,
    planned,
    race,
)

Disturbance = Callable[["Machine"], tuple[float, float]]


class Machine:
    """A clock that only the calls move, by what they take and what disturbs them."""

    def __init__(self, seed: int, disturb: Disturbance | None = None, spread: float = 0.05):
        self.now, self.worked, self.spread = 0.0, 0.0, spread
        self.random, self.disturb, self.slow = random.Random(seed), disturb, False  # noqa: S311
        self.watch = Watch(wall=lambda: self.now, cpu=lambda: self.worked)

    def call(self, seconds: float, *, waits: Callable[[], tuple[float, float]] | None = None):
        """A function that takes so long; ``waits`` adds seconds on the wall and of work."""

        def run(value: object) -> None:
            work = seconds * self.random.lognormvariate(0.0, self.spread)
            factor, delay = self.disturb(self) if self.disturb is not None else (1.0, 0.0)
            more = waits() if waits is not None else (0.0, 0.0)
            self.now += work * factor + delay + more[0]
            self.worked += work + more[1]

        return run

    def contest(self, original: Callable, *, seconds: float = 1.0, seed: int = 0, threads: int = 1):
        return Contest(
            original, {1: [0, 1]}, seconds=seconds, seed=seed, threads=threads, watch=self.watch
        )


def drifting(machine: Machine) -> tuple[float, float]:
    """The machine gets slower all the time: three times as slow within a second."""
    return 1.0 + 2.0 * machine.now, 0.0


def tailed(machine: Machine) -> tuple[float, float]:
    """One call in ten takes as long as it likes (a Pareto tail without a variance)."""
    return (machine.random.paretovariate(1.2) if machine.random.random() < 0.1 else 1.0), 0.0


def stalling(machine: Machine) -> tuple[float, float]:
    """One call in twenty loses the processor for ten milliseconds."""
    return 1.0, (0.01 if machine.random.random() < 0.05 else 0.0)


def phases(machine: Machine) -> tuple[float, float]:
    """The machine is twice as slow for some thirty calls, then quick for some thirty."""
    if machine.random.random() < 1 / 30:
        machine.slow = not machine.slow
    return (2.0 if machine.slow else 1.0), 0.0


DISTURBED = {
    "quiet": None, "drift": drifting, "tails": tailed, "stalls": stalling, "phases": phases,
}  # fmt: skip


def raced(seed: int, name: str, speedup: float) -> list[Timing]:
    machine = Machine(seed, DISTURBED[name])
    contest = machine.contest(machine.call(0.006), seed=seed)
    contest.itself()
    return contest.against(machine.call(0.006 / speedup))


@pytest.mark.parametrize("name", DISTURBED)
def test_of_a_thousand_equal_races_less_than_ten_are_won(name):
    races = [raced(seed, name, 1.0) for seed in range(1000)]
    assert sum(shortfall(timings, 1.0) is None for timings in races) < 10
    assert sum(timings[0].speedup > 1.0 for timings in races) > 400  # by the medians alone


@pytest.mark.parametrize("name", DISTURBED)
def test_a_form_that_is_1_3_times_as_fast_is_found(name):
    races = [raced(seed, name, 1.3) for seed in range(200)]
    assert sum(shortfall(timings, 1.2) is None for timings in races) > 190


def test_a_form_within_the_noise_is_refused_though_its_median_is_above_what_was_wanted():
    rough = Machine(0, spread=0.5)
    contest = rough.contest(rough.call(0.006))
    calm = contest.itself()[0]
    assert noise(calm)[1] > 1.05
    told = shortfall(contest.against(rough.call(0.006 / 1.04)), 1.0)
    assert told is not None
    assert told.key in ("within_noise", "slower", "too_slow", "noisy")


# -- the machine ---------------------------------------------------------------------------


def wild(machine: Machine) -> tuple[float, float]:
    """Every call takes something between a seventh and seven times its time."""
    return math.exp(machine.random.uniform(-2.0, 2.0)), 0.0


def test_a_noisy_machine_gets_more_rounds_and_then_gives_up():
    machine = Machine(3, wild)
    contest = machine.contest(machine.call(0.006))
    timing = contest.itself()[0]
    assert is_wide(timing)
    assert contest.noisy is timing
    assert ROUNDS < timing.rounds <= ROUNDS * MORE
    low, high = noise(timing)
    assert max(1 / low, high) > WIDEST
    assert not contest.calmer()
    assert shortfall(contest.against(machine.call(0.0001)), 1.2).key == "noisy"


def test_several_threads_get_no_further_try_and_other_sizes_are_left_out():
    machine = Machine(3, wild)
    contest = Contest(machine.call(0.006), {1: [0, 1], 32: [0, 1]}, seconds=1.0, seed=0,
                      threads=2, watch=machine.watch)  # fmt: skip
    (timing,) = contest.itself()
    assert contest.noisy is timing
    assert timing.batch_size == 1
    assert timing.rounds <= ROUNDS
    assert [found.batch_size for found in contest.against(machine.call(0.006))] == [1, 32]


def test_a_noisy_machine_does_not_keep_one_waiting_for_long():
    def worse(machine: Machine) -> tuple[float, float]:
        return machine.random.paretovariate(0.5) * 10.0 ** (machine.now > 0.2), 0.0

    machine = Machine(1, worse)
    contest = machine.contest(machine.call(0.002), seconds=0.01)
    assert is_wide(contest.itself()[0])
    assert contest.noisy.rounds <= ROUNDS


def test_more_rounds_can_be_enough():
    def wild_at_first(machine: Machine) -> tuple[float, float]:
        return wild(machine) if machine.now < 0.8 else (1.0, 0.0)

    machine = Machine(3, wild_at_first)
    contest = machine.contest(machine.call(0.006))
    timing = contest.itself()[0]
    assert ROUNDS < timing.rounds <= ROUNDS * MORE
    assert contest.noisy is None
    assert contest.against(machine.call(0.003))[0].rounds == timing.rounds


def test_a_quiet_machine_is_told_with_the_planned_rounds():
    machine = Machine(0)
    contest = machine.contest(machine.call(0.002))
    timing = contest.itself()[0]
    assert timing.rounds == ROUNDS
    assert timing.noise == noise(timing)
    assert 0.9 < timing.noise[0] <= 1 <= timing.noise[1] < 1.1
    assert contest.calmer()


# -- stalls --------------------------------------------------------------------------------


class Pool:
    """Threads of the original that wait for a processor once the race with itself is over."""

    def __init__(self, *, spins: bool = False, until: int | None = None):
        self.waiting, self.spins, self.until, self.calls = False, spins, until, 0

    def __call__(self) -> tuple[float, float]:
        if not self.waiting:
            return 0.0, 0.0
        self.calls += 1
        if self.until is not None and self.calls > self.until:
            return 0.0, 0.0
        return 0.16, 0.16 if self.spins else 0.0


@pytest.mark.parametrize("spins", [False, True])
def test_a_lead_that_is_only_waiting_is_measured_again_and_refused(spins):
    machine, pool = Machine(0), Pool(spins=spins)
    contest = machine.contest(machine.call(0.002, waits=pool))
    contest.itself()
    pool.waiting = True
    timing = contest.against(machine.call(0.002))[0]
    assert timing.speedup > 60
    assert timing.cpu_speedup == pytest.approx(1.0, abs=0.1)
    assert (timing.repeats, timing.stalled) == (1, True)
    told = shortfall([timing], 1.2)
    assert told is not None
    assert told.key == "stalled"
    assert f"{timing.speedup:.2f} times as fast on the clock" in told.text()


def test_a_stall_that_passes_leaves_nothing_behind():
    machine = Machine(0)
    pool = Pool(until=65)
    contest = machine.contest(machine.call(0.002, waits=pool))
    contest.itself()
    pool.waiting = True
    timing = contest.against(machine.call(0.002))[0]
    assert (timing.repeats, timing.stalled) == (1, False)
    assert timing.speedup == pytest.approx(1.0, abs=0.1)


def test_a_form_that_was_kept_waiting_is_measured_again_too():
    machine = Machine(0)
    pool = Pool(until=65)
    pool.waiting = True
    contest = machine.contest(machine.call(0.002))
    contest.itself()
    timing = contest.against(machine.call(0.001, waits=pool))[0]
    assert timing.repeats == 1
    assert timing.speedup == pytest.approx(2.0, abs=0.1)
    assert shortfall([timing], 1.2) is None


def test_a_form_that_waits_all_the_time_is_slower_and_no_stall_of_the_original():
    machine, pool = Machine(0), Pool()
    pool.waiting = True
    contest = machine.contest(machine.call(0.002))
    contest.itself()
    timing = contest.against(machine.call(0.001, waits=pool))[0]
    assert (timing.repeats, timing.stalled) == (1, False)
    assert shortfall([timing], 1.2).key == "slower"


def test_several_threads_may_take_less_time_on_the_wall_for_the_same_work():
    machine = Machine(0)
    contest = machine.contest(machine.call(0.002), threads=4)
    contest.itself()

    def shared(value: object) -> None:
        machine.now += 0.0005
        machine.worked += 0.002

    timing = contest.against(shared)[0]
    assert timing.speedup / timing.cpu_speedup > STALL
    assert timing.repeats == 0
    assert shortfall([timing], 1.2) is None


def test_a_clock_of_work_that_stands_still_is_no_witness():
    machine = Machine(0)
    machine.watch = Watch(wall=lambda: machine.now, cpu=lambda: 0.0)
    contest = machine.contest(machine.call(0.002))
    contest.itself()
    timing = contest.against(machine.call(0.001))[0]
    assert timing.cpu_speedup is None
    assert timing.repeats == 0
    assert shortfall([timing], 1.2) is None


# -- the rule ------------------------------------------------------------------------------


def timing(speedup: float, *, size: int = 1, width: float = 0.02, **more) -> Timing:
    more = {"noise": (0.97, 1.03), **more}
    return Timing(
        size, 1.0, 1.1, speedup, 1.1 * speedup, speedup, 31,
        speedup * (1 - width), speedup * (1 + width), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("timings", "key"),
    [
        ([timing(1.5)], None),
        ([timing(1.5), timing(1.01, size=32)], None),
        ([timing(1.5), timing(0.99, size=32)], "slower"),
        ([timing(1.1)], "too_slow"),
        ([timing(1.3, width=0.3)], "within_noise"),
        ([timing(1.3, noise=(0.99, 1.24))], None),
        ([timing(1.24, noise=(0.99, 1.23))], "within_noise"),
        ([timing(3.0, noise=(0.7, 1.1))], "noisy"),
        ([timing(3.0, noise=(0.9, 1.3))], "noisy"),
        ([timing(80.0, stalled=True, cpu_speedup=1.0)], "stalled"),
        ([timing(float("nan"))], "slower"),
    ],
)
def test_the_rule(timings, key):
    told = shortfall(timings, 1.2)
    assert (told.key if told is not None else None) == key
    if told is not None:
        assert told.text("en") != told.text("zh")


# -- races ---------------------------------------------------------------------------------


def order(seed: int, rounds: int = 24) -> str:
    machine, calls = Machine(0, spread=0.0), []

    def runner(name: str) -> Callable:
        run = machine.call(0.002)

        def called(value: object) -> None:
            calls.append(name)
            run(value)

        return called

    plan = Plan(1, False, rounds, 1.0)
    race(runner("a"), runner("b"), [0], batch_size=1, plan=plan,
         rng=np.random.default_rng(seed), watch=machine.watch)  # fmt: skip
    return "".join(calls)[-2 * rounds :]


def test_who_begins_is_drawn_by_the_seed_and_each_begins_as_often():
    assert order(1) == order(1)
    assert order(1) != order(2)
    for seed in range(5):
        begins = order(seed)[::2]
        assert begins.count("a") == begins.count("b")
        assert order(seed)[1::2].count("a") == begins.count("b")


def test_rounds_are_thrown_away_until_both_are_steady():
    def warming(machine: Machine) -> tuple[float, float]:
        return 1.0 + 20.0 * math.exp(-machine.now / 0.2), 0.0

    machine = Machine(0, warming, spread=0.0)
    plan = Plan(2, True, 15, 1.0)
    found = race(machine.call(0.002), machine.call(0.002), [0], batch_size=1, plan=plan,
                 rng=np.random.default_rng(0), watch=machine.watch)  # fmt: skip
    assert found.p95 < 5.0  # the first call took 42 milliseconds
    assert found.original_p95 < 5.0


def test_a_race_against_a_form_that_is_far_slower_ends_early():
    machine = Machine(0)
    contest = machine.contest(machine.call(0.002))
    assert contest.itself()[0].rounds == ROUNDS
    found = contest.against(machine.call(0.2))[0]
    assert FEWEST_ROUNDS <= found.rounds < ROUNDS
    assert found.speedup == pytest.approx(0.01, rel=0.1)
    assert shortfall([found], 1.2).key == "slower"


@pytest.mark.parametrize(
    ("call", "calls", "warms", "rounds"),
    [(1e-5, MOST_CALLS, True, ROUNDS), (0.002, 2, True, ROUNDS), (0.02, 1, True, 25),
     (0.06, 1, False, 16), (2.0, 1, False, FEWEST_ROUNDS)],
)  # fmt: skip
def test_plans_fit_into_the_time(call, calls, warms, rounds):
    machine = Machine(0, spread=0.0)
    plan = planned(machine.call(call), [0, 1, 2], seconds=2.001, watch=machine.watch)
    assert (plan.calls, plan.warms, plan.rounds) == (calls, warms, rounds)
    assert plan.seconds == pytest.approx(2 * call * (calls + warms) * rounds)


# -- numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 8, 15, 16, 31, 93])
def test_the_interval_is_that_of_the_binomial_law(count):
    from scipy.stats import binom

    low, high = median_interval(range(count))
    cut = int(low)
    assert high == count - 1 - cut
    covered = 1 - 2 * binom.cdf(cut, count, 0.5)
    assert covered >= 0.99 or cut == 0
    assert 1 - 2 * binom.cdf(cut + 1, count, 0.5) < 0.99


def test_the_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        low, high = median_interval(rng.standard_cauchy(31))
        held += low <= 0.0 <= high
    assert held >= 0.985 * 2000


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=120))
def test_the_interval_holds_the_median_of_its_values(values):
    low, high = median_interval(values)
    assert min(values) <= low <= float(np.median(values)) <= high <= max(values)
    assert median_interval(values[::-1]) == (low, high)


def test_the_mean_is_that_of_ratios():
    assert mean([2.0, 0.5]) == pytest.approx(1.0)
    assert math.isnan(mean([float("nan")]))
