"""Forms of a model that were saved: they answer as before, or are refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import lepton_ai as lai
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ArtifactError, IntegrityError
from lepton_ai.models import golden
from lepton_ai.models.artifact import read_golden
from lepton_ai.models.engines import openvino
from lepton_ai.optimization.form import as_model, megabytes
from lepton_ai.optimization.step import Bench

FORMS = ("onnxruntime", "onnxruntime_int8", "openvino", "openvino_int8")


@pytest.fixture(scope="module")
def forms(model, held_out):
    encoded = encode_inputs(model.task.inputs, model.specs, model.task.typed(held_out).columns)
    bench = Bench(encoded, threads=1)
    made = {}
    for name in FORMS:
        engine = lai.registry.lookup("steps", name)().apply(model, bench)
        made[name] = as_model(model, engine)
    return made


@pytest.mark.parametrize("name", FORMS)
def test_a_saved_form_answers_as_before(name, forms, model, held_out, tmp_path):
    forms[name].save(tmp_path / "model")
    loaded = lai.load(tmp_path / "model")
    assert type(loaded.engine) is type(forms[name].engine)
    assert loaded.engine.config() == forms[name].engine.config()
    before, after = forms[name].predict(held_out), loaded.predict(held_out)
    assert np.array_equal(before["label.scores"], after["label.scores"])
    kept = read_golden(tmp_path / "model" / "golden")
    assert golden.replay(loaded, kept).stage is None
    loaded.engine = None  # the network itself is in the artifact too
    assert np.array_equal(
        loaded.predict(held_out)["label.scores"], model.predict(held_out)["label.scores"]
    )


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_flipped_byte_of_a_form_is_noticed(name, forms, tmp_path):
    forms[name].save(tmp_path / "model")
    for file in sorted((tmp_path / "model" / "forms" / name).iterdir()):
        data = file.read_bytes()
        file.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
        with pytest.raises(IntegrityError, match=file.name.replace(".", r"\.")):
            lai.load(tmp_path / "model")
        file.write_bytes(data)
    lai.load(tmp_path / "model")


def test_a_form_that_is_no_graph_is_an_artifact_error(forms, tmp_path):
    for name, files in {
        "onnxruntime": ("model.onnx",), "openvino": ("model.xml", "model.bin")
    }.items():  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        for file in files:
            (folder / file).write_bytes(b"nothing of the kind")
        engine = type(forms[name].engine)
        with pytest.raises(ArtifactError, match=files[0].replace(".", r"\.")):
            engine.load(folder, forms[name].engine.config())


def test_weights_that_begin_like_a_pickle_are_moved(forms, held_out, tmp_path, monkeypatch):
    import re

    monkeypatch.setattr(openvino, "_UNSAFE", re.compile(b"", re.DOTALL))  # as if each did
    forms["openvino_int8"].save(tmp_path / "model")
    assert (tmp_path / "model/forms/openvino/model.bin").read_bytes()[:64] == bytes(64)
    assert np.array_equal(
        lai.load(tmp_path / "model").predict(held_out)["label.scores"],
        forms["openvino_int8"].predict(held_out)["label.scores"],
    )
    assert openvino._UNSAFE.match(b"\x80\x04")


def test_only_what_belongs_to_the_inputs_goes_around_the_graph(forms, model, held_out):
    columns = encode_inputs(
        model.task.inputs, model.specs, model.task.typed(held_out).columns
    ).slice(0, 3)
    outputs = forms["onnxruntime"].outputs({**columns, "label.lengths": columns["image.size"]})
    assert set(outputs) == {"image.size", "logits"}
    assert "label.lengths" not in outputs
    assert megabytes(forms["openvino_int8"]) < megabytes(forms["openvino"])


def test_openvino_reports_its_use_to_nobody(tmp_path):
    code = (
        "import sys\n"
        "from lepton_ai.models.engines.openvino import runtime\n"
        "runtime()\n"
        "assert 'openvino' in sys.modules\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=120)
