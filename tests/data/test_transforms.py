"""What single transforms do to the pixels, against torch and torchvision."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine as torchvision_affine

from lepton_ai.data.fields.image import Image
from lepton_ai.data.transform import EpochTransforms, resolve
from lepton_ai.data.transforms.affine import RandomAffine, RandomTranslation, RandomZoom
from lepton_ai.data.transforms.color import ColorJitter, RandomBrightness
from lepton_ai.data.transforms.cropping import RandomCrop
from lepton_ai.data.transforms.erasing import RandomErasing
from lepton_ai.data.transforms.flipping import RandomHorizontalFlip, RandomVerticalFlip
from lepton_ai.data.transforms.geometry import affine, resample, resample_mask
from lepton_ai.data.transforms.noise import GaussianNoise
from lepton_ai.data.transforms.rotation import RandomRotation
from lepton_ai.errors import ConfigError, UnknownNameError

FIELDS = {"image": Image()}


def bytes_(shape=(1, 3, 8, 8)):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def test_quarter_turn_is_exact():
    images = bytes_()
    turned = resample(images, affine(8, 8, angle=torch.tensor([90.0])))
    assert torch.equal(turned, torch.rot90(images, 1, (2, 3)))


@pytest.mark.parametrize(
    ("angle", "scale", "shear"), [(20.0, 1.2, 0.0), (-35.0, 0.7, 0.0), (0.0, 1.0, 10.0)]
)
def test_equals_torchvision(angle, scale, shear):
    images = torch.rand(1, 2, 40, 60, generator=torch.Generator().manual_seed(0))
    theirs = torchvision_affine(
        images, angle=-angle, translate=[0, 0], scale=scale, shear=[shear, 0.0],
        interpolation=InterpolationMode.BILINEAR,
    )  # fmt: skip
    one = torch.ones(1)
    ours = resample(
        images,
        affine(40, 60, angle=angle * one, scale_x=scale * one, scale_y=scale * one,
               shear=shear * one),
    )  # fmt: skip
    assert (ours - theirs).abs().max() < 1e-4


def test_shift_moves_whole_pixels_and_fills():
    images = bytes_()
    moved = resample(images, affine(8, 8, shift_x=torch.tensor([0.25])), fill=9)
    assert torch.equal(moved[..., 2:], images[..., :-2])
    assert (moved[..., :2] == 9).all()


def test_mask_gets_minus_one_outside():
    mask = torch.ones(1, 8, 8, dtype=torch.int64)
    moved = resample_mask(mask, affine(8, 8, shift_y=torch.tensor([0.5])))
    assert (moved[:, :4] == -1).all()
    assert (moved[:, 4:] == 1).all()


def test_flips_are_exact_mirrors():
    images = bytes_((4, 3, 5, 6))
    flip = {"flip": torch.tensor([True, False, True, False])}
    across = RandomHorizontalFlip().apply({"image": images}, flip, FIELDS)["image"]
    assert torch.equal(across[::2], images[::2].flip(-1))
    assert torch.equal(across[1::2], images[1::2])
    down = RandomVerticalFlip().apply({"image": images}, flip, FIELDS)["image"]
    assert torch.equal(down[::2], images[::2].flip(-2))


def test_consecutive_geometry_is_one_resampling():
    """Turned there and back by two transforms the picture is whole; resampled twice it is not."""
    images = bytes_((6, 3, 24, 24))
    there = RandomRotation(degrees=[10, 10])
    back = RandomRotation(degrees=[-10, -10])
    epoch = EpochTransforms(resolve([there, back]), FIELDS, count=6, seed=0, epoch=0)
    once = epoch({"image": images}, torch.arange(6))["image"]
    assert torch.equal(once, images)
    twice = images
    for transform in (there, back):
        alone = EpochTransforms([transform], FIELDS, count=6, seed=0, epoch=0)
        twice = alone({"image": twice}, torch.arange(6))["image"]
    assert not torch.equal(twice, images)


def test_order_of_turn_and_flip():
    images = bytes_((3, 1, 16, 16))
    turn, flip = RandomRotation(degrees=[90, 90]), RandomHorizontalFlip(probability=1.0)
    first = EpochTransforms([turn, flip], FIELDS, count=3, seed=0, epoch=0)
    out = first({"image": images}, torch.arange(3))["image"]
    assert torch.equal(out, torch.rot90(images, 1, (2, 3)).flip(-1))
    second = EpochTransforms([flip, turn], FIELDS, count=3, seed=0, epoch=0)
    out = second({"image": images}, torch.arange(3))["image"]
    assert torch.equal(out, torch.rot90(images.flip(-1), 1, (2, 3)))


def test_rotation_stays_within_its_degrees():
    import numpy as np

    angles = RandomRotation().draw(np.random.default_rng(0), 5000)["angle"]
    assert float(angles.min()) >= -15
    assert float(angles.max()) <= 15
    assert float(angles.max() - angles.min()) > 29


def test_nearest_makes_no_new_values():
    images = torch.where(bytes_((2, 1, 32, 32)) > 127, 255, 0).to(torch.uint8)
    transform = RandomRotation(degrees=[12, 12], interpolation="nearest")
    epoch = EpochTransforms([RandomHorizontalFlip(), transform], FIELDS, count=2, seed=0, epoch=0)
    assert set(epoch({"image": images}, torch.arange(2))["image"].unique().tolist()) == {0, 255}


def test_crop_with_padding_is_a_shift():
    images = bytes_((1, 1, 8, 8))
    out = RandomCrop(padding=2).apply(
        {"image": images}, {"top": torch.tensor([0.0]), "left": torch.tensor([0.999])}, FIELDS
    )["image"]
    assert torch.equal(out[0, 0, 2:, :6], images[0, 0, :6, 2:])
    assert (out[0, 0, :2] == 0).all()


def test_crop_larger_than_picture_is_refused():
    with pytest.raises(ConfigError, match="no larger than the picture"):
        RandomCrop(size=40).apply(
            {"image": bytes_()}, {"top": torch.zeros(1), "left": torch.zeros(1)}, FIELDS
        )


def test_brightness_and_contrast():
    images = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    factor = {"brightness": torch.tensor([1.5, 3.0])}
    out = RandomBrightness().apply({"image": images}, factor, FIELDS)["image"]
    assert out[0].unique().tolist() == [150]
    assert out[1].unique().tolist() == [255]
    flat = {"brightness": torch.ones(2), "contrast": torch.zeros(2), "saturation": torch.ones(2)}
    noisy = bytes_((2, 1, 8, 8))
    out = ColorJitter().apply({"image": noisy}, flat, FIELDS)["image"]
    assert all(len(picture.unique()) == 1 for picture in out)


def test_erasing_covers_its_rectangle():
    images = torch.full((1, 3, 10, 10), 7, dtype=torch.uint8)
    box = {"rectangle": torch.tensor([[0.2, 0.5, 0.0, 1.0]])}
    out = RandomErasing(value=99).apply({"image": images}, box, FIELDS)["image"]
    assert (out[0, :, 2:5] == 99).all()
    assert (out[0, :, :2] == 7).all()
    assert (out[0, :, 5:] == 7).all()


def test_noise_has_its_deviation():
    images = torch.full((50, 3, 16, 16), 0.5)
    epoch = EpochTransforms([GaussianNoise(0.1)], FIELDS, count=50, seed=0, epoch=0)
    out = epoch({"image": images}, torch.arange(50))["image"] - images
    assert abs(float(out.std()) - 0.1) < 0.005
    assert abs(float(out.mean())) < 0.005


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomRotation(degrees=-5),
        lambda: RandomRotation(degrees=[5, 1]),
        lambda: RandomRotation(interpolation="cubic"),
        lambda: RandomHorizontalFlip(probability=2),
        lambda: RandomTranslation(height_factor="far"),
        lambda: RandomZoom(factor=[1, 2, 3]),
        lambda: RandomAffine(scale=-1),
        lambda: RandomCrop(size=[0, 4]),
        lambda: GaussianNoise(deviation=-1),
        lambda: RandomErasing(scale=[0.1, 3]),
    ],
)
def test_wrong_arguments_are_refused(make):
    with pytest.raises(ConfigError, match=r"Expected .* received"):
        make()


def test_near_miss_of_a_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'random_rotation'"):
        resolve(["random_rotatoin"])
