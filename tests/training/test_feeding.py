"""Batches are the same however they are cut, and data larger than memory goes through the disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lepton_ai as lai
from lepton_ai.data import decoding
from lepton_ai.data.column import Files
from lepton_ai.data.encoding import Encoded, training_order
from lepton_ai.data.fields.image import Image as ImageField
from lepton_ai.errors import LimitError
from lepton_ai.training.feeding import Feed, grouped


def order(count: int, batch_size: int):
    return training_order(count, seed=0, epoch=0, batch_size=batch_size, lengths=None)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_blocks_are_the_batches(batch_size: int) -> None:
    encoded = Encoded({"x": torch.randn(300, 4), "y": torch.arange(300)}, {})
    feed = Feed(encoded, None, torch.device("cpu"))
    expected = list(order(300, batch_size))
    found = list(feed.blocks(order(300, batch_size), batch_size))
    assert len(found) == len(expected)
    for indices, (told, columns) in zip(expected, found, strict=True):
        assert np.array_equal(indices, told)
        assert torch.equal(columns["y"], torch.from_numpy(indices))
        assert torch.equal(columns["x"], encoded.columns["x"][indices])


def test_groups() -> None:
    assert list(grouped(range(5), 2)) == [[0, 1], [2, 3], [4]]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(600):
        folder = tmp_path / "pictures" / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        array = rng.integers(0, 100, (10, 12, 3), dtype=np.uint8) + (number % 2) * 100
        Image.fromarray(array).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def test_more_pictures_than_memory(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    """The same model comes out, and nothing is left on the disk."""
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "home"))
    found = {}
    for limit in ("100000000", "50000"):
        monkeypatch.setenv("LEPTON_MEMORY_LIMIT", limit)
        data = lai.Dataset.read(pictures)
        model = lai.Model("convnet", lai.tasks.ImageClassification(), filters=(4,))
        kept: list[bool] = []

        class Look(lai.callbacks.Callback):
            def on_train_begin(self, trainer, kept=kept) -> None:
                kept.append(trainer.encoded.on_disk)

        model.fit(data, epochs=1, transforms=(), seed=1, verbose=0, callbacks=[Look()])
        found[limit] = model.state_dict()
        assert kept == [limit == "50000"]
    first, second = found.values()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert list((tmp_path / "home" / "cache").iterdir()) == []


def test_no_room_on_the_disk_either(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path))
    monkeypatch.setenv("LEPTON_MEMORY_LIMIT", "10")
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 9}))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    (tmp_path / "p.png").write_bytes(buffer.getvalue())
    field = ImageField()
    column = Files([str(tmp_path / "p.png")] * 300)
    spec = field.learn(column, {})
    with pytest.raises(LimitError, match="Choose a smaller size"):
        decoding.decoded(field, column, spec)
