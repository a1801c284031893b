"""The doctor finds each illness that was planted, and nothing in models that are well."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import registry
from lepton_ai.data.encoding import encode_inputs, encode_targets
from lepton_ai.layers import Activation, BatchNormalization, Dense, Dropout, Flatten
from lepton_ai.training.doctor import Checkup, diagnose, doctor, examine
from lepton_ai.training.preserving import preserved
from lepton_ai.training.run import Run

TASKS = [name for name in registry.names("tasks") if name != "supervised"]


def classes(count: int = 96, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that no single column tells apart."""
    x = np.random.default_rng(0).normal(size=(count, width)).astype("float32")
    return x, (x @ np.random.default_rng(1).normal(size=(width, 3))).argmax(1)


def network(*layers: Any, loss: Any = "categorical_crossentropy", optimizer: Any = "adam") -> Any:
    model = lai.models.Sequential(list(layers))
    model.compile(optimizer, loss, ["accuracy"] if "cross" in str(loss) else [])
    return model


def plain(*between: Any) -> Any:
    return network(
        Dense(16, activation="relu", input_shape=(5,)), *between, Dense(3, activation="softmax")
    )


def own(module: nn.Module, *, from_logits: bool = True) -> Any:
    """A network of the user's own, without an activation at its end."""
    model = lai.Model(module)
    model.compile("adam", lai.losses.CategoricalCrossentropy(from_logits=from_logits))
    return model


def history(*losses: float, **config: Any) -> Run:
    return Run("run", history={"loss": list(losses)}, config=config)


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


# -- those that are well ---------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_healthy_tasks(name: str) -> None:
    task = registry.lookup("tasks", name).example()
    data = lai.Dataset(task.sample(np.random.default_rng(0), 64), {**task.inputs, **task.outputs})
    model = lai.Model(None, task)
    assert doctor(model, data).findings == []
    assert not model.bound
    model.fit(data, epochs=2, batch_size=16, seed=1, verbose=0)
    before = state_of(model)
    random = torch.get_rng_state()
    checkup = doctor(model, data)
    assert checkup.findings == [], checkup
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_healthy_numbers() -> None:
    rng = np.random.default_rng(0)
    rows = {f"c{place}": rng.normal(size=200) for place in range(4)}
    rows["price"] = 3000 + 500 * (rows["c0"] - rows["c1"] + 0.3 * rng.normal(size=200))
    task = lai.tasks.Tabular(
        {name: lai.data.fields.Number() for name in list(rows)[:-1]},
        {"price": lai.data.fields.Number()},
    )
    model = lai.Model(None, task)
    assert doctor(model, rows).healthy
    model.fit(rows, epochs=6, seed=0, verbose=0)
    assert doctor(model, rows).healthy, doctor(model, rows)


@pytest.mark.parametrize(
    "layers", [(), (BatchNormalization(),), (Dropout(0.5),), (Dense(16, activation="tanh"),)],
    ids=["plain", "norm", "dropout", "deeper"],
)  # fmt: skip
def test_healthy_programs_as_in_keras(layers: tuple[Any, ...]) -> None:
    x, y = classes()
    model = plain(*layers)
    assert doctor(model, (x, y)).healthy, doctor(model, (x, y))
    model.fit(x, y, epochs=6, batch_size=16, seed=0, verbose=0)
    assert doctor(model, (x, y)).healthy, doctor(model, (x, y))


def test_healthy_pictures() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((64, 12, 12, 1)).astype("float32")
    labels = (images[:, :6].mean((1, 2, 3)) > images[:, 6:].mean((1, 2, 3))).astype(int)
    model = network(
        lai.layers.Conv2D(8, 3, activation="relu", input_shape=(12, 12, 1)),
        lai.layers.MaxPooling2D(), Flatten(), Dense(2, activation="softmax"),
    )  # fmt: skip
    assert doctor(model, (images, labels)).healthy, doctor(model, (images, labels))


# -- those that are ill ----------------------------------------------------------------------


def only(checkup: Checkup, name: str) -> Any:
    assert name in checkup, checkup
    finding = checkup[name]
    assert finding.seen
    assert finding.why
    assert finding.cure
    return finding


def test_dead_units_of_a_layer() -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, epochs=1, seed=0, verbose=0)
    with torch.no_grad():
        model.stack[0].bias.fill_(-100)
    finding = only(doctor(model, (x, y)), "dead_units")
    assert finding.where == "network.module.layers.0 (Dense)"
    assert finding.seen.startswith("16 of 16 units give 0 for all of 96 examples")
    assert finding.severity == "blocks"
    with torch.no_grad():
        model.stack[0].bias[:10] = 0  # most are alive again
    assert "dead_units" not in doctor(model, (x, y))


@pytest.mark.parametrize("inplace", [False, True])
def test_dead_units_of_a_network_of_ones_own(inplace: bool) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.relu = nn.Linear(5, 8), nn.ReLU(inplace)
            self.second, self.last = nn.Linear(8, 8), nn.Linear(8, 3)
            nn.init.constant_(self.second.bias, -50)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.second(self.relu(self.first(x)))))

    finding = only(doctor(own(Own()), classes()), "dead_units")
    assert finding.where.endswith("second (Linear)")


def test_softmax_twice() -> None:
    x, y = classes()
    twice = network(
        Dense(16, activation="relu", input_shape=(5,)), Dense(3, activation="softmax"),
        Activation("softmax"),
    )  # fmt: skip
    finding = only(doctor(twice, (x, y)), "softmax_twice")
    assert "0.55" in finding.why  # -log softmax([1, 0, 0])[0]
    logits = network(
        Dense(16, activation="relu", input_shape=(5,)), Dense(3),
        loss=lai.losses.CategoricalCrossentropy(from_logits=True),
    )  # fmt: skip
    assert "softmax_twice" not in doctor(logits, (x, y))
    shares = nn.Sequential(nn.Linear(5, 3), nn.Softmax(-1))
    with pytest.raises(lai.LeptonError, match="softmax would be applied twice"):
        doctor(own(shares), (x, y))
    assert "softmax_twice" not in doctor(own(shares, from_logits=False), (x, y))


def test_a_first_loss_far_above_guessing() -> None:
    x, y = classes()
    finding = only(doctor(plain(), (x * 255, y)), "loss_scale")
    assert "guessing gives 1.1" in finding.seen  # log(3)
    assert "x.std(axis=0)" in finding.cure
    bright = np.clip(np.abs(x) * 255, 0, 255)
    assert "x / 255" in only(doctor(plain(), (bright, y)), "loss_scale").cure


def test_a_target_on_a_scale_of_its_own() -> None:
    x, _ = classes()
    model = network(Dense(8, activation="relu", input_shape=(5,)), Dense(1), loss="mse")
    finding = only(doctor(model, (x, 5000 + 300 * x[:, 0] + x[:, 1])), "target_scale")
    assert "its mean is 49" in finding.seen or "its mean is 50" in finding.seen
    assert finding.cure.startswith("standardise it: y = (y - ")


def test_nothing_learned() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 5)).astype("float32"), rng.integers(0, 3, 96)
    model = plain()
    model.fit(x, y, epochs=1, seed=0, verbose=0)
    for parameter in model.stack[-1].parameters():
        nn.init.zeros_(parameter)
    checkup = doctor(model, (x, y), run=history(*[1.1] * 6))
    assert "after 6 epochs" in only(checkup, "no_better_than_guessing").seen


def deep(activation: str, deviation: float) -> Any:
    first = {"name": "random_normal", "stddev": deviation}
    layers = [
        Dense(12, activation=activation, kernel_initializer=first, input_shape=(5,))
        if place == 0 else Dense(12, activation=activation, kernel_initializer=first)
        for place in range(14)
    ]  # fmt: skip
    return network(*layers, Dense(3, activation="softmax"))


def test_gradients_that_vanish() -> None:
    finding = only(doctor(deep("sigmoid", 0.1), classes()), "vanishing_gradients")
    assert finding.where == "network.module.layers.0"


def test_gradients_that_explode() -> None:
    assert "exploding_gradients" in doctor(deep("linear", 3.0), classes())


def test_weights_that_the_loss_does_not_depend_on() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    finding = only(doctor(own(Idle()), classes()), "untrained_weights")
    assert "the loss does not depend on 2 weights" in finding.seen
    assert finding.where.endswith("idle")


def test_layers_in_a_plain_list() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(5, 3)
            self.blocks = [nn.Linear(5, 5), nn.Linear(5, 5)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x)
            return self.last(x)

    finding = only(doctor(own(Listed()), classes()), "hidden_layer")
    assert finding.where.endswith("blocks")
    assert "ModuleList" in finding.cure


def test_a_model_that_is_frozen_whole() -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, epochs=1, seed=0, verbose=0)
    model.requires_grad_(False)
    assert only(doctor(model, (x, y)), "all_frozen").severity == "blocks"
    assert not any(p.requires_grad for p in model.parameters())


def test_what_the_trainer_knows_besides() -> None:
    x, y = classes()
    model = plain()
    run = model.fit(x, y, epochs=3, seed=0, verbose=0)
    data = lai.Dataset({"x": x, "y": y}, {**model.task.inputs, **model.task.outputs})
    encoded = encode_inputs(model.task.inputs, model.specs, data.columns).merged(
        encode_targets(model.head, model.specs, data.columns)
    )
    before = {name: value.detach() + 1 for name, value in model.named_parameters()}
    whole = torch.optim.SGD(model.parameters(), 0.1)
    assert examine(model, encoded, run, optimizer=whole, before=before) == []
    parts = list(model.named_parameters())
    some = torch.optim.SGD([p for _, p in parts[1:]], 0.1)
    (finding,) = examine(model, encoded, run, optimizer=some, before=before)
    assert finding.seen == f"the optimiser does not hold 1 weight: {parts[0][0]}"
    (finding,) = examine(
        model, encoded, run, before=before | {parts[2][0]: parts[2][1].detach().clone()}
    )
    assert finding.seen == f"training did not change 1 weight: {parts[2][0]}"


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ((1.0, 2.0, 4.0), "learning_rate_too_high"),
        ((1.0, 0.5, float("nan")), "learning_rate_too_high"),
        ((1.0, 0.6, 0.9, 0.5, 0.8, 0.4, 0.7), "learning_rate_too_high"),
        ((1.1, 1.099, 1.098, 1.097), "learning_rate_too_low"),
        ((1.1, 0.9, 0.7), None),
        ((1.1, 0.5, 0.52, 0.4, 0.41, 0.3), None),
        ((1.1, 1.099), None),
        ((0.1, 0.0999, 0.0998, 0.0997), None),  # converged: far below guessing
    ],
)
def test_the_trend_of_the_loss(losses: tuple[float, ...], name: str | None) -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, epochs=40, batch_size=16, seed=0, verbose=0)
    if losses[0] > 1:  # a model for which guessing is about what its loss was
        model = plain()
    found = [f.name for f in doctor(model, (x, y), run=history(*losses, learning_rate=0.1))]
    found = [one for one in found if one.startswith("learning_rate")]
    assert found == ([name] if name else [])


def leaky(column: str, values: Callable[[np.ndarray, Any], Any], count: int = 240) -> Any:
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {f"c{place}": rng.normal(size=count) for place in range(3)}
    bought = rows["c0"] + rng.normal(size=count) > 0
    rows[column] = values(bought, rng)
    rows["bought"] = np.where(bought, "yes", "no")
    return rows


@pytest.mark.parametrize(
    ("values", "how"),
    [
        (lambda y, rng: y.astype(float), "stands one to one for"),
        (lambda y, rng: np.where(y, "paid", "open"), "stands one to one for"),
        (lambda y, rng: np.where(y, rng.choice(["a", "b"], len(y)), "c"), "decides alone"),
        (lambda y, rng: np.where(y, 5.0, -5.0) + rng.normal(size=len(y)) * 0.1, "by a threshold"),
    ],
)
def test_a_column_that_gives_the_answer_away(values: Any, how: str) -> None:
    rows = leaky("status", values)
    finding = only(doctor(lai.Model(None, lai.tasks.Tabular()), rows), "label_leak")
    assert finding.where == "status"
    assert re.search(how, finding.seen)
    assert "'status'" in finding.cure
    harmless = leaky("status", lambda y, rng: rng.choice(["a", "b"], len(y)))
    assert "label_leak" not in doctor(lai.Model(None, lai.tasks.Tabular()), harmless)


def test_a_number_in_other_units_of_the_target() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4)).astype("float32")
    model = network(Dense(8, activation="relu", input_shape=(4,)), Dense(1), loss="mse")
    finding = only(doctor(model, (x, 3 * x[:, 2] + 1)), "label_leak")
    assert finding.where == "x[2]"


def test_validation_rows_that_were_trained_on() -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, validation_data=(x[:30], y[:30]), epochs=1, seed=0, verbose=0)
    finding = only(doctor(model, (x, y), validation_data=(x[:30], y[:30])), "shared_rows")
    assert "30 of 30 validation examples" in finding.seen
    assert "the first epoch has val_accuracy" in finding.seen
    other, _ = np.split(np.random.default_rng(9).normal(size=(60, 5)).astype("float32"), 2)
    assert doctor(model, (x, y), validation_data=(other, y[:30])).healthy


def test_few_columns_agree_by_chance() -> None:
    rng = np.random.default_rng(0)

    def table(count: int) -> dict[str, Any]:
        rows = {"a": rng.choice(["x", "y"], count), "b": rng.choice(["u", "v", "w"], count)}
        return rows | {"label": rng.choice(["no", "yes"], count)}

    checkup = doctor(
        lai.Model(None, lai.tasks.Tabular()), table(100), validation_data=table(30)
    )  # fmt: skip
    assert "shared_rows" not in checkup


def test_a_checkup_reads_well() -> None:
    x, y = classes()
    checkup = doctor(plain(), (x * 255, y))
    text = repr(checkup)
    assert text.splitlines()[0].startswith("Sequential, Supervised(x -> y): ")
    assert max(map(len, text.splitlines())) <= 96
    for word in ("seen:", "why:", "type:", "loss_scale"):
        assert word in text
    assert json.loads(json.dumps(checkup.to_json()))["healthy"] is False
    assert "<table>" in checkup._repr_html_()
    assert not checkup
    with pytest.raises(KeyError):
        checkup["nothing"]


def test_data_that_does_not_fit_is_refused() -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, epochs=1, seed=0, verbose=0)
    with pytest.raises(lai.LeptonError):
        doctor(model, {"x": x})


# -- where a loss stops being a number -------------------------------------------------------


class Thrower(nn.Module):
    """Gives what it is told to for its input."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def batch(model: nn.Module, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    def run() -> torch.Tensor:
        loss = model(x).square().mean()
        loss.backward()
        return loss

    return run


def chain(*between: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(*between), nn.Linear(4, 1))


def test_a_healthy_batch_has_no_diagnosis() -> None:
    model = chain(nn.ReLU())
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert not found.found
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("function", "value"),
    [(lambda x: x / 0.0, "inf"), (lambda x: (x - 1e9).log(), "NaN"), (lambda x: x.mul(0).log(),
      "-inf")],
)  # fmt: skip
def test_the_first_output_that_is_not_finite(function: Any, value: str) -> None:
    model = chain(nn.ReLU(), Thrower(function), nn.Tanh())
    with torch.no_grad():
        model[0].bias.fill_(50.0)
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert (found.kind, found.layer, found.layer_type) == ("output", "1.1", "Thrower")
    assert found.value == value
    assert found.inputs_finite
    assert "first non-finite output" in str(found)
    assert "layer '1.1 (Thrower)'" in str(found)


def test_the_largest_weight_is_told() -> None:
    model = chain(nn.ReLU())
    with torch.no_grad():
        model[2].weight.fill_(3e38)
        model[0].bias.fill_(50.0)
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert found.layer == "2"
    assert "largest weight 3e+38" in str(found)
    assert "its input was finite" in str(found)


def test_code_between_the_layers_is_blamed_on_its_module() -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x) / torch.zeros(3))

    model = nn.Sequential(nn.Linear(3, 3), Between())
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert (found.kind, found.layer, found.inputs_finite) == ("output", "1", False)
    assert "between its layers" in str(found)


def test_weights_that_are_broken_already() -> None:
    model = chain(nn.ReLU())
    with torch.no_grad():
        model[2].bias.fill_(float("nan"))
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert (found.kind, found.layer, found.weights) == ("weights", "2", ["bias"])
    assert "weight 'bias' of layer '2 (Linear)' holds NaN already" in str(found)


def test_columns_and_examples_that_are_not_finite() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def forward(self, columns: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.linear(torch.stack([columns["age"], columns["income"]], 1))

    columns = {"age": torch.ones(4), "income": torch.tensor([1.0, float("nan"), 2.0, 1e38 * 10])}
    model = Table()
    found = diagnose(model, batch(model, columns), indices=[17, 230, 4, 9])  # type: ignore[arg-type]
    assert found.kind == "input"
    assert found.columns == {"income": [230, 9]}
    assert "column 'income' holds NaN in examples 230, 9" in str(found)


def test_a_loss_of_finite_outputs() -> None:
    model = chain(nn.ReLU())

    def run() -> torch.Tensor:
        loss = (model(torch.ones(2, 3)) * 0).log().sum()
        loss.backward()
        return loss

    found = diagnose(model, run)
    assert (found.kind, found.value) == ("loss", "-inf")
    assert "every output is finite" in str(found)


def test_the_layer_that_makes_the_first_bad_gradient() -> None:
    # the square root at 0 is 0, and its gradient is infinite: times 0 it is NaN
    model = chain(nn.Tanh(), Thrower(lambda x: (x * 0).sqrt()), nn.Tanh())
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert (found.kind, found.layer) == ("gradient", "1.1")
    assert "forwards all is finite" in str(found)
    assert "comes out of layer '1.1 (Thrower)'" in str(found)


def test_a_gradient_that_comes_from_the_loss() -> None:
    model = chain(nn.Tanh())

    def run() -> torch.Tensor:
        loss = (model(torch.ones(2, 3)) * 0).sqrt().sum()
        loss.backward()
        return loss

    found = diagnose(model, run)
    assert (found.kind, found.layer, found.inputs_finite) == ("gradient", "2", False)
    assert "from the loss" in str(found)


def test_values_that_are_finite_but_exploded() -> None:
    model = chain(nn.ReLU())
    with torch.no_grad():
        model[2].weight.fill_(1e12)
        model[0].bias.fill_(50.0)
    found = diagnose(model, batch(model, torch.ones(2, 3)))
    assert (found.kind, found.layer) == ("exploded", "2")


def test_a_layer_asked_for_its_linear_part_alone_is_seen() -> None:
    x, y = classes()
    model = plain()
    model.fit(x, y, epochs=1, seed=0, verbose=0)
    with torch.no_grad():
        model.stack[-1].kernel.fill_(3e38)
    finding = only(doctor(model, (x * 100, y)), "not_finite")
    assert finding.where == "layer 'network.module.layers.1 (Dense)'"
    assert "largest weight 3e+38" in finding.seen
    assert "linear" not in vars(model.stack[-1])


def test_an_error_while_looking_leaves_nothing_behind() -> None:
    model = chain(nn.ReLU())

    def run() -> None:
        model(torch.ones(2, 3))
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        diagnose(model, run)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_preserved_puts_everything_back() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[1].eval()
    model(torch.ones(4, 3)).sum().backward()
    before = state_of(model)
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    places = [p.data_ptr() for p in model.parameters()]
    random = torch.get_rng_state()
    with preserved(model):
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).square().sum().backward()
            optimizer.step()
        model[1].running_mean = torch.ones(3)  # another tensor in its place
        model.requires_grad_(False)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True)
               if p.grad is not None)  # fmt: skip
    assert [p.data_ptr() for p in model.parameters()] == places
    assert all(p.requires_grad for p in model.parameters())
    assert [m.training for m in model] == [True, False, True]
    assert torch.equal(torch.get_rng_state(), random)
