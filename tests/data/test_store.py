"""The store: every kind of column comes back bit by bit, and damage is found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from lepton_ai.data import Dataset, Files, Items, Ragged
from lepton_ai.data.column import items
from lepton_ai.data.fields import Image, Label, Number, Text
from lepton_ai.data.store import list_versions, open_version, store_version
from lepton_ai.data.store.encoding import from_arrow, keepable, to_arrow
from lepton_ai.errors import ConfigError, EmptyDataError, IntegrityError, SourceError
from lepton_ai.workspace import Workspace

RNG = np.random.default_rng(0)
COLUMNS = {
    "bytes": RNG.integers(0, 256, (5, 4, 3, 3), dtype=np.uint8),
    "floats": RNG.normal(size=(5, 2)).astype(np.float32),
    "doubles": np.array([1.5, np.nan, -0.0, np.inf, 3]),
    "half": RNG.normal(size=5).astype(np.float16),
    "bools": RNG.random((5, 3)) > 0.5,
    "truths": np.array([True, False, True, True, False]),
    "big endian": np.arange(5, dtype=">i4"),
    "empty rows": np.zeros((5, 0, 2), dtype=np.int16),
    "one each": np.zeros((5, 1), dtype=np.int64),
    "tensor": torch.arange(10).reshape(5, 2),
    "strings": pa.array(["a", None, "", "d", "é中"]),
    "binary": pa.array([b"1", None, b"", b"\x00\xff", b"5"]),
    "numbers": pa.array([1, None, 3, 4, 5]),
    "words": Ragged.of([["a", "b"], [], ["c"], ["d"], ["e", "f"]]),
    "tokens": Ragged.of([[1, 2], [], [3], [4], [5, 6]]),
    "vectors": Ragged(RNG.normal(size=(6, 3)).astype(np.float32), np.array([2, 0, 1, 1, 2])),
    "tensors": Ragged(torch.arange(6), np.array([2, 0, 1, 1, 2])),
    "items": Items([np.zeros((2, 3), np.uint8), None, b"raw", np.ones((1, 1, 3)), {"a": [1]}]),
}


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_column_comes_back(name):
    column = COLUMNS[name]
    values, kind = to_arrow(keepable(column))
    back = from_arrow(pa.chunked_array([values]), kind)
    assert type(back) is type(column)
    assert len(back) == len(column)
    if isinstance(column, np.ndarray):
        assert same(column, back)
    elif isinstance(column, torch.Tensor):
        assert torch.equal(column, back)
    else:
        assert all(same(a, b) for a, b in zip(items(column), items(back), strict=True))
    if isinstance(column, Ragged):
        assert type(column.values) is type(back.values)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def reviews(*texts):
    labels = ["good", "bad"] * len(texts)
    return Dataset(
        {"text": list(texts), "label": labels[: len(texts)]},
        {"text": Text(), "label": Label(["bad", "good"])},
    )


def test_versions_are_kept_and_numbered(workspace):
    one = store_version(reviews("a a", "b b"), "reviews", workspace)
    two = store_version(reviews("a a", "c c", "d d"), "reviews", workspace)
    assert one.lineage["store"] == "reviews"
    assert (one.lineage["version"], two.lineage["version"]) == (1, 2)
    versions = list_versions("reviews", workspace)
    assert [(v.version, v.rows) for v in versions] == [(1, 2), (2, 3)]
    newest = open_version("reviews", workspace=workspace)
    assert newest["text"].to_pylist() == ["a a", "c c", "d d"]
    assert newest.fields == two.fields
    assert newest.lineage["digest"] == versions[1].digest == newest.digest()
    older = open_version("reviews", version=1, workspace=workspace)
    assert older["text"].to_pylist() == ["a a", "b b"]
    by_digest = open_version("reviews", version=versions[0].digest[:12], workspace=workspace)
    assert by_digest.digest() == older.digest()


def test_unchanged_data_makes_no_version(workspace):
    store_version(reviews("a a", "b b"), "reviews", workspace)
    again = store_version(reviews("a a", "b b"), "reviews", workspace)
    assert again.lineage["version"] == 1
    assert len(list_versions("reviews", workspace)) == 1
    reopened = open_version("reviews", workspace=workspace)
    assert store_version(reopened, "reviews", workspace).lineage["version"] == 1


def test_methods_of_a_data_set(workspace):
    stored = reviews("a a", "b b").store("mine", workspace=workspace)
    assert Dataset.open("mine", workspace=workspace).digest() == stored.digest()


def test_files_are_kept_as_bytes(workspace, tmp_path):
    from PIL import Image as Pillow

    path = tmp_path / "red.png"
    Pillow.new("RGB", (9, 9), "red").save(path)
    raw = path.read_bytes()
    data = Dataset({"image": Files([str(path)]), "n": [1.0]}, {"image": Image(), "n": Number()})
    stored = store_version(data, "pictures", workspace)
    assert store_version(data, "pictures", workspace).lineage["version"] == 1
    path.unlink()
    opened = open_version("pictures", workspace=workspace)
    assert opened["image"][0].as_py() == raw
    assert opened.digest() == stored.digest()


def test_skipped_members_and_lineage_are_kept(workspace):
    from lepton_ai.data import Skipped

    data = reviews("a a", "b b").derive(
        skipped=(Skipped("x.jpg", "broken"),), lineage={"source": "folder"}
    )
    store_version(data, "reviews", workspace)
    opened = open_version("reviews", workspace=workspace)
    assert opened.skipped == (Skipped("x.jpg", "broken"),)
    assert opened.lineage["source"] == "folder"


def test_a_damaged_file_is_found(workspace):
    data = Dataset({"image": RNG.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)})
    store_version(data, "pictures", workspace)
    file = next((workspace.path / "store" / "pictures" / "data.lance" / "data").iterdir())
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    file.write_bytes(raw)
    with pytest.raises(IntegrityError, match="pictures"):
        open_version("pictures", workspace=workspace)


def test_a_missing_file_is_found(workspace):
    store_version(reviews("a a", "b b"), "reviews", workspace)
    for file in (workspace.path / "store" / "reviews" / "data.lance" / "data").iterdir():
        file.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        open_version("reviews", workspace=workspace)


def test_a_broken_off_first_write_does_not_block(workspace):
    (workspace.path / "store" / "reviews" / "data.lance" / "data").mkdir(parents=True)
    assert list_versions("reviews", workspace) == []
    assert store_version(reviews("a a", "b b"), "reviews", workspace).lineage["version"] == 1


def test_unknown_names_and_versions(workspace):
    store_version(reviews("a a", "b b"), "reviews", workspace)
    with pytest.raises(SourceError, match="Did you mean 'reviews'"):
        open_version("review", workspace=workspace)
    with pytest.raises(SourceError, match="Expected a version of 'reviews', one of 1"):
        open_version("reviews", version=7, workspace=workspace)
    assert list_versions("nothing", workspace) == []


def test_bad_names_and_empty_data(workspace):
    with pytest.raises(ConfigError, match="Expected a name"):
        store_version(reviews("a", "b"), "../up", workspace)
    with pytest.raises(EmptyDataError, match="at least one example"):
        store_version(reviews("a", "b").take([]), "empty", workspace)
