"""Checkpoints: the whole state of a run at the edge of a step, kept so that it survives anything.

::

    runs/<id>/checkpoints/step-00000812/
      state.json             everything but tensors
      tensors.safetensors    weights, what the optimiser keeps, the mean of the weights ...
      MANIFEST.json          size and SHA-256 of both; written last

Truth is the newest folder that verifies. Two are kept, so that there is one to fall back to.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import IntegrityError, TrainingError
from lepton_ai.training.packing import pack, read_tensors, tensor_pieces, unpack
from lepton_ai.workspace.commit import commit, remove, sweep, verify
from lepton_ai.workspace.files import to_json

FORMAT = 1
STATE, TENSORS = "state.json", "tensors.safetensors"
MISSES = 3
"""Saves that may fail one after the other before training is stopped."""


def folder_name(step: int) -> str:
    """The name of the checkpoint after ``step`` steps."""
    return f"step-{step:010d}"


def write(parent: Path, step: int, state: Any, about: dict[str, Any]) -> Path:
    """Write a checkpoint and wait until it is on the disk.

    Raises:
        OSError: It could not be written; what was there before is as it was.
        TrainingError: The state holds something that cannot be kept.
    """
    packed, tensors = pack(state)
    return _write(parent, step, packed, tensors, about)


def _write(
    parent: Path, step: int, packed: Any, tensors: dict[str, Tensor], about: dict[str, Any]
) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    path = parent / folder_name(step)
    if path.exists():
        try:
            verify(path)
            return path  # after a resume the same step has the same state
        except IntegrityError:
            remove(path)
    needed = sum(t.numel() * t.element_size() for t in tensors.values())
    free = shutil.disk_usage(parent).free
    if free < 1.1 * needed + 2**20:
        raise OSError(28, f"No space for a checkpoint of {needed:,} bytes, {free:,} are free")
    with commit(path, {"format": FORMAT, "step": step, **about}) as files:
        files.write(TENSORS, tensor_pieces(tensors))
        files.text(STATE, to_json(packed, ordered=False))
    return path


def found(parent: Path) -> list[Path]:
    """The checkpoints of a run, the newest first; nothing is verified."""
    return sorted(parent.glob("step-*"), reverse=True) if parent.is_dir() else []


def read(path: Path) -> tuple[dict[str, Any], Any]:
    """Manifest and state of a checkpoint, every byte of it verified first.

    Raises:
        IntegrityError: It is not what was written.
    """
    manifest = verify(path)
    if manifest.get("format") != FORMAT:
        raise IntegrityError(f"Expected format {FORMAT} in {path}; it was written otherwise.")
    try:
        packed = json.loads((path / STATE).read_text(encoding="utf8"))
        return manifest, unpack(packed, read_tensors(path / TENSORS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} cannot be read: {error}.") from error


def newest(parent: Path) -> tuple[Path, dict[str, Any], Any, list[str]] | None:
    """The newest checkpoint that verifies, and what was wrong with newer ones.

    What does not verify is put aside under another name, for whoever wants to know why.
    """
    refused = []
    for path in found(parent):
        try:
            manifest, state = read(path)
            return path, manifest, state, refused
        except IntegrityError as error:
            refused.append(str(error))
            aside = path.with_name(f"damaged-{path.name}")
            if not aside.exists():
                path.rename(aside)
    return None


class Keeper:
    """Writes the checkpoints of a run, in a thread of its own, and removes old ones.

    A save copies the state (which stalls the step for the time of the copy) and is written while
    training goes on. An error of writing is told at the next save; after three in a row training
    stops. The lock of the run must be held.

    Args:
        parent: The folder of the run's checkpoints.
        about: What each manifest shall say.
        keep: How many are kept.
        tell: Takes a line for the user.
    """

    def __init__(
        self, parent: Path, *, about: dict[str, Any], keep: int = 2,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        self.parent, self.about, self.keep, self.tell = parent, about, max(keep, 1), tell
        self.misses = 0
        self.saved: int | None = None
        self._writing: Future[Path] | None = None
        self._copies: dict[str, Tensor] = {}
        self._pool = ThreadPoolExecutor(1, "lepton-checkpoint")
        if parent.is_dir():
            sweep(parent)

    @property
    def busy(self) -> bool:
        """Whether an earlier save is still being written."""
        return self._writing is not None and not self._writing.done()

    def save(self, step: int, state: Any) -> None:
        """Copy the state and write it in the background.

        Raises:
            TrainingError: The last saves could not be written.
        """
        self.finish()
        packed, tensors = pack(state)
        copies = {key: self._copy(key, tensor) for key, tensor in tensors.items()}
        self._copies = copies
        self._writing = self._pool.submit(self._put, step, packed, copies)

    def _copy(self, key: str, tensor: Tensor) -> Tensor:
        """A copy in memory that is used again, since fresh memory is slow to get."""
        old = self._copies.get(key)
        fits = old is not None and old.shape == tensor.shape and old.dtype == tensor.dtype
        if fits and old is not None and old.stride() == tensor.stride():
            return old.copy_(tensor)
        return torch.empty_like(tensor, device="cpu").copy_(tensor)

    def _put(self, step: int, packed: Any, tensors: dict[str, Tensor]) -> Path:
        path = _write(self.parent, step, packed, tensors, self.about)
        for old in found(self.parent)[self.keep :]:
            remove(old)
        return path

    def finish(self) -> None:
        """Wait until the save under way is on the disk.

        Raises:
            TrainingError: It is the third in a row that could not be written.
        """
        if self._writing is None:
            return
        try:
            self._writing.result()
            self.misses = 0
        except OSError as error:
            self.misses += 1
            self.tell(
                f"A checkpoint could not be written ({error}); the one before it stands. Training "
                "goes on."
            )
            if self.misses >= MISSES:
                raise TrainingError(
                    f"Expected to write checkpoints to {self.parent}; {self.misses} in a row "
                    f"failed: {error}. Free some space, or choose another workspace=..., and go on "
                    "with resume=True."
                ) from error
        finally:
            self._writing = None

    def close(self) -> None:
        """Finish what is under way and end the thread."""
        try:
            self.finish()
        finally:
            self._pool.shutdown()
