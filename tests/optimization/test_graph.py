"""Exported graphs: any batch size, any length, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai import layers
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.models.engines.onnxruntime import OnnxRuntime
from lepton_ai.optimization.graph import export
from lepton_ai.optimization.step import Bench, CannotExport, described

STACKS = {
    "lstm": lambda: [layers.LSTM(6, input_shape=(7, 5)), layers.Dense(2)],
    "gru": lambda: [layers.GRU(6, input_shape=(7, 5)), layers.Dense(2)],
    "rnn": lambda: [
        layers.Bidirectional(layers.SimpleRNN(6, return_sequences=True), input_shape=(7, 5)),
        layers.GlobalAveragePooling1D(), layers.Dense(2),
    ],
    "attention": lambda: [
        layers.Dense(8, input_shape=(7, 5)),
        layers.TransformerEncoder(intermediate_dim=16, num_heads=2),
        layers.GlobalAveragePooling1D(), layers.Dense(2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STACKS)
def test_sequences_can_be_exported(name, tmp_path):
    model = lai.models.Sequential(STACKS[name]())
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(8, 7, 5)).astype("float32")
    model.fit(x, np.zeros((8, 2), "float32"), epochs=1, verbose=0, workspace=tmp_path)
    encoded = encode_inputs(model.task.inputs, model.specs, {"x": x})
    graph = export(model, encoded)
    engine = OnnxRuntime(graph.data, **described(model, graph))
    for count in (1, 5):
        batch = encoded.slice(0, count)
        with torch.inference_mode():
            expected = model.outputs(batch)["logits"]
        torch.testing.assert_close(engine(batch)["logits"], expected, atol=1e-5, rtol=1e-4)


class Stubborn(torch.nn.Module):
    """Looks at a value to decide what to do, which no graph can hold."""

    def forward(self, x):
        if float(x.sum()) > 0:
            return x[:, :1] * 2
        return x[:, :1]


def test_what_cannot_be_exported_is_said_once_and_leaves_the_model_alone():
    task = lai.tasks.Supervised.example()
    model = lai.Model(Stubborn(), task)
    columns = task.sample(np.random.default_rng(0), 8)
    model.bind(lai.Dataset(columns, {**task.inputs, **task.outputs}))
    bench = Bench(encode_inputs(task.inputs, model.specs, columns))
    for _ in range(2):
        with pytest.raises(CannotExport, match="not exportable: "):
            bench.graph(model)
    assert model.engine is None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM, torch.nn.RNN])
def test_recurrent_operators_stand_for_those_of_torch(kind, bias):
    from lepton_ai.optimization.recurrence import Standing

    network = kind(5, 4, 2, bias=bias, batch_first=True, bidirectional=True).eval()
    x = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, ends = network(x)
        with Standing():
            got, own = network(x)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(own, ends)
