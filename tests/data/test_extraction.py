"""Archives made to do harm: each is refused, and nothing is left outside or behind."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.data import Dataset
from lepton_ai.data.sources.archives import unpacked
from lepton_ai.data.sources.extraction import Limits, extract, members
from lepton_ai.errors import LeptonError, LimitError, SourceError
from lepton_ai.workspace import Workspace


def tar(path, *entries):
    """A tar of ``(name, bytes or what kind of member it is)``."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as packed:
        for name, what in entries:
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size = len(what)
                packed.addfile(info, io.BytesIO(what))
            else:
                for key, value in what.items():
                    setattr(info, key, value)
                packed.addfile(info)
    return path


def zipped(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body, *mode in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if mode:
                info.external_attr = mode[0] << 16
            packed.writestr(info, body)
    return path


LINK = {"type": tarfile.SYMTYPE, "linkname": "/etc"}
BAD_TARS = {
    "parent": [("../evil", b"x")],
    "parent inside": [("a/../../evil", b"x")],
    "absolute": [("/evil", b"x")],
    "windows parent": [("..\\evil", b"x")],
    "drive": [("C:\\evil", b"x")],
    "symbolic link": [("a", LINK), ("a/passwd", b"x")],
    "link to a folder above": [("a", {"type": tarfile.SYMTYPE, "linkname": ".."})],
    "hard link": [("a", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
    "device": [("a", {"type": tarfile.CHRTYPE})],
    "block device": [("a", {"type": tarfile.BLKTYPE})],
    "pipe": [("a", {"type": tarfile.FIFOTYPE})],
    "long part": [("a" * 300, b"x")],
    "long path": [("/".join(["abc"] * 100), b"x")],
    "twice": [("a", b"x"), ("a", b"y")],
    "twice but for case": [("Readme", b"x"), ("README", b"y")],
    "twice but for accents": [("é", b"x"), ("e\u0301", b"y")],
    "file and folder": [("a", b"x"), ("a/b", b"y")],
    "folder and file": [("a/b", b"x"), ("a", b"y")],
    "dotted twice": [("./a", b"x"), ("a", b"y")],
}


@pytest.mark.parametrize("name", BAD_TARS)
def test_bad_tars_are_refused(tmp_path, name):
    place = tmp_path / "in" / "deep"
    place.mkdir(parents=True)
    archive = tar(place / "bad.tar.gz", ("fine.txt", b"fine"), *BAD_TARS[name])
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(SourceError):
        extract(archive, place / "out")
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_set_user_files_are_refused(tmp_path):
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as packed:
        info = tarfile.TarInfo("tool")
        info.mode = 0o4755
        packed.addfile(info, io.BytesIO(b""))
    with pytest.raises(SourceError, match="set-user"):
        extract(path, tmp_path / "out")


@pytest.mark.parametrize(
    "entries",
    [
        [("../evil", b"x")],
        [("/evil", b"x")],
        [("..\\evil", b"x")],
        [("link", b"/etc/passwd", stat.S_IFLNK | 0o777)],
        [("a", b"x"), ("A", b"y")],
        [("a", b"x"), ("a/b", b"y")],
    ],
)
def test_bad_zips_are_refused(tmp_path, entries):
    archive = zipped(tmp_path / "bad.zip", ("fine.txt", b"fine"), *entries)
    with pytest.raises(SourceError):
        extract(archive, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["bad.zip"]


def test_too_many_members(tmp_path):
    archive = tar(tmp_path / "many.tar", *[(f"{i}", b"") for i in range(20)])
    with pytest.raises(LimitError, match="at most 10 members"):
        extract(archive, tmp_path / "out", limits=Limits(entries=10))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_too_many_bytes(tmp_path, kind):
    path = tmp_path / f"big.{kind}"
    body = b"0" * 5000
    archive = (
        zipped(path, ("a", body), ("b", body))
        if kind == "zip"
        else tar(path, ("a", body), ("b", body))
    )
    with pytest.raises(LimitError):
        extract(archive, tmp_path / "single", limits=Limits(single=4000))
    with pytest.raises(LimitError):
        extract(archive, tmp_path / "total", limits=Limits(total=9000))
    assert sorted(os.listdir(tmp_path)) == [f"big.{kind}"]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_stop_early(tmp_path, kind):
    """300 MB of zeros in a few hundred kB: stopped at 64 MB."""
    path = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
            packed.open("zeros", "w") as member,
        ):
            for _ in range(300):
                member.write(bytes(1 << 20))
    else:
        with gzip.open(path, "wb", 9) as packed:
            info = tarfile.TarInfo("zeros")
            info.size = 300 << 20
            packed.write(info.tobuf())
            for _ in range(300):
                packed.write(bytes(1 << 20))
    with pytest.raises(LimitError, match="unpacks to more"):
        extract(path, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [f"bomb.{kind}"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_truncated_archives(tmp_path, kind):
    path = tmp_path / f"cut.{kind}"
    body = os.urandom(20_000)
    if kind == "zip":
        zipped(path, ("a", body))
    else:
        tar(path, ("a", body))
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(SourceError):
        extract(path, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [f"cut.{kind}"]


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz"])
def test_good_archives(tmp_path, ending):
    path = tmp_path / f"good.{ending}"
    entries = [("a/b/one.txt", b"1"), ("two.txt", b"22")]
    if ending == "zip":
        zipped(path, *entries)
    else:
        tar(tmp_path / "good.tar.gz", *entries)
        if ending == "tar":
            path.write_bytes(gzip.decompress((tmp_path / "good.tar.gz").read_bytes()))
        elif ending == "tgz":
            path.write_bytes((tmp_path / "good.tar.gz").read_bytes())
    out = extract(path, tmp_path / "out")
    assert (out / "a" / "b" / "one.txt").read_bytes() == b"1"
    assert (out / "two.txt").read_bytes() == b"22"
    assert not (out / "two.txt").stat().st_mode & 0o111
    with pytest.raises(SourceError, match="exists"):
        extract(path, out)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1200), st.sampled_from(["zip", "tar", "tar.gz"]))
def test_any_bytes_give_members_or_a_typed_error(tmp_path_factory, raw, kind):
    path = tmp_path_factory.mktemp("fuzz") / f"fuzz.{kind}"
    path.write_bytes(gzip.compress(raw) if kind == "tar.gz" else raw)
    try:
        found = [stream.read() for _, stream in members(path)]
    except LeptonError:
        return
    assert isinstance(found, list)


def test_archive_is_taken_apart_once(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("rows.csv", b"a,b\n1,x\n2,y\n"))
    workspace = Workspace(tmp_path / "ws")
    folder = unpacked(archive, workspace)
    stamp = (folder / "rows.csv").stat().st_mtime_ns
    assert unpacked(archive, workspace) == folder
    assert (folder / "rows.csv").stat().st_mtime_ns == stamp
    (folder / "rows.csv").write_text("")  # as after a lost disk cache
    assert (unpacked(archive, workspace) / "rows.csv").read_text().startswith("a,b")


def test_archive_of_pictures(tmp_path):
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.new("RGB", (9, 9)).save(buffer, "PNG")
    entries = [(f"set/{kind}/1.png", buffer.getvalue()) for kind in ("cat", "dog")]
    archive = tar(tmp_path / "set.tar.gz", ("readme.txt", b"hello"), *entries)
    data = Dataset.read(archive, target="animal", workspace=tmp_path / "ws")
    assert data["animal"].to_pylist() == ["cat", "dog"]
    assert data.skipped[0].member == "readme.txt"
