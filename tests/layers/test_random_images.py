"""Images changed at random, one by one, and images brought to a size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lepton_ai import layers
from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layout import from_written, to_written
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.layers.warping import FILL_MODES, turning, warped

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
IMAGES = (4, 7, 9, 3)


def compare(oracle, a, b, x, theirs, **drawn):
    """The change that Keras drew, made by both."""
    given = {name: torch.as_tensor(np.array(value)) for name, value in drawn.items()}
    found = to_written(a.change(from_written(torch.as_tensor(x)), **given))
    oracle.close(found, b.transform_images(torch.as_tensor(x), theirs, training=True), 1e-3)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("name", ["RandomRotation", "RandomZoom", "RandomTranslation"])
def test_images_move_as_in_keras(oracle, name, fill_mode, interpolation):
    x = oracle.draw(*IMAGES, scale=50.0)
    args = {"RandomRotation": (0.4,), "RandomZoom": ((-0.4, 0.5), 0.3),
            "RandomTranslation": (0.6, 0.4)}[name]  # fmt: skip
    named = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 7.0}
    a = getattr(layers, name)(*args, **named)
    b = getattr(oracle.layers, name)(*args, seed=3, data_format="channels_last", **named)
    drawn = b.get_random_transformation(torch.as_tensor(x), training=True)
    if name == "RandomRotation":
        ours = {"angle": oracle.array(drawn["angle"]) * math.pi / 180}
    elif name == "RandomZoom":
        ours = {"down": oracle.array(drawn["height_zoom"])[:, 0],
                "across": oracle.array(drawn["width_zoom"])[:, 0]}  # fmt: skip
    else:
        moves = oracle.array(drawn["translations"])
        ours = {"across": moves[:, 0], "down": moves[:, 1]}
    compare(oracle, a, b, x, drawn, **ours)


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_images_turn_as_in_keras(oracle, mode):
    x = oracle.draw(*IMAGES)
    b = oracle.layers.RandomFlip(mode, seed=1, data_format="channels_last")
    flips = np.array([True, False, True, False])
    theirs = {"flips": torch.as_tensor(flips).view(-1, 1, 1, 1)}
    across = flips if mode != "vertical" else flips & False
    down = flips if mode != "horizontal" else flips & False
    compare(oracle, layers.RandomFlip(mode), b, x, theirs, across=across, down=down)


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1)])
def test_light_changes_as_in_keras(oracle, value_range):
    x = np.random.default_rng(0).uniform(*value_range, IMAGES).astype("float32")
    named = {"value_range": value_range, "data_format": "channels_last"}
    b = oracle.layers.RandomContrast(0.5, seed=1, **named)
    drawn = b.get_random_transformation(torch.as_tensor(x), training=True)
    factor = oracle.array(drawn["contrast_factor"]).ravel()
    compare(oracle, layers.RandomContrast(0.5, value_range), b, x, drawn, factor=factor)
    b = oracle.layers.RandomBrightness(0.5, seed=1, **named)
    drawn = b.get_random_transformation(torch.as_tensor(x), training=True)
    added = oracle.array(drawn["rgb_delta"]).ravel()
    compare(oracle, layers.RandomBrightness(0.5, value_range), b, x, drawn, added=added)


DRAWING = {
    "RandomFlip": layers.RandomFlip(), "RandomRotation": layers.RandomRotation(0.2),
    "RandomZoom": layers.RandomZoom(0.3), "RandomTranslation": layers.RandomTranslation(0.3, 0.3),
    "RandomCrop": layers.RandomCrop(9, 8), "RandomContrast": layers.RandomContrast(0.5, (-9, 9)),
    "RandomBrightness": layers.RandomBrightness(0.5, (-9, 9)),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWING)
def test_each_image_gets_a_draw_of_its_own(name):
    layer = DRAWING[name].train()
    x = torch.randn(1, 3, 12, 12).expand(16, -1, -1, -1)
    with drawing_from(torch.Generator().manual_seed(0)):
        y = layer(x)
    different = {tuple(one.flatten().tolist()) for one in y}
    assert len(different) >= (3 if name == "RandomFlip" else 10)
    assert torch.equal(layer.eval()(x)[0], layer(x)[5])
    if name != "RandomCrop":
        assert torch.equal(layer(x), x)


def test_draws_stay_within_their_bounds():
    x = torch.zeros(5000, 1, 10, 20)
    turned = layers.RandomRotation((0.1, 0.25)).draw(x)["angle"] / (2 * math.pi)
    assert (turned.min() >= 0.1, turned.max() <= 0.25) == (True, True)
    assert turned.max() - turned.min() > 0.14
    moved = layers.RandomTranslation(0.5, (0, 0.25)).draw(x)
    assert (moved["down"] >= -5).all()
    assert (moved["down"] <= 5).all()
    assert (moved["across"] >= 0).all()
    assert (moved["across"] <= 5).all()
    zoomed = layers.RandomZoom(0.2).draw(x)
    assert torch.equal(zoomed["down"], zoomed["across"])
    factor = layers.RandomContrast((0.1, 0.4)).draw(x)["factor"]
    assert factor.min() >= 0.9
    assert factor.max() <= 1.4
    flips = layers.RandomFlip().draw(x)
    for share in (flips["across"].float().mean(), (flips["across"] & flips["down"]).float().mean()):
        assert min(abs(share - 0.5), abs(share - 0.25)) < 0.03
    crop = layers.RandomCrop(8, 18).draw(x)
    assert crop["top"].unique().tolist() == [0, 1, 2]
    assert crop["left"].unique().tolist() == [0, 1, 2]


def test_crops_are_parts():
    x = torch.arange(3 * 5 * 6).float().view(1, 3, 5, 6).expand(20, -1, -1, -1)
    layer = layers.RandomCrop(2, 4, seed=1).train()
    drawn = layer.draw(x)
    y = layer.change(x, **drawn)
    for i, (top, left) in enumerate(zip(drawn["top"], drawn["left"], strict=True)):
        assert torch.equal(y[i], x[i, :, top : top + 2, left : left + 4])
    assert torch.equal(layer.eval()(x), x[:, :, 1:3, 1:5])
    assert layers.RandomCrop(10, 8).train()(x).shape == (20, 3, 10, 8)


def test_whole_turns_and_still_images_change_nothing():
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for angle in (0.0, 2 * math.pi):
        maps = turning(torch.full((2,), angle, dtype=torch.float64), 6, 6)
        for mode in FILL_MODES:
            assert torch.allclose(warped(x, maps, "bilinear", mode), x, atol=1e-9)
    quarter = warped(x, turning(torch.full((2,), math.pi / 2, dtype=torch.float64), 6, 6))
    assert torch.allclose(quarter, x.rot90(1, (2, 3)), atol=1e-9)  # counter-clockwise


def test_gradients_pass_through_moved_images():
    x = torch.randn(2, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    maps = turning(torch.tensor([0.3, -1.0], dtype=torch.float64), 4, 5)
    for mode in FILL_MODES:
        assert torch.autograd.gradcheck(lambda t, m=mode: warped(t, maps, "bilinear", m), (x,))


def test_bytes_become_numbers():
    x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    for layer in (layers.RandomFlip(), layers.RandomCrop(4, 4), layers.Resizing(4, 4),
                  layers.CenterCrop(4, 4)):  # fmt: skip
        assert layer.train()(x).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.RandomRotation("a"), "factor=0.2"),
        (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), "two"),
        (lambda: layers.RandomZoom(-2), "-0.99"),
        (lambda: layers.RandomContrast(1.5), "from 0 to 1"),
        (lambda: layers.RandomContrast("high"), "factor"),
        (lambda: layers.RandomFlip("horizontally"), "Did you mean 'horizontal'"),
        (lambda: layers.RandomRotation(0.1, "mirror"), "fill_mode"),
        (
            lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
            "both",
        ),
        (lambda: layers.Resizing(0, 4), "height"),
    ],
)
def test_arguments_of_images_that_cannot_be(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_images_have_channels():
    with pytest.raises(ShapeError, match=r"\(28, 28, 1\)"):
        layers.RandomFlip().infer((28, 28))


# Sizes


@pytest.mark.parametrize("size", [(6, 7), (14, 18), (3, 3), (5, 20)])
@pytest.mark.parametrize(
    "named",
    [
        {}, {"interpolation": "nearest"}, {"interpolation": "bicubic"},
        {"crop_to_aspect_ratio": True}, {"antialias": True},
    ],
)  # fmt: skip
def test_sizes_as_in_keras(oracle, size, named):
    x = oracle.draw(*IMAGES)
    a = layers.Resizing(*size, **named)
    b = oracle.layers.Resizing(*size, data_format="channels_last", **named)
    oracle.close(to_written(a(from_written(torch.as_tensor(x)))), b(x), 1e-4)


def test_filled_up_to_the_proportions(oracle):
    x = oracle.draw(2, 4, 8, 3)
    a = layers.Resizing(8, 8, pad_to_aspect_ratio=True, fill_value=5.0)
    b = oracle.layers.Resizing(8, 8, pad_to_aspect_ratio=True, fill_value=5.0,
                               data_format="channels_last")  # fmt: skip
    y = to_written(a(from_written(torch.as_tensor(x))))
    oracle.close(y, b(x))
    assert (y[:, :2] == 5).all()
    odd = layers.Resizing(9, 9, pad_to_aspect_ratio=True)(torch.ones(1, 1, 6, 9))
    assert odd.shape == (1, 1, 9, 9)
    assert odd.sum().item() == pytest.approx(54)


@pytest.mark.parametrize("size", [(4, 5), (7, 9), (3, 9), (10, 4), (12, 12)])
def test_the_middle_as_in_keras(oracle, size):
    x = oracle.draw(*IMAGES)
    a, b = layers.CenterCrop(*size), oracle.layers.CenterCrop(*size, data_format="channels_last")
    oracle.close(to_written(a(from_written(torch.as_tensor(x)))), b(x))
