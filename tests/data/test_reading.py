"""Reading tables, folders, arrays and frames: what is found out, and what is refused."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from lepton_ai.data import Dataset, Files, Ragged
from lepton_ai.data.fields import Label, Number
from lepton_ai.data.sources.delimited import read_delimited
from lepton_ai.errors import (
    ConfigError,
    DataError,
    EmptyDataError,
    LeptonError,
    LimitError,
    SourceError,
    UnsafeFormatError,
)


def write(folder, name, text, encoding="utf8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


# -- delimited text ------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found_out(delimiter):
    lines = ["name,size,kind", "a,1.5,x", "b,2,y", "c,3,x"]
    text = "\n".join(line.replace(",", delimiter) for line in lines)
    table = read_delimited(text.encode(), "rows.csv")
    assert table.column_names == ["name", "size", "kind"]
    assert table["size"].to_pylist() == [1.5, 2, 3]


def test_text_with_commas_between_quotes(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\n"one, two\nthree",a\n"say ""x""",b\n')
    data = Dataset.read(path)
    assert data["text"].to_pylist() == ["one, two\nthree", 'say "x"']


@pytest.mark.parametrize("encoding", ["utf8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
def test_encodings_are_found_out(tmp_path, encoding):
    path = write(tmp_path, "a.csv", "文本,标签\n很好,正\n不好,负\n", encoding)
    data = Dataset.read(path, target="标签")
    assert data["文本"].to_pylist() == ["很好", "不好"]


def test_a_table_without_names(tmp_path):
    path = write(tmp_path, "a.csv", "5.1,3.5,x\n4.9,3.0,y\n")
    data = Dataset.read(path)
    assert list(data.columns) == ["column_1", "column_2", "column_3"]
    assert len(data) == 2
    assert len(Dataset.read(path, header=True)) == 1


def test_empty_cells_are_missing(tmp_path):
    path = write(tmp_path, "a.csv", "n,t\n1,a\n,b\n3,\n")
    data = Dataset.read(path)
    assert data["t"].to_pylist() == ["a", "b", None]
    assert isinstance(data.fields["n"], Number)


@pytest.mark.parametrize("pack", [gzip.compress, None])
def test_packed_tables(tmp_path, pack):
    raw = b"a,b\n1,x\n2,y\n"
    path = tmp_path / ("a.csv.gz" if pack else "a.csv")
    path.write_bytes(pack(raw) if pack else raw)
    assert Dataset.read(path)["a"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", EmptyDataError, "empty"),
        ("\n \n", EmptyDataError, "empty"),
        ("a,b\n", EmptyDataError, "header=False"),
        ("a,b\n1,2\n1,2,3\n", DataError, "Expected 2 cells in every row"),
        ("a,a\n1,2\n", DataError, "'a' occurs more than once"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        Dataset.read(write(tmp_path, "a.csv", text))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(SourceError, match="Expected text"):
        Dataset.read(path)


def test_wrong_target_and_columns(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\nx x,a\ny y,b\n")
    with pytest.raises(DataError, match="Did you mean 'label'"):
        Dataset.read(path, target="lable")
    with pytest.raises(DataError, match="Did you mean 'text'"):
        Dataset.read(path, columns=["txet"])
    with pytest.raises(ConfigError, match="Did you mean 'delimiter'"):
        Dataset.read(path, delimeter=";")


def test_texts_that_repeat_become_classes_of_the_target(tmp_path):
    text = "label,n\n" + "".join(f"a long name of a class {i % 3},{i}\n" for i in range(12))
    data = Dataset.read(write(tmp_path, "a.csv", text), target="label")
    assert isinstance(data.fields["label"], Label)
    assert list(data.columns) == ["n", "label"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf8", exclude_categories=["Cc", "Cs"]), min_size=1)
            .map(lambda s: f"t{s.strip()}"),
            st.integers(-(10**9), 10**9),
        ),
        min_size=2, max_size=15,
    )
)  # fmt: skip
def test_what_pandas_writes_is_read_back(rows):
    frame = pd.DataFrame(rows, columns=["text", "n"])
    table = read_delimited(frame.to_csv(index=False).encode(), "a.csv", delimiter=",", header=True)
    assert table["text"].to_pylist() == frame["text"].tolist()
    assert table["n"].to_pylist() == frame["n"].tolist()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_table_or_a_typed_error(raw):
    try:
        table = read_delimited(raw, "fuzz.csv")
    except LeptonError:
        return
    assert table.num_rows > 0


# -- JSON, Parquet, Arrow, Excel -----------------------------------------------------------


def test_json_lines_with_lists(tmp_path):
    rows = [{"words": ["a", "b"], "tags": ["X", "Y"], "n": 1}, {"words": ["c"], "tags": ["X"]}]
    path = write(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    data = Dataset.read(path, target="tags")
    assert isinstance(data["words"], Ragged)
    assert data[1]["words"] == ["c"]
    assert len(data["n"]) == 2


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        {"a": [1, 2], "b": ["x", "y"]},
        {"version": "1", "data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
    ],
)
def test_json_in_its_usual_forms(tmp_path, value):
    data = Dataset.read(write(tmp_path, "a.json", json.dumps(value)))
    assert data["a"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": NaN}]', "NaN is not JSON"),
        ('[{"a": 1, "a": 2}]', "occurs twice"),
        ("[" * 100_000, "nested too deep"),
        ('[{"a": 1}, 5]', "item 1 is something else"),
        ('[{"a": 1}, {"a": "x"}]', "one type"),
        ('{"a": 1', "Expected JSON"),
    ],
)
def test_bad_json_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        Dataset.read(write(tmp_path, "a.json", text))


def test_bad_line_is_named(tmp_path):
    with pytest.raises(SourceError, match="line 3"):
        Dataset.read(write(tmp_path, "a.jsonl", '{"a": 1}\n{"a": 2}\n{"a": \n'))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream", "feather"])
def test_arrow_files(tmp_path, kind):
    table = pa.table({
        "n": [1.5, None, 3], "s": ["a", "b", "a"],
        "d": pa.array(["x", "y", "x"]).dictionary_encode(),
        "l": [["a", "b"], ["c"], []],
        "f": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int64(), 2)),
        "t": pa.array([0, 1, 2], pa.timestamp("s")),
    })  # fmt: skip
    path = tmp_path / f"a.{'arrow' if kind == 'stream' else kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, path)
    else:
        new = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
            writer.write_table(table)
    data = Dataset.read(path)
    assert data["l"].lengths.tolist() == [2, 1, 0]
    assert data["f"].shape == (3, 2)
    assert data["d"].to_pylist() == ["x", "y", "x"]
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SourceError, match="broken"):
        Dataset.read(path)


def test_excel_sheets(tmp_path):
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"n": [1, 2.5], "s": ["x", None]}).to_excel(
            book, sheet_name="one", index=False
        )
        pd.DataFrame({"m": [7]}).to_excel(book, sheet_name="two", index=False)
    assert Dataset.read(path)["s"].to_pylist() == ["x", None]
    assert Dataset.read(path, sheet="two")["m"].to_pylist() == [7]
    with pytest.raises(DataError, match="one of one, two"):
        Dataset.read(path, sheet="three")


# -- folders of pictures -------------------------------------------------------------------


def picture(path, mode="RGB", size=(10, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path))).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Pillow.fromarray(noise).convert(mode).save(path)
    return path


def test_folder_with_unreadable_members(tmp_path):
    for index in range(3):
        picture(tmp_path / "cat" / f"{index}.jpg")
        picture(tmp_path / "dog" / f"{index}.png", "L")
    whole = (tmp_path / "cat" / "0.jpg").read_bytes()
    (tmp_path / "cat" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dog" / "empty.png").write_bytes(b"")
    (tmp_path / "dog" / "text.png").write_text("hello")
    (tmp_path / "dog" / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.png").write_text("hello")
    picture(tmp_path / "stray.png")
    data = Dataset.read(tmp_path)
    assert data["label"].to_pylist() == ["cat"] * 3 + ["dog"] * 3
    assert isinstance(data["image"], Files)
    reasons = {skip.member: skip.reason for skip in data.skipped}
    assert set(reasons) == {
        "cat/cut.jpg", "dog/empty.png", "dog/text.png", "dog/notes.txt", "stray.png",
    }  # fmt: skip
    assert "truncated" in reasons["cat/cut.jpg"]
    assert "empty" in reasons["dog/empty.png"]
    assert "skipped: 5" in repr(data)
    spec = data.fields["image"].learn(data["image"], {})
    assert data.fields["image"].to_tensor(data["image"], spec).shape[:2] == (6, 3)


def test_the_number_in_a_name_sorts(tmp_path):
    for index in (10, 9, 1):
        picture(tmp_path / "a" / f"{index}.png")
    names = [path.rsplit("/", 1)[1] for path in Dataset.read(tmp_path)["image"].paths]
    assert names == ["1.png", "9.png", "10.png"]


def test_train_and_test_folders(tmp_path):
    picture(tmp_path / "train" / "cat" / "1.png")
    picture(tmp_path / "train" / "dog" / "1.png")
    picture(tmp_path / "test" / "cat" / "1.png")
    assert len(Dataset.read(tmp_path)) == 2
    test = Dataset.read(tmp_path, split="test", target="animal")
    assert test["animal"].to_pylist() == ["cat"]
    with pytest.raises(SourceError, match="Did you mean 'test'"):
        Dataset.read(tmp_path, split="tset")


def test_pictures_without_classes(tmp_path):
    picture(tmp_path / "1.png")
    assert list(Dataset.read(tmp_path).columns) == ["image"]
    assert len(Dataset.read(tmp_path / "1.png")) == 1
    (tmp_path / "1.png").write_bytes(b"nothing")
    with pytest.raises(EmptyDataError, match="none of 1 can"):
        Dataset.read(tmp_path)


def test_a_huge_picture_is_left_out(tmp_path):
    """65,000 x 65,000 pixels in a small file: it is refused by its head, not decoded."""
    import struct
    import zlib

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 65_000, 65_000, 1, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    picture(tmp_path / "a" / "fine.png")
    (tmp_path / "a" / "bomb.png").write_bytes(bomb + chunk(b"IEND", b""))
    data = Dataset.read(tmp_path)
    assert len(data) == 1
    assert "pixels" in data.skipped[0].reason


def test_postscript_under_another_name_is_left_out(tmp_path):
    picture(tmp_path / "a" / "fine.png")
    (tmp_path / "a" / "eps.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    data = Dataset.read(tmp_path)
    assert data.skipped[0].member == "a/eps.png"
    assert "not a picture file" in data.skipped[0].reason


# -- in memory -----------------------------------------------------------------------------


def test_pairs_of_arrays():
    data = Dataset.read((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]))
    assert list(data.columns) == ["image", "label"]
    table = Dataset.read((np.arange(8.0).reshape(4, 2), np.array([0.5, 1, 2, 3])), target="price")
    assert list(table.columns) == ["x0", "x1", "price"]
    named = Dataset.read((np.zeros((2, 2)), ["a", "b"]), names=["width", "height"])
    assert list(named.columns) == ["width", "height", "label"]
    tensors = Dataset.read((torch.zeros(3, 8, 8, 3, dtype=torch.uint8), torch.tensor([0, 1, 1])))
    assert tensors["image"].shape == (3, 8, 8, 3)
    texts = Dataset.read((["good one", "bad one"], ["a", "b"]))
    assert list(texts.columns) == ["text", "label"]


def test_lists_of_examples_and_structured_arrays():
    data = Dataset.read([{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}])
    assert data["b"].to_pylist() == ["x", "y"]
    array = np.array([(1.5, 2), (2.5, 3)], dtype=[("w", "f4"), ("h", "i4")])
    assert list(Dataset.read(array).columns) == ["w", "h"]


def test_lengths_that_differ_are_refused():
    with pytest.raises(DataError, match="one length"):
        Dataset.read((np.zeros((4, 2)), [1, 2, 3]))
    with pytest.raises(EmptyDataError, match="empty"):
        Dataset.read([])
    with pytest.raises(EmptyDataError, match="empty"):
        Dataset.read((np.zeros((0, 2)), []))
    with pytest.raises(DataError, match="tuple of 3"):
        Dataset.read((np.zeros(2), np.zeros(2), np.zeros(2)))


def test_numpy_files(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 8, 8, 3), np.uint8), y=np.array([0, 1, 0]))
    assert list(Dataset.read(tmp_path / "a.npz").columns) == ["image", "label"]
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="could run code"):
        Dataset.read(tmp_path / "b.npy")


@pytest.mark.parametrize("name", ["model.pkl", "data.joblib", "x.pt"])
def test_pickles_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(UnsafeFormatError, match="could run code"):
        Dataset.read(tmp_path / name)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, 2, None], "s": ["x", None, "z"]}),
        pl.DataFrame({"a": [1, 2, None], "s": ["x", None, "z"]}),
        pl.LazyFrame({"a": [1, 2, None], "s": ["x", None, "z"]}),
        pa.table({"a": [1, 2, None], "s": ["x", None, "z"]}),
        pa.RecordBatch.from_pydict({"a": [1, 2, None], "s": ["x", None, "z"]}),
    ],
    ids=["pandas", "polars", "lazy polars", "arrow", "arrow batch"],
)
def test_frames(frame):
    data = Dataset.read(frame)
    assert data["s"].to_pylist() == ["x", None, "z"]
    assert len(data["a"]) == 3


def test_frames_that_are_refused():
    with pytest.raises(DataError, match="more than once"):
        Dataset.read(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(EmptyDataError, match="at least one row"):
        Dataset.read(pd.DataFrame({"a": []}))


# -- what is none of them ------------------------------------------------------------------


def test_sources_that_are_not_there(tmp_path):
    (tmp_path / "reviews.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match="Did you mean 'reviews.csv'"):
        Dataset.read(tmp_path / "review.csv")
    with pytest.raises(SourceError, match="Download it first"):
        Dataset.read("https://example.org/a.csv")
    with pytest.raises(SourceError, match="Expected something that can be read"):
        Dataset.read(object())
    (tmp_path / "inner").mkdir()
    with pytest.raises(SourceError, match="holds nothing"):
        Dataset.read(tmp_path / "inner")


def test_a_packed_file_that_grows_without_end(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as packed:
        for _ in range(200):
            packed.write(b"0" * (1 << 20))
    with pytest.raises(LimitError, match="unpacks to more"):
        Dataset.read(path)
