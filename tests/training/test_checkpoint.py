"""Checkpoints: nothing damaged is accepted, nothing that fails destroys what stood."""

from __future__ import annotations

import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_ai.errors import IntegrityError, TrainingError
from lepton_ai.training import checkpoint
from lepton_ai.training.packing import pack, read_tensors, tensor_pieces, unpack
from lepton_ai.workspace import commit as commits

ABOUT = {"run": "r", "fingerprint": {"threads": 2}}


def state(step: int) -> dict:
    generator = torch.Generator().manual_seed(step)
    return {
        "step": step,
        "model": {"w": torch.randn(40, 30, generator=generator), "n": torch.tensor(step)},
        "optimizer": {"state": {0: {"step": torch.tensor(float(step))}}, "groups": [{"lr": 0.1}]},
    }


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return (
            isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.stride() == b.stride()
            and torch.equal(a.nan_to_num(7.25) if a.is_floating_point() else a,
                            b.nan_to_num(7.25) if b.is_floating_point() else b)
        )  # fmt: skip
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return (
            type(a) is type(b)
            and len(a) == len(b)
            and all(equal(x, y) for x, y in zip(a, b, strict=True))
        )
    return type(a) is type(b) and (a == b or (a != a and b != b))


# -- packing ---------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=9)
KEYS = st.text(max_size=5) | st.integers(-5, 5)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    | st.tuples(inner, inner),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(tree=TREES)
def test_any_state_comes_back_as_it_was(tree) -> None:
    import json

    packed, tensors = pack(tree)
    assert equal(unpack(json.loads(json.dumps(packed, allow_nan=False)), tensors), tree)


def test_tensors_of_every_type_and_layout_come_back(tmp_path: Path) -> None:
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
             torch.int16, torch.int8, torch.uint8, torch.bool)  # fmt: skip
    tree = {str(kind): (torch.arange(6) % 2).to(kind) for kind in kinds}
    tree["last"] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    tree["turned"] = torch.randn(3, 4).t()
    tree["none"], tree["one"] = torch.zeros(0, 3), torch.tensor(2.5)
    tree["odd"] = torch.tensor([math.nan, math.inf, -0.0])
    tree["array"] = np.arange(5, dtype=np.uint32)
    packed, tensors = pack(tree)
    (tmp_path / "t").write_bytes(b"".join(bytes(piece) for piece in tensor_pieces(tensors)))
    assert equal(unpack(packed, read_tensors(tmp_path / "t")), tree)


def test_what_cannot_be_kept_is_named() -> None:
    with pytest.raises(TrainingError, match=r"state.a\[1\].b is a set"):
        pack({"a": [1, {"b": {2}}]})
    with pytest.raises(TrainingError, match="cannot be kept"):
        pack({"a": torch.zeros(2, dtype=torch.complex64)})


# -- damage ----------------------------------------------------------------------------------------


def damage(folder: Path, rng: random.Random) -> str:
    """Change something about the newest of two checkpoints, in one of the ways that happen."""
    newest, older = checkpoint.found(folder)
    name = rng.choice([checkpoint.STATE, checkpoint.TENSORS, commits.MANIFEST])
    file = newest / name
    kind = rng.choice(["flip", "truncate", "missing", "extra", "swap", "append", "link", "other"])
    if kind == "flip":
        raw = bytearray(file.read_bytes())
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        file.write_bytes(raw)
    elif kind == "truncate":
        file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])
    elif kind == "missing":
        file.unlink()
    elif kind == "extra":
        (newest / rng.choice(["extra.bin", "model.pkl", ".metadata"])).write_bytes(b"\x80\x04.")
    elif kind == "swap":
        shutil.copy(older / name, file)
    elif kind == "append":
        file.write_bytes(file.read_bytes() + bytes([rng.randrange(256)]))
    elif kind == "link":
        target = folder / "elsewhere"
        target.write_bytes(file.read_bytes())
        file.unlink()
        file.symlink_to(target)
    else:
        moved = folder / "moved"
        newest.rename(moved)
        shutil.copytree(older, newest)
        shutil.rmtree(moved)
    return f"{kind} {name}"


def test_two_hundred_damages_are_all_noticed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for step in (10, 20):
        checkpoint.write(source, step, state(step), ABOUT)
    rng = random.Random(0)
    for number in range(200):
        folder = tmp_path / str(number)
        shutil.copytree(source, folder)
        what = damage(folder, rng)
        found = checkpoint.newest(folder)
        assert found is not None, what
        path, manifest, kept, refused = found
        assert path.name == checkpoint.folder_name(10), what
        assert equal(kept, state(10)), what
        assert refused, what
        assert manifest["step"] == 10
        shutil.rmtree(folder)


def test_nothing_good_left_is_said_and_nothing_is_loaded(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 5, state(5), ABOUT)
    (path / checkpoint.STATE).write_text("{}")
    with pytest.raises(IntegrityError, match="state.json"):
        checkpoint.read(path)
    assert checkpoint.newest(tmp_path) is None


# -- faults ----------------------------------------------------------------------------------------

CALLS = ("open", "write", "fsync", "close", "rename")


@pytest.mark.parametrize("errno", [5, 28])
@pytest.mark.parametrize("call", CALLS)
def test_the_kth_call_fails(call: str, errno: int, tmp_path: Path, monkeypatch) -> None:
    """EIO and ENOSPC at the k-th open, write, fsync, close and rename, until none fails."""
    real = getattr(os, call)
    checkpoint.write(tmp_path, 1, state(1), ABOUT)
    failures = 0
    for k in range(1, 60):
        left = k

        def failing(*arguments, **named):
            nonlocal left
            left -= 1
            if left == 0:
                if call == "close":
                    real(*arguments)
                raise OSError(errno, "injected")
            return real(*arguments, **named)

        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing)
            try:
                checkpoint.write(tmp_path, 2, state(2), ABOUT)
                worked = True
            except OSError:
                worked = False
        found = checkpoint.newest(tmp_path)
        assert found is not None
        if worked:
            assert equal(found[2], state(2))
            break
        failures += 1
        stands = found[0].name == checkpoint.folder_name(2)
        # after the rename everything is in place; only the parent may not be on the disk yet
        assert equal(found[2], state(2) if stands else state(1))
        if stands:
            commits.remove(found[0])
        assert not found[3]
    else:
        pytest.fail("it never got through")
    assert failures >= 1, call


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, bytes(data[:777])))
    path = checkpoint.write(tmp_path, 3, state(3), ABOUT)
    monkeypatch.undo()
    assert equal(checkpoint.read(path)[1], state(3))


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from lepton_ai.training import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.write(Path(sys.argv[1]), 2, {"w": torch.zeros(1_000_000)}, {})
except OSError as error:
    print("refused", error.errno)
"""


def test_a_disk_with_a_limit(tmp_path: Path) -> None:
    """A real limit on the size of files, in a process of its own."""
    checkpoint.write(tmp_path, 1, state(1), ABOUT)
    told = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["refused", "27"]
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert equal(found[2], state(1))
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.folder_name(1)]
    checkpoint.write(tmp_path, 2, {"w": torch.zeros(1_000_000)}, ABOUT)  # there is room again


# -- power loss ------------------------------------------------------------------------------------


class Recorder:
    """Records what the commit asks of the file system, to replay every prefix of it."""

    def __init__(self, monkeypatch, root: Path) -> None:
        self.log: list[tuple] = []
        self.names: dict[int, str] = {}
        real = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename", "mkdir")}

        def opened(path, flags, *rest, **named):
            handle = real["open"](path, flags, *rest, **named)
            if str(path).startswith(str(root)):
                self.names[handle] = str(Path(path).relative_to(root))
                if flags & os.O_CREAT:
                    self.log.append(("create", self.names[handle]))
            else:
                self.names.pop(handle, None)
            return handle

        def written(handle, data):
            count = real["write"](handle, data)
            if handle in self.names:
                self.log.append(("write", self.names[handle], bytes(data[:count])))
            return count

        def synced(handle):
            if handle in self.names:
                self.log.append(("fsync", self.names[handle]))
            return real["fsync"](handle)

        def renamed(source, target, **named):
            relative = [str(Path(p).relative_to(root)) for p in (source, target)]
            self.log.append(("rename", *relative))
            return real["rename"](source, target, **named)

        def made(path, *rest, **named):
            self.log.append(("mkdir", str(Path(path).relative_to(root))))
            return real["mkdir"](path, *rest, **named)

        for name, double in [("open", opened), ("write", written), ("fsync", synced),
                             ("rename", renamed), ("mkdir", made)]:  # fmt: skip
            monkeypatch.setattr(os, name, double)


def replay(log: list[tuple], folder: Path, lose: str, rng: random.Random) -> None:
    """What a disk may hold after a power cut: what was not waited for is lost or halved."""
    synced = {entry[1]: place for place, entry in enumerate(log) if entry[0] == "fsync"}
    moved: dict[str, str] = {}
    content: dict[str, bytes] = {}
    for place, entry in enumerate(log):
        if entry[0] == "mkdir":
            (folder / entry[1]).mkdir(exist_ok=True)
        elif entry[0] == "create":
            content[entry[1]] = b""
        elif entry[0] == "write":
            sure = synced.get(entry[1], -1) > place
            data = entry[2]
            if not sure:
                keep = {"drop": 0, "half": len(data) // 2, "any": rng.randrange(len(data) + 1)}
                data = data[: keep[lose]]
            content[entry[1]] += data
        elif entry[0] == "rename":
            moved[entry[1]] = entry[2]
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
    for source, target in moved.items():
        (folder / source).rename(folder / target)


def test_every_moment_of_a_power_cut(tmp_path: Path, monkeypatch) -> None:
    root = tmp_path / "root"
    checkpoint.write(root, 1, state(1), ABOUT)
    before = tmp_path / "before"
    shutil.copytree(root, before)
    with monkeypatch.context() as patched:
        recorder = Recorder(patched, root)
        checkpoint.write(root, 2, state(2), ABOUT)
    log = recorder.log
    assert sum(entry[0] == "fsync" for entry in log) >= 5
    rng, states = random.Random(0), 0
    for length in range(len(log) + 1):
        for lose in ("drop", "half", "any", "any"):
            folder = tmp_path / f"{length}-{states}"
            shutil.copytree(before, folder)
            replay(log[:length], folder, lose, rng)
            found = checkpoint.newest(folder)
            assert found is not None
            step = found[1]["step"]
            assert equal(found[2], state(step))
            if length == len(log):
                assert step == 2, "what was acknowledged is there"
            states += 1
            shutil.rmtree(folder)
    assert states >= 4 * 15


# -- keeping ---------------------------------------------------------------------------------------


def test_two_are_kept_and_leftovers_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-left").mkdir()
    keeper = checkpoint.Keeper(tmp_path, about=ABOUT)
    tensor = torch.zeros(100)
    for step in range(1, 6):
        tensor += 1
        keeper.save(step, {"w": tensor, "step": step})
    keeper.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [checkpoint.folder_name(4), checkpoint.folder_name(5)]
    for path in checkpoint.found(tmp_path):
        manifest, kept = checkpoint.read(path)
        assert kept["w"].unique().tolist() == [manifest["step"]]  # the copy of that moment


def test_saving_does_not_hold_on_to_the_state(tmp_path: Path, monkeypatch) -> None:
    """The state may change at once after save(): what is written is the state of that moment."""
    import threading

    gate = threading.Event()
    real = checkpoint._write

    def slow(*arguments):
        gate.wait(10)
        return real(*arguments)

    monkeypatch.setattr(checkpoint, "_write", slow)
    keeper = checkpoint.Keeper(tmp_path, about=ABOUT)
    weights = torch.ones(1000)
    keeper.save(1, {"w": weights})
    assert keeper.busy
    weights += 1
    gate.set()
    keeper.close()
    assert checkpoint.read(checkpoint.found(tmp_path)[0])[1]["w"].unique().tolist() == [1.0]
