"""What every optimiser keeps: it learns, tells its arguments, and goes on after a reload."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
from torch import nn

import lepton_ai as lai
from lepton_ai import optimizers, registry
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers import schedules
from lepton_ai.optimizers.optimizer import Optimizer

NAMES = registry.names("optimizers")
OPTIONS = {
    "sgd": [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    "adam": [{"amsgrad": True}],
    "rmsprop": [{"centered": True, "momentum": 0.5}],
    "ftrl": [{"l1_regularization_strength": 0.001, "beta": 0.1}],
    "lamb": [{"weight_decay": 0.1}],
    "adafactor": [{"relative_step": False}],
    "muon": [{"nesterov": False, "rms_rate": None, "precision": "bfloat16"}],
    "schedule_free_adamw": [{"warmup_steps": 5, "weight_decay": 0.1}],
}
RATES = {"adadelta": 2.0, "adagrad": 0.5, "ftrl": 0.5, "muon": 0.1, "lamb": 0.1, "lion": 0.02,
         "sgd": 0.1}  # fmt: skip
CASES = [(name, arguments) for name in NAMES for arguments in [{}, *OPTIONS.get(name, [])]]
IDS = [f"{name}-{'-'.join(map(str, arguments))}" for name, arguments in CASES]


def make(listed, **arguments):
    return registry.lookup("optimizers", listed)(**arguments)


def network(dtype=torch.float32, seed=0):
    """Kernels channels last, a matrix, vectors, and a parameter that gets no gradient."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Flatten(),
        nn.Linear(36, 5),
    )  # fmt: skip
    layers.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
    return layers.to(dtype=dtype).to(memory_format=torch.channels_last)


def train(model, optimizer, steps, seed=0):
    """Some steps on data that depends on the seed alone."""
    rng = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    for _ in range(steps):
        x = torch.randn(16, 3, 5, 5, generator=rng).to(dtype)
        y = x.mean((2, 3)) @ torch.ones(3, 5, dtype=dtype)
        optimizer.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        optimizer.step()


def bits(model):
    return [tensor.detach().clone() for tensor in model.state_dict().values()]


def carried(state):
    """A state as it comes back from files: groups through JSON, tensors contiguous and new."""
    kept = {
        place: {name: v.clone(memory_format=torch.contiguous_format)
                if isinstance(v, torch.Tensor) else json.loads(json.dumps(v))
                for name, v in one.items()}
        for place, one in state["state"].items()
    }  # fmt: skip
    return {"state": kept, "param_groups": json.loads(json.dumps(state["param_groups"]))}


def test_all_of_keras_are_there():
    assert set(NAMES) >= {
        "sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad", "adadelta", "adamax", "ftrl", "lion",
        "lamb", "adafactor", "muon", "schedule_free_adamw",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_config_and_repr_tell_the_arguments(name, arguments):
    optimizer = make(name, **arguments, clipnorm=2.0)
    assert isinstance(optimizer, Optimizer)
    config = json.loads(json.dumps(optimizer.to_config()))
    assert config["optimizer"] == name
    assert config["clipnorm"] == 2.0
    again = optimizers.from_config(config)
    assert again.config() == optimizer.config()
    assert repr(again) == repr(optimizer)
    for argument, value in arguments.items():
        assert f"{argument}={value!r}" in repr(optimizer)
        assert getattr(again, argument) == value


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_it_learns(name, arguments):
    model = network()
    if name == "ftrl":  # it forgets the weights of the start, which layers after layers need
        model = nn.Sequential(nn.Flatten(), nn.Linear(75, 5))
        model.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
    x = torch.randn(64, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    y = x.mean((2, 3)) @ torch.ones(3, 5)

    def loss():
        return ((model(x) - y) ** 2).mean()

    optimizer = make(name, **{"learning_rate": RATES.get(name, 0.01), **arguments})
    made = optimizer.make([p for p in model.parameters() if p.requires_grad])
    before = loss().item()
    for _ in range(80):
        made.zero_grad()
        loss().backward()
        made.step()
    assert loss().item() < 0.5 * before
    assert torch.equal(model.unused, torch.ones(2, 2)), "no gradient, and yet it moved"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_a_reload_goes_on_with_the_same_bits(name, arguments, dtype):
    rate = RATES.get(name, 0.01) / 10
    recipe = make(name, **{"learning_rate": rate, **arguments})
    straight = network(dtype)
    whole = recipe.make(straight.parameters())
    train(straight, whole, 3, seed=0)
    weights, state = bits(straight), carried(whole.state_dict())
    train(straight, whole, 3, seed=1)

    resumed = network(dtype, seed=9)
    fresh = recipe.make(resumed.parameters())
    resumed.load_state_dict(dict(zip(resumed.state_dict(), weights, strict=True)))
    fresh.load_state_dict(state)
    train(resumed, fresh, 3, seed=1)
    for one, other in zip(bits(straight), bits(resumed), strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one.double()).all()


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_the_state_is_tensors_and_numbers(name, arguments):
    model = network()
    made = make(name, **arguments).make(model.parameters())
    train(model, made, 2)
    state = made.state_dict()
    assert state["state"]
    for one in state["state"].values():
        assert all(isinstance(value, (torch.Tensor, int, float)) for value in one.values())
    json.dumps(state["param_groups"])


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_the_layout_of_a_gradient_does_not_matter(name, arguments):
    plain, other = network(), network()
    for model, layout in ((plain, torch.channels_last), (other, torch.contiguous_format)):
        made = make(name, **arguments).make(model.parameters())
        rng = torch.Generator().manual_seed(3)
        for _ in range(3):
            for parameter in model.parameters():
                slope = torch.randn(parameter.shape, generator=rng)
                if parameter.ndim == 4:
                    slope = slope.contiguous(memory_format=layout)
                parameter.grad = slope
            made.step()
    for one, two in zip(bits(plain), bits(other), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_a_rate_of_nothing_moves_nothing(name):
    model = network().eval()
    optimizer = make(name, weight_decay=0.1)
    made = optimizer.make([{"params": list(model.parameters()), "lr": 0.0}])
    before = bits(model)
    train(model, made, 2)
    for one, two in zip(before, bits(model), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_groups_have_their_own_rate_and_decay(name):
    matrix, vector = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
    table, scale = nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.ones(4))
    made = make(name, learning_rate=0.01, weight_decay=0.2).make(
        [{"params": [matrix, vector]}, {"params": [table, scale], "lr": 0.5, "weight_decay": 0.3}]
    )
    found = {
        id(p): (group["lr"], group["weight_decay"])
        for group in made.param_groups
        for p in group["params"]
    }
    assert found[id(matrix)] == (0.01, 0.2)
    assert found[id(vector)] == (0.01, 0.0)
    assert found[id(table)] == found[id(scale)] == (0.5, 0.3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_decay_apart_from_the_gradient(name):
    """Without a gradient worth its name, a step takes the rate times the decay away."""
    if name == "ftrl":
        pytest.skip("its weights are found anew from the gradients in each step")
    weight, bias = nn.Parameter(torch.full((3, 4), 2.0)), nn.Parameter(torch.full((4,), 2.0))
    made = make(name, learning_rate=0.1, weight_decay=0.5).make([weight, bias])
    weight.grad, bias.grad = torch.zeros(3, 4), torch.zeros(4)
    made.step()
    if name == "lamb":  # the direction, of which decay is a part, is made as long as the weights
        assert weight.detach().allclose(torch.full((3, 4), 1.8))
    else:
        assert weight.detach().allclose(torch.full((3, 4), 1.9))
    assert torch.equal(bias.detach(), torch.full((4,), 2.0))


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_may_be_the_learning_rate(name):
    schedule = schedules.ExponentialDecay(0.25, 10, 0.5)
    optimizer = make(name, learning_rate=schedule)
    assert optimizer.schedule is schedule
    assert optimizer.rate == 0.25
    assert optimizer.make([nn.Parameter(torch.ones(2, 2))]).param_groups[0]["lr"] == 0.25
    config = json.loads(json.dumps(optimizer.to_config()))
    again = optimizers.from_config(config)
    assert again.learning_rate(10) == 0.125
    assert "ExponentialDecay(initial_learning_rate=0.25" in repr(again)
    assert make(name).schedule is None


@pytest.mark.parametrize("name", NAMES)
def test_what_the_trainer_reads_is_there(name):
    given = {"clipvalue": 0.5, "use_ema": True, "ema_momentum": 0.9,
             "gradient_accumulation_steps": 2, "name": "mine"}  # fmt: skip
    optimizer = make(name, **given)
    assert {argument: getattr(optimizer, argument) for argument in given} == given
    plain = make(name)
    assert plain.clipnorm is plain.clipvalue is plain.global_clipnorm is None
    assert plain.gradient_accumulation_steps is None
    assert plain.use_ema is False


FLAWS = [
    ({"learning_rate": 0}, "learning_rate above 0", "0"),
    ({"learning_rate": float("nan")}, "learning_rate above 0", "nan"),
    ({"learning_rate": "fast"}, "learning_rate above 0", "'fast'"),
    ({"learning_rate": True}, "learning_rate above 0", "True"),
    ({"weight_decay": -0.1}, "weight_decay of at least 0", "-0.1"),
    ({"clipnorm": 0.0}, "clipnorm above 0", "0.0"),
    ({"clipnorm": 1.0, "clipvalue": 1.0}, "at most one of", "clipnorm and clipvalue"),
    ({"ema_momentum": 1.5}, "ema_momentum from 0 to below 1", "1.5"),
    ({"use_ema": "yes"}, "use_ema=True", "'yes'"),
    ({"gradient_accumulation_steps": 0}, "whole number above 0", "0"),
    ({"loss_scale_factor": 128.0}, "loss_scale_factor=None", "128.0"),
    ({"clipnrom": 1.0}, "Did you mean 'clipnorm'?", "'clipnrom'"),
]


@pytest.mark.parametrize(("arguments", "expected", "received"), FLAWS)
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_is_refused(name, arguments, expected, received):
    with pytest.raises(ConfigError) as caught:
        make(name, **arguments)
    assert expected in str(caught.value)
    assert f"received {received}" in str(caught.value)


SHARES = ("beta_1", "beta_2", "rho", "momentum", "adam_beta_1", "adam_beta_2")
OWN = [
    (name, argument)
    for name in NAMES
    for argument in inspect.signature(registry.lookup("optimizers", name)).parameters
    if argument in SHARES or argument.startswith("epsilon")
]


@pytest.mark.parametrize(("name", "argument"), OWN)
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("inf"), None, "0.9"])
def test_shares_and_epsilons_are_checked(name, argument, value):
    if argument.startswith("epsilon") and value in (1.0, 1.5):
        assert getattr(make(name, **{argument: value}), argument) == value
        return
    with pytest.raises(ConfigError) as caught:
        make(name, **{argument: value})
    message = str(caught.value)
    assert argument in message
    assert f"received {value!r}" in message
    assert f"Type {argument}=" in message


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_train_is_refused(name):
    with pytest.raises(ConfigError, match="parameters to train; received none"):
        make(name).make([])


@pytest.mark.parametrize("name", NAMES)
def test_sparse_gradients_are_refused(name):
    table = nn.Embedding(5, 2, sparse=True)
    made = make(name).make(table.parameters())
    table(torch.tensor([1, 2])).sum().backward()
    before = table.weight.detach().clone()
    with pytest.raises(ConfigError, match="sparse=False"):
        made.step()
    assert torch.equal(table.weight.detach(), before)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_trains_with_it(name):
    """Through the front door, by its name."""
    model = lai.models.Sequential([lai.layers.Dense(4, input_shape=(3,), activation="relu")])
    model.add(lai.layers.Dense(1))
    model.compile(optimizer=name, loss="mse")
    x = torch.randn(32, 3, generator=torch.Generator().manual_seed(0)).numpy()
    history = model.fit(x, x.sum(1, keepdims=True), epochs=2, batch_size=8, verbose=0, seed=0)
    assert all(value > 0 for value in history.history["loss"])
