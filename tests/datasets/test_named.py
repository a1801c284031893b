"""Named data sets: inside the package, in LEPTON_DATA_HOME, and what is said when in neither."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from PIL import Image as Pillow

import lepton_ai as lai
from lepton_ai.datasets.brown import MAPPING, TAGS, held_out_files, universal_tag
from lepton_ai.datasets.cifar10 import CLASSES
from lepton_ai.datasets.fashion_mnist import EMBEDDED
from lepton_ai.errors import ConfigError, SourceError, UnknownNameError


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("LEPTON_DATA_HOME", str(folder))
    return folder


@pytest.mark.parametrize("name", lai.datasets.names())
def test_each_says_where_it_is_from(name):
    known = lai.datasets.describe(name)
    for word in ("title", "kind", "licence", "source", "citation", "size", "folder"):
        assert isinstance(getattr(known, word), str), word
        assert getattr(known, word)
    assert "train" in known.splits
    assert all(len(file.sha256) == 64 and file.size for file in known.files)
    assert all(file.url.startswith("https://") for file in known.files if file.url)


def test_listing_is_plain_values():
    import json

    rows = json.loads(json.dumps(lai.datasets.listing()))
    assert {row["name"] for row in rows} == set(lai.datasets.names())
    assert next(row for row in rows if row["name"] == "fashion_mnist")["available"] is True


def test_fashion_mnist_is_inside_the_package():
    train = lai.datasets.load("fashion_mnist", "train")
    test = lai.datasets.load_image_dataset("test", "FashionMNIST")
    assert train["image"].shape == (10_000, 28, 28)
    assert test["image"].shape == (1_000, 28, 28)
    for data, each in ((train, 1000), (test, 100)):
        assert {v["counts"] for v in data["label"].value_counts().to_pylist()} == {each}
    assert train.fields["label"].classes[:2] == ["T-shirt/top", "Trouser"]
    assert train[0]["label"] == "Ankle boot"
    assert EMBEDDED.stat().st_size < 6_000_000
    assert train.lineage["licence"] == "MIT"


def test_names_are_lenient_and_near_misses_named():
    assert type(lai.datasets.describe("CIFAR-10")).__name__ == "CIFAR10"
    assert type(lai.datasets.describe("cifar 10")).__name__ == "CIFAR10"
    assert type(lai.datasets.describe("MNIST")).__name__ == "MNIST5k"
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        lai.datasets.load("cifar100")
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        lai.datasets.load("fashion_mnist", "trian")
    with pytest.raises(ConfigError, match="takes the options full"):
        lai.datasets.load("fashion_mnist", "train", ful=True)
    with pytest.raises(ConfigError, match="Expected a data set of pictures"):
        lai.datasets.load_image_dataset("train", "brown")


def test_a_missing_data_set_says_what_to_put_where(home):
    with pytest.raises(SourceError) as caught:
        lai.datasets.load("reuters_r8", "train")
    message = str(caught.value)
    assert str(home / "reuters_r8") in message
    assert "reuters-r8-train.tab.gz" in message
    assert message.count(". ") == 0, "one sentence"


def binary_batches(count=6):
    rng = np.random.default_rng(0)
    batches = {}
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        labels = rng.integers(0, 10, (count, 1), dtype=np.uint8)
        batches[name] = (pixels, labels)
    return batches


def raw(pixels, labels):
    return np.concatenate([labels, pixels.reshape(len(pixels), -1)], axis=1).tobytes()


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_from_the_binary_archive(home, packed):
    batches = binary_batches()
    folder = home / "cifar10"
    if packed:
        folder.mkdir()
        with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
            for name, pair in batches.items():
                info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                info.size = len(raw(*pair))
                archive.addfile(info, io.BytesIO(raw(*pair)))
    else:
        (folder / "cifar-10-batches-bin").mkdir(parents=True)
        for name, pair in batches.items():
            (folder / "cifar-10-batches-bin" / name).write_bytes(raw(*pair))
    train = lai.datasets.load_image_dataset("train", "CIFAR10")
    test = lai.datasets.load_image_dataset("test", "CIFAR10")
    pixels, labels = batches["test_batch.bin"]
    assert np.array_equal(test["image"], pixels.transpose(0, 2, 3, 1))
    assert test["label"].to_pylist() == [CLASSES[i] for i in labels[:, 0]]
    assert len(train) == 30


def test_cifar10_from_pictures_and_its_cache(home, own_workspace):
    for split, count in (("train", 3), ("test", 2)):
        for name in CLASSES:
            folder = home / "cifar10" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                colour = (CLASSES.index(name) * 20, 0, index * 40)
                Pillow.new("RGB", (32, 32), colour).save(folder / f"{index:04}.jpg", quality=95)
    (home / "cifar10" / "train" / "cat" / "0001.jpg").write_bytes(b"\xff\xd8\xff broken")
    train = lai.datasets.load("cifar10", "train")
    assert train["image"].shape == (29, 32, 32, 3)
    assert train["label"].to_pylist()[:3] == CLASSES[:3]
    assert [skip.member for skip in train.skipped] == ["cat/0001.jpg"]
    assert abs(int(train["image"][1][0, 0, 0]) - 20) < 6
    again = lai.datasets.load("cifar10", "train")
    assert isinstance(again["image"], np.memmap)
    assert again.skipped == train.skipped
    assert again.digest() == train.digest()
    assert len(lai.datasets.load("cifar10", "test")) == 20
    cached = next((own_workspace / "cache" / "decoded").glob("*/train.pixels.npy"))
    cached.write_bytes(cached.read_bytes()[:100])  # damaged: made again
    assert lai.datasets.load("cifar10", "train").digest() == train.digest()


def test_cifar10_of_the_wrong_length(home):
    folder = home / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, pair in binary_batches().items():
        (folder / name).write_bytes(raw(*pair)[:-5])
    with pytest.raises(SourceError, match="records of 3,073 bytes"):
        lai.datasets.load("cifar10", "test")


def test_brown_tags():
    assert universal_tag("np$-tl") == "NOUN"
    assert universal_tag("md*") == "VERB"
    tags = [line.split("\t")[1] for line in MAPPING.read_text("utf8").split("\n")[2:] if line]
    assert set(tags) == set(TAGS)
    assert len(tags) == 472
    held = held_out_files([f"ca{i:02}" for i in range(1, 45)])
    assert len(held) == 8


def test_scikit_learn_tables():
    train = lai.datasets.load("breast_cancer", "train")
    test = lai.datasets.load("breast_cancer", "test")
    assert len(train) + len(test) == 569
    assert len(train.columns) == 31
    assert list(lai.datasets.load("diabetes", "all").columns)[-1] == "progression"


# -- with the data at hand -------------------------------------------------------------------

COUNTS = {
    ("mnist_5k", "train"): 4000, ("mnist_5k", "test"): 1000,
    ("reuters_r8", "train"): 5485, ("reuters_r8", "test"): 2189,
    ("magnetic_tile", "test"): 138, ("magnetic_tile", "all"): 692,
    ("fashion_mnist", "full_test"): 10_000,
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("key", COUNTS, ids=str)
def test_counts(data_home, key):
    data = lai.datasets.load(*key)
    assert len(data) == COUNTS[key]
    assert not data.skipped


@pytest.mark.data
def test_mnist_is_stratified_and_disjoint(data_home):
    train, test = (lai.datasets.load("mnist", split) for split in ("train", "test"))
    assert {v["counts"] for v in test["label"].value_counts().to_pylist()} == {100}
    rows = {row.tobytes() for row in train["image"]}
    assert not rows & {row.tobytes() for row in test["image"]}


@pytest.mark.data
def test_embedded_part_is_the_first_of_each_class(data_home):
    full, part = (lai.datasets.load("fashion_mnist", s) for s in ("full_test", "test"))
    labels = full["label"].to_numpy(zero_copy_only=False)
    keep = np.sort(np.concatenate([np.flatnonzero(labels == c)[:100] for c in set(labels)]))
    assert np.array_equal(full["image"][keep], part["image"])
    same = lai.datasets.load("fashion_mnist", "test", full=True)
    assert len(same) == 10_000


@pytest.mark.data
def test_chinese_reviews_hold_no_duplicates(data_home):
    train, test = (lai.datasets.load("chinese_reviews", split) for split in ("train", "test"))
    first, second = (set(data["text"].to_pylist()) for data in (train, test))
    assert len(first) == len(train)
    assert not first & second
    assert 0.19 < len(test) / (len(train) + len(test)) < 0.21
    assert len(lai.datasets.load("chinese_reviews", "all", duplicates=True)) > 35_000


@pytest.mark.data
def test_brown_is_split_by_file(data_home):
    test = lai.datasets.load("brown", "test")
    assert len(test) == 10_658
    assert set(test["tags"].values.unique().to_pylist()) == set(TAGS)
    assert np.array_equal(test["words"].lengths, test["tags"].lengths)
    train_files = set(lai.datasets.load("brown", "train")["file"].to_pylist())
    assert not train_files & set(test["file"].to_pylist())
