"""The faster form is a model: all that can be done with a model can be done with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.optimization import Step, measuring
from lepton_ai.optimization.contest import WIDEST, shortfall
from lepton_ai.optimization.form import as_model, twin
from lepton_ai.optimization.measuring import Watch
from lepton_ai.optimization.step import Bench

FORMS = ("onnxruntime", "onnxruntime_int8", "openvino", "openvino_int8")


@pytest.fixture(scope="module", params=FORMS)
def form(request, model, held_out) -> lai.Model:
    encoded = encode_inputs(model.task.inputs, model.specs, model.task.typed(held_out).columns)
    engine = lai.registry.lookup("steps", request.param)().apply(model, Bench(encoded, threads=1))
    return as_model(model, engine)


def test_it_is_evaluated_and_predicts(form, model, held_out):
    before, after = lai.evaluate(model, held_out), lai.evaluate(form, held_out)
    assert set(after) == set(before)
    assert after["accuracy"] == pytest.approx(before["accuracy"], abs=0.05)
    assert form.evaluate(held_out, return_dict=True) == pytest.approx(after)
    single, many = form.predict(held_out[3]), form.predict(held_out)
    assert single["label"] == many["label"].to_pylist()[3]
    assert np.allclose(many["label.scores"].sum(axis=1), 1, atol=1e-5)
    alone = form.predict(held_out, batch_size=1)
    assert np.allclose(alone["label.scores"], many["label.scores"], atol=1e-4)


def test_it_is_explained_without_gradients(form, held_out, tmp_path):
    found = lai.explain(form, held_out[0])
    assert found.method == "occlusion"
    assert np.ptp([part.weight for part in found.attributions]) > 0
    asked = lai.explain(form, held_out[0], method="integrated_gradients")
    assert asked.method == "occlusion"
    assert any("gives no gradients" in note for note in asked.notes)
    form.save(tmp_path / "model")
    again = lai.explain(lai.load(tmp_path / "model"), held_out[0])
    assert [a.weight for a in again.attributions] == [a.weight for a in found.attributions]


def test_the_chosen_form_is_saved_with_its_report(fast, model, held_out, tmp_path):
    assert fast is not model, fast.optimization.to_text()
    fast.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    assert again.engine.precision == fast.engine.precision
    assert lai.evaluate(again, held_out) == pytest.approx(lai.evaluate(fast, held_out))
    told = lai.optimization.Report.from_json(again.lineage["optimization"])
    assert told == fast.optimization
    assert lai.explain(again, held_out[0]).method == "occlusion"


def test_a_sequential_model_stays_as_in_keras(tmp_path, ticks):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 1)).astype("float32")
    y = (x.mean((1, 2, 3)) > 0).astype("int64")
    model = lai.models.Sequential([
        lai.layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)),
        lai.layers.Flatten(), lai.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=1, verbose=0, workspace=tmp_path)
    fast = lai.optimize(
        model, data=(x, y), steps=["onnxruntime"], batch_sizes=(1,), min_speedup=1, verbose=0
    )
    assert fast is not model, fast.optimization.to_text()
    assert type(fast) is lai.models.Sequential
    np.testing.assert_allclose(fast.predict(x), model.predict(x), atol=1e-5)
    assert fast.evaluate(x, y) == pytest.approx(model.evaluate(x, y), abs=1e-5)
    fast.save(tmp_path / "model")
    again = lai.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(x), fast.predict(x))


def test_a_faster_form_can_be_optimised_further(fast, held_out, ticks):
    again = twin(fast)  # whose report is replaced
    got = lai.optimize(again, data=held_out, steps=["onnxruntime"], batch_sizes=(1,), verbose=0)
    assert got is again
    assert got.optimization["onnxruntime"].timings
    assert got.optimization.candidates[0].precision == fast.engine.precision


# -- threads -------------------------------------------------------------------------------


@pytest.fixture
def threads(monkeypatch) -> list[int]:
    """Two threads that are only counted: real ones would make the test wait for the machine."""
    count = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: count[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda wanted: count.__setitem__(0, wanted))
    return count


class Watching(Step):
    """Notes how many threads there are."""

    seen: tuple = ()

    def apply(self, model, bench):
        Watching.seen = (torch.get_num_threads(), bench.threads)
        return twin(model)


@pytest.mark.parametrize(
    ("asked", "sizes", "expected"),
    [(None, (1, 4), 1), (None, (4,), 2), (1, (4,), 1), (2, (1,), 2), (3, (1,), 3)],
)
def test_threads_are_chosen_and_come_back(
    asked, sizes, expected, model, held_out, step, ticks, threads
):
    name = step("watching", Watching)
    got = lai.optimize(
        model, data=held_out, steps=[name], batch_sizes=sizes, threads=asked, verbose=0
    )
    assert Watching.seen == (expected, expected)
    assert got.optimization.machine["threads"] == expected
    assert not got.optimization.notes
    assert threads == [2]


def test_threads_come_back_after_an_error(model, held_out, monkeypatch, threads):
    def broken(*args, **more):
        assert threads == [1]
        raise KeyboardInterrupt

    monkeypatch.setattr("lepton_ai.optimization.search.batches_of", broken)
    with pytest.raises(KeyboardInterrupt):
        lai.optimize(model, data=held_out, threads=1, verbose=0)
    assert threads == [2]


def test_threads_that_wait_for_one_another_are_given_up(model, held_out, step, ticks, threads):
    class Waiting(dict):
        def __getitem__(self, name):
            return (40.0, 1.0) if threads == [2] else (1.0, 1.0)

    ticks.costs = Waiting()
    name = step("watching", Watching)
    got = lai.optimize(model, data=held_out, steps=[name], batch_sizes=(4,), threads=2, verbose=0)
    assert Watching.seen == (1, 1)
    assert got.optimization.machine["threads"] == 1
    assert "the original is 40.0 times as fast as with 2 at batch 4" in got.optimization.to_text()
    assert threads == [2]


# -- a machine that other work disturbs ----------------------------------------------------


class Lottery:
    """A clock on which every call takes something between nothing and a second."""

    def __init__(self):
        self.rng, self.now = np.random.default_rng(0), 0.0

    def __call__(self) -> float:
        self.now += float(np.exp(self.rng.uniform(-8.0, 0.0)))
        return self.now


def test_on_a_machine_that_is_too_noisy_the_original_is_returned(
    model, held_out, monkeypatch, threads
):
    monkeypatch.setattr(measuring, "WATCH", Watch(wall=Lottery(), cpu=lambda: 0.0))
    got = lai.optimize(model, data=held_out, steps=["onnxruntime"], batch_sizes=(1,), threads=2,
                       budget="20s", verbose=0)  # fmt: skip
    report = got.optimization
    assert got is model
    assert report.chosen is None
    assert "too noisy to measure" in report.reason
    low, high = report["original"].noise
    assert max(1 / low, high) > WIDEST
    assert f"{low:.2f} to {high:.2f} times as fast" in report.reason
    assert report["onnxruntime"].verdict == "skipped"
    assert "2 threads were too noisy" in report.to_text()
    assert "0.80 to 1.25 is allowed" in report.reason
    assert "过于嘈杂" in report.to_html(language="zh")
    assert threads == [2]


def test_a_form_that_only_seems_fast_because_the_original_stalls_is_refused(
    model, held_out, step, ticks
):
    class Crowding(Step):
        """Its form is as fast as the original, which waits as soon as it is there."""

        def apply(self, model, bench):
            ticks.costs = {"network": (80.0, 1.0), "onnxruntime": (1.0, 1.0)}
            return lai.registry.lookup("steps", "onnxruntime")().apply(model, bench)

    name = step("crowding", Crowding)
    got = lai.optimize(model, data=held_out, steps=[name], batch_sizes=(1,), verbose=0)
    assert got is model
    timing = got.optimization[name].timings[0]
    assert timing.speedup == pytest.approx(80.0)
    assert timing.cpu_speedup == pytest.approx(1.0)
    assert (timing.repeats, timing.stalled) == (1, True)
    assert "80.00 times as fast on the clock but 1.00 times" in got.optimization.reason
    assert "the original was kept waiting" in got.optimization.reason


def test_the_best_of_many_has_to_win_again(model, held_out, step, ticks):
    class Later(Step):
        """By the time that it comes, the first form is as slow as the original."""

        rank = 99

        def apply(self, model, bench):
            ticks.costs["onnxruntime"] = (1.0, 1.0)
            return twin(model)

    name = step("later", Later)
    got = lai.optimize(model, data=held_out, steps=["onnxruntime", name], batch_sizes=(1,),
                       verbose=0)  # fmt: skip
    first = got.optimization["onnxruntime"]
    assert got is model
    assert first.verdict == "refused"
    assert first.reason.startswith("measured again, ")
    ticks.costs["onnxruntime"] = (0.25, 0.25)
    again = lai.optimize(model, data=held_out, steps=["onnxruntime"], batch_sizes=(1,), verbose=0)
    assert again.optimization.chosen == "onnxruntime"


def test_a_real_run_keeps_to_its_own_rule(model, held_out):
    """On this machine as it is: whatever comes out follows from the figures in the report."""
    got = lai.optimize(
        model, data=held_out, steps=["onnxruntime", "openvino"], batch_sizes=(1, 8),
        budget="40s", verbose=0,
    )  # fmt: skip
    report = got.optimization
    for candidate in report.candidates[1:]:
        if candidate.verdict in ("good", "chosen"):
            assert shortfall(candidate.timings, report.min_speedup) is None
            assert candidate.range[0] > candidate.noise[1]
        else:
            assert candidate.said is not None, candidate.verdict
    if report.chosen is None:
        assert got is model
        assert report.reason.startswith("The original is returned: ")
    else:
        assert got.engine is not None
        assert report.said.key == "chosen"
    assert all(t.noise is not None for t in report["original"].timings)
