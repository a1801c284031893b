"""Losses and their gradients are those of Keras itself, on its torch backend."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
import torch

from lepton_ai import losses
from lepton_ai.losses.loss import activate

keras = pytest.importorskip("keras", reason="Keras is the oracle: pip install keras")
if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend than torch", allow_module_level=True)
# Keras 3.15 hands its variables to numpy 2 without the keyword that numpy asks for.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=source(seed))


def mean(loss, logits, expected, activation):
    sums, counts = loss(logits, expected, activation)
    assert sums.shape == counts.shape == (len(logits),)
    return sums.sum() / counts.sum()


def same(ours, theirs, logits, expected, activation="linear", keras_expected=None, scale=1.0):
    """Value and gradient, over the logits."""
    a, b = (logits.clone().requires_grad_(True) for _ in range(2))
    found = mean(ours, a, expected, activation)
    wanted = theirs(
        expected if keras_expected is None else keras_expected, activate(b, activation)
    ).mean()
    assert float(found.detach()) == pytest.approx(
        float(wanted.detach()) * scale, abs=1e-5, rel=1e-5
    )
    found.backward()
    (wanted * scale).backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    assert a.grad.abs().sum() > 0


SHAPES = [(5, 1), (4, 3), (3, 4, 2)]
QUANTITIES = [
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "LogCosh", "Huber",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["linear", "tanh", "softplus"])
@pytest.mark.parametrize("name", QUANTITIES)
def test_quantities(name, shape, activation):
    expected = 2 * draw(*shape, seed=1)
    expected = expected + expected.sign()  # away from 0, where a percentage explodes
    same(getattr(losses, name)(), getattr(keras.losses, name)(), draw(*shape), expected, activation)


@pytest.mark.parametrize("delta", [0.1, 1.5])
def test_huber_with_its_delta(delta):
    same(losses.Huber(delta), keras.losses.Huber(delta), draw(6, 2), 3 * draw(6, 2, seed=1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["MeanSquaredLogarithmicError", "Poisson"])
def test_quantities_that_are_not_negative(name, shape):
    expected = draw(*shape, seed=1).abs()
    for activation in ("softplus", "sigmoid", "exponential"):
        ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
        same(ours, theirs, draw(*shape), expected, activation)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_cosine_similarity(axis):
    ours, theirs = losses.CosineSimilarity(axis), keras.losses.CosineSimilarity(axis)
    same(ours, theirs, draw(3, 4, 5), draw(3, 4, 5, seed=1))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_kl_divergence(activation):
    expected = draw(6, 4, seed=1).softmax(-1)
    same(losses.KLDivergence(), keras.losses.KLDivergence(), draw(6, 4), expected, activation)


@pytest.mark.parametrize("name", ["Hinge", "SquaredHinge"])
@pytest.mark.parametrize("labels", [(0, 1), (-1, 1)])
def test_hinge(name, labels):
    expected = torch.tensor(labels)[torch.randint(2, (7, 2), generator=source())].float()
    for activation in ("linear", "tanh"):
        ours, theirs = getattr(losses, name)(), getattr(keras.losses, name)()
        same(ours, theirs, draw(7, 2), expected, activation)


CLASSES = torch.tensor([0, 3, 1, 1, 2, 0])
ONE_HOT = torch.nn.functional.one_hot(CLASSES, 4).float()


@pytest.mark.parametrize("expected", [CLASSES, ONE_HOT], ids=["numbers", "one-hot"])
def test_categorical_hinge(expected):
    same(
        losses.CategoricalHinge(), keras.losses.CategoricalHinge(), draw(6, 4), expected,
        keras_expected=ONE_HOT,
    )  # fmt: skip


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("expected", [CLASSES, ONE_HOT], ids=["numbers", "one-hot"])
@pytest.mark.parametrize(
    ("activation", "from_logits"),
    [("softmax", False), ("linear", True), ("sigmoid", False), ("softplus", False)],
)
@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_classes(name, activation, from_logits, expected, smoothing):
    chosen = {"from_logits": from_logits, "label_smoothing": smoothing}
    ours, theirs = getattr(losses, name)(**chosen), getattr(keras.losses, name)(**chosen)
    same(ours, theirs, draw(6, 4), expected, activation, keras_expected=ONE_HOT)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
def test_categorical_focal_with_its_arguments(gamma):
    ours = losses.CategoricalFocalCrossentropy(0.7, gamma)
    theirs = keras.losses.CategoricalFocalCrossentropy(0.7, gamma)
    same(ours, theirs, draw(6, 4), CLASSES, "softmax", keras_expected=ONE_HOT)


@pytest.mark.parametrize("activation", ["softmax", "linear"])
@pytest.mark.parametrize("ignore", [None, 1, 255])
def test_sparse_crossentropy(activation, ignore):
    logits, expected = draw(3, 2, 4), CLASSES.view(3, 2).clone()
    if ignore == 255:
        expected[0, 1] = 255
    chosen = {"from_logits": activation == "linear", "ignore_class": ignore}
    ours = losses.SparseCategoricalCrossentropy(**chosen)
    theirs = keras.losses.SparseCategoricalCrossentropy(**chosen)
    same(ours, theirs, logits, expected, activation)


def test_generalized_cross_entropy():
    for q in (0.2, 0.7):
        ours = losses.CategoricalGeneralizedCrossEntropy(q)
        theirs = keras.losses.CategoricalGeneralizedCrossEntropy(q)
        same(ours, theirs, draw(6, 4), CLASSES, "softmax")


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize(("activation", "logits"), [("sigmoid", False), ("linear", True)])
@pytest.mark.parametrize("expected", ["whole", "shares"])
def test_binary_crossentropy(activation, logits, smoothing, expected):
    wanted = torch.rand(5, 3, generator=source(2))
    wanted = wanted.round() if expected == "whole" else wanted
    chosen = {"from_logits": logits, "label_smoothing": smoothing}
    ours, theirs = losses.BinaryCrossentropy(**chosen), keras.losses.BinaryCrossentropy(**chosen)
    same(ours, theirs, draw(5, 3), wanted, activation)


@pytest.mark.parametrize("balancing", [False, True])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize(("activation", "logits"), [("sigmoid", False), ("linear", True)])
def test_binary_focal_crossentropy(activation, logits, gamma, balancing):
    chosen = {
        "apply_class_balancing": balancing, "alpha": 0.3, "gamma": gamma, "from_logits": logits,
        "label_smoothing": 0.1,
    }  # fmt: skip
    ours = losses.BinaryFocalCrossentropy(**chosen)
    theirs = keras.losses.BinaryFocalCrossentropy(**chosen)
    same(ours, theirs, draw(5, 3), torch.randint(2, (5, 3), generator=source(3)), activation)


@pytest.mark.parametrize("axis", [None, [1, 2], 3, [0, 1]])
@pytest.mark.parametrize("name", ["Dice", "Tversky"])
def test_overlap(name, axis):
    numbers = torch.randint(3, (2, 4, 5), generator=source(4))
    rows = torch.nn.functional.one_hot(numbers, 3).float()
    chosen = {"axis": axis} if name == "Dice" else {"axis": axis, "alpha": 0.3, "beta": 0.8}
    for expected in (numbers, rows):
        ours, theirs = getattr(losses, name)(**chosen), getattr(keras.losses, name)(**chosen)
        same(ours, theirs, draw(2, 4, 5, 3), expected, "softmax", keras_expected=rows)
    assert ours.joint == (axis in (None, [0, 1]))


def test_overlap_of_yes_and_no():
    expected = torch.randint(2, (3, 4, 4, 1), generator=source(5)).float()
    same(losses.Dice(), keras.losses.Dice(), draw(3, 4, 4, 1), expected, "sigmoid")
    squeezed = losses.Dice()(draw(3, 4, 4, 1), expected[..., 0], "sigmoid")
    whole = losses.Dice()(draw(3, 4, 4, 1), expected, "sigmoid")
    assert torch.equal(squeezed[0], whole[0])


@pytest.mark.parametrize("diagonal", [True, False])
def test_circle(diagonal):
    rows = torch.nn.functional.normalize(draw(8, 3), dim=-1)
    expected = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
    chosen = {"gamma": 4.0, "margin": 0.3, "remove_diagonal": diagonal}
    same(losses.Circle(**chosen), keras.losses.Circle(**chosen), rows, expected)


def test_circle_leaves_out_what_has_no_other_of_its_kind():
    rows = torch.nn.functional.normalize(draw(5, 3), dim=-1)
    expected = torch.tensor([0, 0, 1, 1, 7])
    sums, counts = losses.Circle(gamma=4.0)(rows, expected, "linear")
    assert counts.tolist() == [1, 1, 1, 1, 0]
    theirs = keras.losses.Circle(gamma=4.0)(expected, rows)
    assert float(sums.sum() / counts.sum()) == pytest.approx(float(theirs), abs=1e-5)


def test_ctc():
    logits = draw(3, 9, 5)
    labels = torch.tensor([[1, 2, 2, 4], [3, 1, 0, 0], [0, 0, 0, 0]])
    same(losses.CTC(), keras.losses.CTC(), logits, labels)
