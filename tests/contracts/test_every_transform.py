"""What every transform keeps: draws of the sample alone, types, shapes, and masks that follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lepton_ai import registry
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.mask import Mask
from lepton_ai.data.transform import EpochTransforms, Transform, resolve
from lepton_ai.data.transforms.geometry import Geometric

NAMES = registry.names("transforms")
COUNT = 24


def pictures(channels=3, height=16, width=20, dtype=torch.uint8):
    rng = torch.Generator().manual_seed(0)
    if dtype == torch.uint8:
        return torch.randint(0, 256, (COUNT, channels, height, width), generator=rng, dtype=dtype)
    return torch.rand(COUNT, channels, height, width, generator=rng)


def epoch(names, *, seed=3, number=0, mask=False):
    fields = {"image": Image(), **({"mask": Mask()} if mask else {})}
    return EpochTransforms(resolve(names), fields, count=COUNT, seed=seed, epoch=number)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_there_are_transforms():
    assert {"random_horizontal_flip", "random_rotation", "color_jitter"} <= set(NAMES)


def test_config_and_repr_name_the_arguments(name):
    transform = registry.lookup("transforms", name)()
    assert isinstance(transform, Transform)
    config = transform.to_config()
    again = registry.lookup("transforms", config.pop("transform"))(**config)
    assert again.config() == transform.config()
    assert type(transform).__name__ in repr(transform)


def test_one_draw_for_each_sample(name):
    transform = registry.lookup("transforms", name)()
    drawn = transform.draw(np.random.default_rng(0), 500)
    assert drawn
    for values in drawn.values():
        assert len(values) == 500
    rows = torch.cat([v.reshape(500, -1).double() for v in drawn.values()], dim=1)
    distinct = len(torch.unique(rows, dim=0))
    assert distinct == 2 if "flip" in name else distinct > 200


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay(name, dtype, channels):
    before = pictures(channels, dtype=dtype)
    kept = before.clone()
    after = epoch([name])({"image": before}, torch.arange(COUNT))["image"]
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    assert torch.equal(before, kept), "the batch that came in was changed"
    assert not torch.equal(after, before), "nothing happened"
    assert torch.isfinite(after.float()).all()


def test_a_sample_gets_the_same_in_any_batch(name):
    images = pictures()
    drawn = epoch([name])
    whole = drawn({"image": images}, torch.arange(COUNT))["image"]
    order = torch.tensor([7, 2, 19, 2])
    some = epoch([name])({"image": images[order]}, order)["image"]
    assert torch.equal(some, whole[order])
    alone = drawn({"image": images[5:6]}, torch.tensor([5]))["image"]
    assert torch.equal(alone, whole[5:6])


def test_seed_and_epoch_change_the_draw(name):
    images, indices = pictures(), torch.arange(COUNT)
    first = epoch([name])({"image": images}, indices)["image"]
    assert torch.equal(first, epoch([name])({"image": images}, indices)["image"])
    assert not torch.equal(first, epoch([name], number=1)({"image": images}, indices)["image"])
    assert not torch.equal(first, epoch([name], seed=4)({"image": images}, indices)["image"])


def test_masks_follow_the_picture_or_stay(name):
    """A mask that marks the bright half must still mark it afterwards."""
    kind = registry.lookup("transforms", name)
    mask = torch.zeros(COUNT, 16, 20, dtype=torch.int64)
    mask[:, :7, 3:11] = 1
    images = (mask * 200).to(torch.uint8)[:, None].repeat(1, 3, 1, 1)
    out = epoch([name], mask=True)({"image": images, "mask": mask}, torch.arange(COUNT))
    assert out["mask"].dtype == torch.int64
    assert out["mask"].shape == mask.shape
    if not issubclass(kind, Geometric):
        assert torch.equal(out["mask"], mask)
        return
    assert set(out["mask"].unique().tolist()) <= {-1, 0, 1}
    bright = out["image"][:, 0] > 100
    agree = (bright == (out["mask"] == 1)).float().mean()
    assert agree > 0.97
    assert not torch.equal(out["mask"], mask)


def test_columns_that_are_not_pictures_stay(name):
    columns = {"image": pictures(), "label": torch.arange(COUNT)}
    fields = {"image": Image()}
    drawn = EpochTransforms(resolve([name]), fields, count=COUNT, seed=0, epoch=0)
    out = drawn(columns, torch.arange(COUNT))
    assert out["label"] is columns["label"]
