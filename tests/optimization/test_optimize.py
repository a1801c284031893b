"""optimize(): the fastest form within the bounds, or the original and the reason."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    MissingExtraError,
    NotReadyError,
    UnknownNameError,
)
from lepton_ai.models.engines.engine import Engine
from lepton_ai.optimization import Step
from lepton_ai.optimization.contest import shortfall
from lepton_ai.optimization.form import twin

QUICK = {"budget": "40s", "batch_sizes": (1,), "verbose": 0}


class Form(Engine):
    """Answers by the network, changed on purpose."""

    precision = "int8"

    def __init__(self, model):
        self.model = model

    def __call__(self, columns):
        return self.change(columns, self.model(columns))

    def change(self, columns, outputs):
        return outputs

    def save(self, folder):
        raise NotImplementedError

    @classmethod
    def load(cls, folder, config):
        raise NotImplementedError

    def config(self):
        return {}

    def megabytes(self):
        return 0.001


class SlowForm(Form):
    def change(self, columns, outputs):
        for _ in range(7):
            self.model(columns)
        return outputs


class Shuffled(Form):
    def change(self, columns, outputs):
        return {**outputs, "logits": outputs["logits"].roll(1, dims=-1)}


class Shifted(Form):
    precision = "float32"

    def change(self, columns, outputs):
        flat = outputs["logits"] * 0.5
        return {**outputs, "logits": flat}


class Hurting(Form):
    """Wrong wherever the picture's first byte is among the lowest tenth."""

    def change(self, columns, outputs):
        wrong = columns["image"].float().mean((1, 2, 3)) < Hurting.below
        logits = torch.where(wrong[:, None], outputs["logits"].roll(1, -1), outputs["logits"])
        return {**outputs, "logits": logits}


class Nothing(Form):
    def change(self, columns, outputs):
        return {**outputs, "logits": torch.full_like(outputs["logits"], float("nan"))}


def making(form):
    class Made(Step):
        def apply(self, model, bench):
            return form(twin(model))

    return Made


def test_a_small_convnet_gets_a_faster_form(model, held_out, fast):
    report = fast.optimization
    assert fast is not model
    assert model.engine is None
    assert fast.task == model.task or repr(fast.task) == repr(model.task)
    chosen = report[report.chosen]
    assert chosen.verdict == "chosen"
    assert chosen.speedup >= report.min_speedup
    assert all(timing.speedup >= 1 for timing in chosen.timings)
    assert chosen.range[0] > chosen.noise[1] >= 1
    assert shortfall(chosen.timings, report.min_speedup) is None
    before, after = lai.evaluate(model, held_out), lai.evaluate(fast, held_out)
    assert before["accuracy"] > 0.6
    assert after["accuracy"] >= before["accuracy"] - 0.01
    assert chosen.figure == pytest.approx(after["accuracy"])


def test_every_form_of_the_small_convnet_can_be_made(fast):
    verdicts = {c.name: c.verdict for c in fast.optimization.candidates}
    assert {"onnxruntime", "onnxruntime_int8", "openvino", "openvino_int8"} <= set(verdicts)
    assert "failed" not in verdicts.values(), fast.optimization.to_text()
    assert "skipped" not in verdicts.values()
    exact = [fast.optimization[name] for name in ("onnxruntime", "openvino")]
    assert all(candidate.difference < 1e-5 for candidate in exact)
    assert all(candidate.agreement == 1.0 for candidate in exact)
    assert fast.optimization["openvino_int8"].megabytes < fast.optimization["openvino"].megabytes


def test_the_article_s_network_gets_a_faster_form(tmp_path, ticks):
    layers = lai.layers
    model = lai.models.Sequential()
    model.add(
        layers.Conv2D(filters=32, kernel_size=(3, 3), activation="relu", input_shape=(32, 32, 3))
    )
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Conv2D(filters=64, kernel_size=(3, 3), activation="relu"))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(units=64, activation="relu"))
    model.add(layers.Dense(units=10, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 32, 32, 3), dtype=np.uint8)
    data = lai.Dataset({"image": image, "label": [str(n % 10) for n in range(64)]})
    model.fit(data, epochs=1, batch_size=32, verbose=0, workspace=tmp_path)
    ticks.costs = {"network": (200.0, 200.0), "onnxruntime": (90.0, 90.0), "openvino": (50.0, 50.0)}
    fast = lai.optimize(
        model, data=data, steps=("onnxruntime", "openvino"), budget="1min", verbose=0
    )
    assert fast.optimization.chosen == "openvino"
    assert fast is not model, fast.optimization.to_text()
    told = fast.predict(data)["label.scores"]
    assert np.allclose(told.sum(axis=1), 1, atol=1e-5)  # the softmax is in the decoding
    np.testing.assert_allclose(told, model.predict(data)["label.scores"], atol=1e-5)
    assert fast.optimization.whole[0].median > fast.optimization[fast.optimization.chosen].timings[
        0
    ].median * 0.5  # fmt: skip


def test_a_slow_int8_form_is_refused_and_the_original_comes_back(model, held_out, step, ticks):
    name = step("slow_int8", making(SlowForm))
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    got = lai.optimize(model, data=held_out, steps=[name], **QUICK)
    assert got is model
    assert got.engine is None
    assert got.optimization.chosen is None
    assert got.optimization[name].verdict == "refused"
    assert "slower than the original at batch 1" in got.optimization[name].reason
    assert "slow_int8: slower" in got.optimization.reason
    assert "optimization" not in model.lineage
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def test_shuffled_classes_are_refused(model, held_out, step, ticks):
    name = step("shuffled", making(Shuffled))
    got = lai.optimize(model, data=held_out, steps=[name], max_drop=1.0, min_speedup=1, **QUICK)
    assert got is model
    assert "answers otherwise than the original" in got.optimization[name].reason
    assert got.optimization[name].agreement < 0.5


def test_scores_that_float32_does_not_explain_are_refused(model, held_out, step, ticks):
    name = step("shifted", making(Shifted))
    got = lai.optimize(model, data=held_out, steps=[name], min_speedup=1, **QUICK)
    assert got is model
    assert got.optimization[name].agreement == 1.0
    assert "which float32 does not explain" in got.optimization[name].reason


def test_a_drop_beyond_the_bound_is_refused(model, held_out, step, ticks):
    brightness = held_out["image"].reshape(len(held_out), -1).mean(axis=1)
    right = model.predict(held_out)["label"].to_numpy(zero_copy_only=False) == held_out[
        "label"
    ].to_numpy(zero_copy_only=False)  # fmt: skip
    Hurting.below = float(np.sort(brightness[right])[5])
    name = step("hurting", making(Hurting))
    got = lai.optimize(model, data=held_out, steps=[name], min_speedup=1, **QUICK)
    candidate = got.optimization[name]
    assert got is model
    assert candidate.agreement > 0.9
    assert candidate.drop > 0.03
    assert "accuracy becomes worse by" in candidate.reason


def test_a_form_that_gives_no_numbers_is_refused(model, held_out, step, ticks):
    name = step("nothing", making(Nothing))
    got = lai.optimize(model, data=held_out, steps=[name], min_speedup=1, **QUICK)
    assert got is model
    assert got.optimization[name].verdict in ("refused", "failed")
    json.dumps(got.optimization.to_json(), allow_nan=False)


def test_a_step_that_breaks_is_told_and_the_others_go_on(model, held_out, step, ticks):
    class Breaking(Step):
        rank = 1

        def apply(self, model, bench):
            raise RuntimeError("the operator Foo of layer 3 is not known")

    name = step("breaking", Breaking)
    got = lai.optimize(model, data=held_out, steps=[name, "onnxruntime"], **QUICK)
    assert got.optimization[name].verdict == "failed"
    assert "the operator Foo of layer 3" in got.optimization[name].reason
    assert got.optimization["onnxruntime"].timings


def test_a_step_may_give_a_model(model, held_out, step, ticks):
    class Copying(Step):
        def apply(self, model, bench):
            return twin(model)

    name = step("copying", Copying)
    got = lai.optimize(model, data=held_out, steps=[name], min_speedup=5, **QUICK)
    assert got is model
    assert got.optimization[name].difference == 0
    assert "times as fast" in got.optimization[name].reason


def test_a_step_that_does_not_apply_says_why(model, held_out, step, ticks):
    class Elsewhere(Step):
        def applies(self, model):
            return "this processor has no tensor unit"

        def apply(self, model, bench):
            raise AssertionError

    name = step("elsewhere", Elsewhere)
    got = lai.optimize(model, data=held_out, steps=[name], **QUICK)
    assert got.optimization[name].verdict == "unfit"
    assert "no tensor unit" in got.optimization.reason


def test_without_time_the_rest_is_skipped_and_told(model, held_out, ticks):
    got = lai.optimize(model, data=held_out, budget=0, batch_sizes=(1,), verbose=0)
    assert got is model
    assert {c.verdict for c in got.optimization.candidates[1:]} == {"skipped"}
    assert "Raise budget" in got.optimization.candidates[-1].reason


def test_lines_are_printed_when_asked(model, held_out, capsys, ticks):
    lai.optimize(model, data=held_out, steps=["onnxruntime"], **{**QUICK, "verbose": 2})
    out = capsys.readouterr().out
    assert "onnxruntime: accuracy" in out
    assert len(out.splitlines()) == 2


def test_training_the_faster_form_leaves_the_original_alone(model, held_out, fast, tmp_path):
    other = twin(fast)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    other.fit(held_out, epochs=1, verbose=0, workspace=tmp_path)
    assert other.engine is None
    assert fast.engine is not None
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert not all(torch.equal(value, weights[k]) for k, value in other.state_dict().items())


def test_what_cannot_be_is_said(model, held_out, step, ticks):
    with pytest.raises(ConfigError, match="received str"):
        lai.optimize("model", data=held_out)
    with pytest.raises(NotReadyError):
        lai.optimize(lai.Model("convnet", "image_classification"), data=held_out)
    with pytest.raises(ConfigError, match="data=test_data"):
        lai.optimize(model, data=None)
    with pytest.raises(EmptyDataError):
        lai.optimize(model, data=held_out[:0])
    with pytest.raises(DataError, match="label missing"):
        lai.optimize(model, data=held_out.select(["image"]))
    with pytest.raises(UnknownNameError, match="Did you mean 'onnxruntime'"):
        lai.optimize(model, data=held_out, steps=["onxruntime"])
    for bad in (
        {"max_drop": -0.1}, {"min_speedup": 0.5}, {"batch_sizes": ()}, {"batch_sizes": (0,)},
        {"threads": 0}, {"threads": 1.5}, {"budget": "soon"},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"received"):
            lai.optimize(model, data=held_out, **bad)

    class Absent(Step):
        package = "no_such_package_at_all"

        def apply(self, model, bench):
            raise AssertionError

    name = step("absent", Absent)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[optimize\]"):
        lai.optimize(model, data=held_out, steps=[name])
    got = lai.optimize(model, data=held_out, steps=[name, "onnxruntime"], **QUICK)
    assert "pip install" in got.optimization[name].reason
