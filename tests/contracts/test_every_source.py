"""What every source keeps: it recognises its own, refuses options it has not, and says why."""

from __future__ import annotations

import gzip
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from lepton_ai import registry
from lepton_ai.data import Dataset
from lepton_ai.data.reading import recognised
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import ConfigError, LeptonError

NAMES = registry.names("sources")
ROWS = "text,label\ngood thing,pos\nbad thing,neg\nnice one,pos\n"


def example(name, folder):
    """Something that the source reads: three examples of two columns."""
    if name == "table":
        path = folder / "rows.csv"
        path.write_text(ROWS)
        return path
    if name == "excel":
        path = folder / "rows.xlsx"
        pd.DataFrame({"a": [1, 2, 3], "label": ["x", "y", "x"]}).to_excel(path, index=False)
        return path
    if name == "image_folder":
        for place, (kind, colour) in enumerate([("cat", 10), ("dog", 200), ("dog", 90)]):
            (folder / kind).mkdir(exist_ok=True)
            Pillow.new("RGB", (9, 8), (colour,) * 3).save(folder / kind / f"{place}.png")
        return folder
    if name == "arrays":
        return np.zeros((3, 8, 8, 3), np.uint8), np.array([0, 1, 0])
    if name == "frames":
        return pd.DataFrame({"a": [1.5, 2, 3], "label": ["x", "y", "x"]})
    if name == "idx":
        images = struct.pack(">HBB3I", 0, 8, 3, 3, 8, 8) + bytes(3 * 64)
        (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        labels = struct.pack(">HBBI", 0, 8, 1, 3) + bytes([0, 1, 0])
        (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
        return folder / "train-images-idx3-ubyte.gz"
    if name == "archive":
        path = folder / "rows.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("inside/rows.csv", ROWS)
        return path
    pytest.fail(f"the source {name!r} has no example here")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_it_recognises_its_own_before_all_others(name, tmp_path):
    source = example(name, tmp_path)
    assert recognised(source) is registry.lookup("sources", name)


def test_it_reads_three_examples(name, tmp_path):
    data = Dataset.read(example(name, tmp_path))
    assert len(data) == 3
    assert len(data.columns) == 2
    assert "label" in data.columns
    assert "source" in data.lineage


def test_the_target_comes_last(name, tmp_path):
    data = Dataset.read(example(name, tmp_path), target="label")
    assert list(data.columns)[-1] == "label"


def test_unknown_options_are_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="received 'no_such_option'"):
        Dataset.read(example(name, tmp_path), no_such_option=1)


def test_it_says_what_it_reads(name):
    kind = registry.lookup("sources", name)
    assert issubclass(kind, Source)
    assert kind.title
    assert kind.__doc__
    assert kind.recognises(object()) == 0


def test_a_broken_file_is_a_typed_error(name, tmp_path):
    source = example(name, tmp_path)
    if name in ("arrays", "frames"):
        pytest.skip("in memory: there is no file to break")
    files = [path for path in (source, *source.rglob("*")) if path.is_file()]
    for path in files:
        raw = path.read_bytes()
        path.write_bytes(b"\x00\xff" * 9 + raw[: len(raw) // 3])
    with pytest.raises(LeptonError):
        Dataset.read(source)
