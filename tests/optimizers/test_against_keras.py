"""The same gradients move the same weights as in Keras itself, on its torch backend."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import inspect

import numpy as np
import pytest
import torch

from lepton_ai import optimizers, registry

keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)
# Keras 3.15 hands its variables to numpy 2 without the keyword that numpy asks for.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
NAMES = registry.names("optimizers")
STEPS = 12
TOLERANCE = 2e-5
"""Of a weight of about 1 after all steps. Keras corrects in float32, we in float64; its Adam adds
epsilon before the correction."""

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"nesterov": True}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_2": 0.9}),
    ("Adam", {"beta_1": 0.5, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.2, "amsgrad": True}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.7, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.5, "momentum": 0.5}),
    ("RMSprop", {"centered": True, "epsilon": 1e-3}),
    ("RMSprop", {"centered": True, "momentum": 0.3, "weight_decay": 0.1, "epsilon": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.5, "epsilon": 1e-3, "weight_decay": 0.1}),
    ("Adamax", {}),
    ("Adamax", {"beta_1": 0.5, "beta_2": 0.9, "weight_decay": 0.1}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.3}),
    ("Ftrl", {"learning_rate": 0.1, "l2_regularization_strength": 0.5, "beta": 0.2}),
    ("Ftrl", {"learning_rate": 0.1, "l2_shrinkage_regularization_strength": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.3, "weight_decay": 0.1}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.1}),
    ("Lamb", {}),
    ("Lamb", {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adafactor", {"learning_rate": 0.05}),
    ("Adafactor", {"learning_rate": 0.9}),
    ("Adafactor", {"learning_rate": 0.05, "clip_threshold": 0.5, "beta_2_decay": -0.3}),
    ("Adafactor", {"learning_rate": 0.05, "epsilon_2": 2.0, "weight_decay": 0.1}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "momentum": 0.5, "rms_rate": None}),
    ("Muon", {"ns_steps": 3, "weight_decay": 0.1}),
    ("Muon", {"adam_lr_ratio": 0.5, "weight_decay": 0.0, "adam_weight_decay": 0.0}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"beta_1": 0.5, "beta_2": 0.9}),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(map(str, arguments))}" for name, arguments in CASES]


def problem(seed=0):
    """Weights of several shapes and, for each, a quadratic bowl."""
    rng = np.random.default_rng(seed)
    shapes = [(6, 4), (3, 7), (5,), ()]
    weights = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    aims = [rng.standard_normal(shape).astype("float32") for shape in shapes]
    steepness = [rng.uniform(0.2, 3.0, shape).astype("float32") for shape in shapes]
    return weights, aims, steepness


def followed(weights, make_slopes, move):
    """The weights after some steps, each from the gradient at its own place."""
    for number in range(STEPS):
        move([torch.as_tensor(slope) for slope in make_slopes(weights(), number)])
    return weights()


def slopes_of(aims, steepness):
    """The gradient of the bowls, with a little noise that both see alike."""

    def make(weights, number):
        rng = np.random.default_rng(number)
        return [
            (s * (w - a) + 0.1 * rng.standard_normal(w.shape)).astype("float32")
            for w, a, s in zip(weights, aims, steepness, strict=True)
        ]

    return make


def ours(name, arguments, start, make_slopes):
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in start]
    optimizer = getattr(optimizers, name)(**arguments)
    group = {"params": parameters}
    if arguments.get("weight_decay"):  # Keras lets vectors decay too
        group["weight_decay"] = arguments["weight_decay"]
    elif name in ("AdamW", "Muon") and "weight_decay" not in arguments:
        group["weight_decay"] = 0.004
    made = optimizer.make([group])

    def move(slopes):
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope.clone()
        made.step()

    return followed(lambda: [p.detach().numpy().copy() for p in parameters], make_slopes, move)


def theirs(name, arguments, start, make_slopes):
    variables = [keras.Variable(w) for w in start]
    if name == "Muon" and arguments.get("weight_decay"):
        arguments = {**arguments, "adam_weight_decay": arguments["weight_decay"]}
    optimizer = getattr(keras.optimizers, name)(**arguments)
    optimizer.build(variables)
    if name == "ScheduleFreeAdamW":
        # It reads the point before the step after writing the new one; on torch, where variables
        # are written in place, both would be the new one. Here the old one stays as it was.
        optimizer.assign_sub = lambda variable, value: setattr(
            variable, "_value", (variable.value - value).detach()
        )

    def values():
        return [v.value.detach().cpu().numpy().copy() for v in variables]

    return followed(values, make_slopes, lambda slopes: optimizer.apply(slopes, variables))


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=IDS)
def test_steps_are_those_of_keras(name, arguments):
    usual = {"learning_rate": 0.01}
    start, aims, steepness = problem()
    make_slopes = slopes_of(aims, steepness)
    one = ours(name, {**usual, **arguments}, start, make_slopes)
    other = theirs(name, {**usual, **arguments}, start, make_slopes)
    for before, a, b in zip(start, one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)
        assert np.abs(a - before).max() > 20 * TOLERANCE, "nothing moved, so nothing was compared"


@pytest.mark.parametrize("name", ["Adafactor"])
def test_kernels_are_factored_by_their_channels_as_in_keras(name):
    """Keras writes kernels (height, width, in, out); ours are (out, in, height, width)."""
    rng = np.random.default_rng(5)
    kernel = rng.standard_normal((3, 2, 4, 6)).astype("float32")

    def make_slopes(weights, number):
        rng = np.random.default_rng(number)
        slope = rng.standard_normal((3, 2, 4, 6)).astype("float32")
        return [slope if weights[0].shape == slope.shape else slope.transpose(3, 2, 0, 1)]

    one = ours(name, {"learning_rate": 0.1}, [kernel.transpose(3, 2, 0, 1).copy()], make_slopes)
    other = theirs(name, {"learning_rate": 0.1}, [kernel], make_slopes)
    np.testing.assert_allclose(one[0], other[0].transpose(3, 2, 0, 1), atol=TOLERANCE)


def test_embeddings_follow_adamw_as_in_keras():
    start, aims, steepness = (part[:1] for part in problem(3))
    make_slopes = slopes_of(aims, steepness)
    parameter = torch.nn.Parameter(torch.tensor(start[0]))
    made = optimizers.Muon(0.01).make([("layers.0.embeddings", parameter)])
    variable = keras.Variable(start[0], name="embeddings")
    keras_muon = keras.optimizers.Muon(0.01)
    keras_muon.build([variable])

    def move(slopes):
        parameter.grad = slopes[0].clone()
        made.step()

    one = followed(lambda: [parameter.detach().numpy().copy()], make_slopes, move)
    other = followed(
        lambda: [variable.value.detach().numpy().copy()], make_slopes,
        lambda slopes: keras_muon.apply(slopes, [variable]),
    )  # fmt: skip
    np.testing.assert_allclose(one[0], other[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_names_order_and_defaults_are_keras_s(name):
    kind = registry.lookup("optimizers", name)
    oracle = inspect.signature(getattr(keras.optimizers, kind.__name__)).parameters
    own = inspect.signature(kind).parameters
    positional = [n for n, p in own.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(oracle)[: len(positional)]
    for argument, parameter in own.items():
        if argument in oracle and parameter.kind is not parameter.VAR_KEYWORD:
            assert parameter.default == oracle[argument].default, argument
    extra = {n for n, p in own.items() if p.kind is not p.VAR_KEYWORD} - set(oracle)
    assert extra == ({"precision"} if name == "muon" else set())
    for argument in set(oracle) - set(own) - {"kwargs"}:
        kind(**{argument: oracle[argument].default})  # taken, as all of Keras's arguments are


def test_nothing_of_keras_is_missing():
    listed = {
        name for name, thing in vars(keras.optimizers).items()
        if inspect.isclass(thing) and issubclass(thing, keras.optimizers.Optimizer)
    } - {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}  # fmt: skip
    assert listed <= set(dir(optimizers))
