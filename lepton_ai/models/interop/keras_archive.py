"""Reading of Keras's files: ``.keras`` archives and HDF5, without running anything from them.

A file may come from anywhere. Members of an archive are read by their names into memory, never
unpacked; sizes are limited before anything is decompressed; links of HDF5 that lead out of the
file are refused, since they would read other files of this machine.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from lepton_ai.errors import ArtifactError, IntegrityError, LimitError, UnsafeFormatError
from lepton_ai.extras import require

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
LARGEST_CONFIG = 64 * 2**20
LARGEST_WEIGHTS = 8 * 2**30
MOST_MEMBERS = 1000
LARGEST_RATIO = 200
"""How many times larger than its compressed form a member may be."""
DEEPEST = 200


class KerasArchive:
    """The description of a model and its weights, as a Keras file holds them.

    Args:
        path: The file, ``.keras`` or ``.h5``.

    Raises:
        ArtifactError: It is no such file, is cut off, or goes over a limit.

    Attributes:
        description: The model's class and arguments, as Keras wrote them.
        legacy: Whether the weights are laid out as in ``.h5`` files, by the names of layers.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir() or not self.path.exists():
            kind = "a folder" if self.path.is_dir() else "missing"
            raise ArtifactError(
                f"Expected a .keras or .h5 file; {self.path} is {kind}. For a folder that "
                "TensorFlow wrote type lai.models.load_tensorflow(path)."
            )
        with self.path.open("rb") as opened:
            head = opened.read(8)
        if head[:2] == b"PK":
            self.legacy = False
            self.description, self.file = self._from_zip()
        elif head == b"\x89HDF\r\n\x1a\n":
            self.legacy = True
            self.file = _opened(self.path, str(self.path))
            self.description = self._from_attributes()
        else:
            raise ArtifactError(
                f"Expected a file that Keras saved (.keras, or .h5); {self.path} begins with "
                f"{head!r} and is neither. In Keras type: model.save('model.keras')."
            )

    def __enter__(self) -> KerasArchive:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def _from_zip(self) -> tuple[dict[str, Any], Any]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                _check_members(archive, self.path)
                config = _member(archive, CONFIG, LARGEST_CONFIG, self.path)
                weights = _member(archive, WEIGHTS, LARGEST_WEIGHTS, self.path)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
            raise IntegrityError(
                f"{self.path} is cut off or damaged: {error}. Copy the file again."
            ) from error
        return self._parsed(config), _opened(io.BytesIO(weights), f"{WEIGHTS} in {self.path}")

    def _from_attributes(self) -> dict[str, Any]:
        given = self.file.attrs.get("model_config")
        if given is None:
            self.file.close()
            raise ArtifactError(
                f"Expected a whole model in {self.path}; it holds weights only, without the layers "
                "they belong to. In Keras type: model.save('model.keras')."
            )
        if len(given) > LARGEST_CONFIG:
            raise LimitError(f"Expected a description of at most {LARGEST_CONFIG:,} bytes.")
        return self._parsed(given if isinstance(given, bytes) else str(given).encode())

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            description = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"The description in {self.path} is not JSON: {error}.") from error
        if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
            raise ArtifactError(f"Expected the description of a model in {self.path}.")
        _check_depth(description)
        return description

    # -- weights ---------------------------------------------------------------------------

    def arrays(self, group: Any) -> list[Any]:
        """The data sets that ``vars`` of a group lists, in order."""
        listed = child(group, "vars")
        if listed is None:
            return []
        return [dataset(listed, name) for name in sorted(listed, key=_number)]

    def named_arrays(self, layer: str) -> list[Any]:
        """The data sets of a layer in an ``.h5`` file, in the order in which it lists them."""
        root = child(self.file, "model_weights")
        group = None if root is None else child(root, layer)
        if group is None:
            return []
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in _weight_names(group)]
        return [dataset(group, name) for name in names]


def values(found: Any) -> np.ndarray:
    """The numbers of a data set whose shape was compared before."""
    try:
        return np.asarray(found[()])
    except (OSError, RuntimeError, ValueError) as error:
        raise IntegrityError(f"The weights {found.name!r} cannot be read: {error}.") from error


def child(group: Any, name: str) -> Any:
    """A part of an HDF5 group by name, or None.

    Raises:
        UnsafeFormatError: It is a link to somewhere else.
    """
    h5py = require("h5py", extra="interop", why="load_keras(...)")
    for part in name.split("/"):
        if not isinstance(group, h5py.Group):
            return None
        link = group.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise UnsafeFormatError(
                f"Expected the weights inside the file; {part!r} in {group.name!r} is a link to "
                "somewhere else, which could read other files of this machine."
            )
        try:
            group = group[part]
        except (KeyError, OSError, RuntimeError) as error:
            raise IntegrityError(f"The weights {part!r} cannot be read: {error}.") from error
    return group


def dataset(group: Any, name: str) -> Any:
    """A data set of an HDF5 group, its numbers in the file itself.

    Raises:
        ArtifactError: It is missing, or keeps its numbers elsewhere.
    """
    h5py = require("h5py", extra="interop", why="load_keras(...)")
    found = child(group, name)
    if not isinstance(found, h5py.Dataset):
        raise IntegrityError(f"Expected weights under {name!r} in {group.name!r}; there are none.")
    if found.external or found.is_virtual:
        raise UnsafeFormatError(
            f"Expected the weights inside the file; {found.name!r} keeps its numbers in another "
            "file of this machine."
        )
    if found.dtype.kind not in "fiu":
        raise ArtifactError(f"Expected numbers in the weights {name!r}; received {found.dtype}.")
    held = found.id.get_storage_size()
    if found.nbytes > LARGEST_WEIGHTS or found.nbytes > max(LARGEST_RATIO * held, 2**20):
        raise LimitError(
            f"Expected the weights {name!r} to be at most {LARGEST_RATIO} times their compressed "
            f"size; received {found.nbytes:,} bytes out of {held:,}."
        )
    return found


def _weight_names(group: Any) -> list[Any]:
    """``weight_names``, which Keras splits into several attributes when they are many."""
    if "weight_names" in group.attrs:
        return list(group.attrs["weight_names"])
    names: list[Any] = []
    for place in itertools.count():
        part = group.attrs.get(f"weight_names{place}")
        if part is None:
            return names
        names += list(part)
    return names


def _number(name: str) -> int:
    if not name.isdigit():
        raise ArtifactError(f"Expected weights numbered from 0; received {name!r}.")
    return int(name)


def _opened(source: Any, title: str) -> Any:
    h5py = require("h5py", extra="interop", why="load_keras(...)")
    try:
        return h5py.File(source, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise IntegrityError(
            f"{title} is cut off or no HDF5: {str(error).splitlines()[0]}. Copy the file again."
        ) from error


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse archives that are no Keras file, or would do harm when unpacked."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise LimitError(
            f"Expected at most {MOST_MEMBERS} members in {path}; received {len(members):,}."
        )
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise IntegrityError(
                f"Expected names inside the archive {path}; {member.filename!r} leads out of it."
            )
    if len({member.filename for member in members}) < len(members):
        raise IntegrityError(f"Expected every member of {path} once; a name comes twice.")
    names = {member.filename for member in members}
    for name in (CONFIG, WEIGHTS):
        if name not in names:
            raise ArtifactError(
                f"Expected a .keras file; {path} is an archive without {name} (it holds "
                f"{', '.join(sorted(names)[:5]) or 'nothing'}). In Keras type: "
                "model.save('model.keras')."
            )


def _member(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """The bytes of a member, within limits that hold whatever its header says."""
    told = archive.getinfo(name)
    ratio = told.file_size / max(told.compress_size, 1)
    if told.file_size > limit or (ratio > LARGEST_RATIO and told.file_size > 2**20):
        raise LimitError(
            f"Expected {name} in {path} to hold at most {limit:,} bytes, {LARGEST_RATIO} times its "
            f"compressed size; received {told.file_size:,} bytes out of {told.compress_size:,}."
        )
    with archive.open(name) as opened:
        found = opened.read(told.file_size + 1)
    if len(found) != told.file_size:
        raise IntegrityError(f"{name} in {path} is not as long as the archive says.")
    return found


def _check_depth(description: Any) -> None:
    """Refuse a description that is nested deeper than any model."""
    level = [description]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise LimitError(f"Expected the description of a model nested at most {DEEPEST} deep.")
