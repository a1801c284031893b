"""Versions of stored data sets, in the Lance format: never overwritten, checked when opened."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset, Skipped
from lepton_ai.data.field import Field
from lepton_ai.data.store.encoding import from_arrow, keepable, to_arrow
from lepton_ai.errors import IntegrityError, SourceError
from lepton_ai.workspace import Workspace, as_workspace
from lepton_ai.workspace.folder import checked_name

_KEY = b"lepton"
FORMAT = 1


@dataclass(frozen=True)
class Version:
    """One version of a stored data set.

    Attributes:
        name: Of the data set.
        version: Its number, from 1.
        digest: SHA-256 over names, fields and values.
        rows: How many examples.
        created: When, in ISO 8601.
    """

    name: str
    version: int
    digest: str
    rows: int
    created: str


def store_version(data: Dataset, name: str, workspace: Workspace | str | None = None) -> Dataset:
    """Keep a data set as the next version under a name; unchanged data makes none.

    Files are kept as their bytes, so the version does not change when they do.

    Returns:
        The data set as it was stored, with name, version and digest in its ``lineage``.

    Raises:
        ConfigError: A name that cannot be a file name.
        DataError: It holds no example, or values that cannot be kept.
    """
    place = _place(name, as_workspace(workspace))
    data = data.require()
    kept = data.derive({key: keepable(column) for key, column in data.columns.items()})
    digest = kept.digest()
    with _locked(place):
        newest = _newest(place)
        if newest is not None and _about(newest, name)["digest"] == digest:
            return _marked(kept, name, newest.version, digest)
        arrays, kinds = {}, {}
        for key, column in kept.columns.items():
            arrays[key], kinds[key] = to_arrow(column)
        about = {
            "format": FORMAT, "name": kept.name, "digest": digest, "kinds": kinds,
            "columns": list(kept.columns),
            "fields": {key: field.to_config() for key, field in kept.fields.items()},
            "lineage": kept.lineage,
            "skipped": [[skip.member, skip.reason] for skip in kept.skipped],
        }  # fmt: skip
        table = pa.table(
            {f"c{place}": arrays[key] for place, key in enumerate(arrays)}
        ).replace_schema_metadata({_KEY: json.dumps(about, ensure_ascii=False).encode()})
        written = _lance().write_dataset(
            table, str(_data(place)), mode="create" if newest is None else "overwrite"
        )
        version = int(written.version)
    return _marked(kept, name, version, digest)


def open_version(
    name: str, version: int | str | None = None, workspace: Workspace | str | None = None
) -> Dataset:
    """Open a version of a stored data set, by default the newest; its digest is verified.

    Args:
        name: Under which it was stored.
        version: Its number, or the beginning of its digest.
        workspace: Where it is stored.

    Raises:
        SourceError: There is no such data set or version.
        IntegrityError: What is there is not what was stored.
    """
    workspace = as_workspace(workspace)
    place = _place(name, workspace)
    if _newest(place) is None:
        known = stored_names(workspace)
        raise SourceError(
            f"Expected the name of a stored data set ({', '.join(known) or 'there are none'}); "
            f"received {name!r}.{registry.near_miss(name, known)}"
        )
    number = _number(name, version, workspace)
    try:
        opened = _lance().dataset(str(_data(place)), version=number)
        about = _about(opened, name)
        table = opened.to_table()
        columns = {
            key: from_arrow(table.column(f"c{place}"), about["kinds"][key])
            for place, key in enumerate(about["columns"])
        }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pa.ArrowException) as error:
        if isinstance(error, IntegrityError):
            raise
        raise IntegrityError(
            f"Version {number} of {name!r} cannot be read; a file is missing or damaged in "
            f"{_data(place)}: {str(error)[:200]}"
        ) from error
    fields = {key: Field.from_config(config) for key, config in about["fields"].items()}
    skipped = [Skipped(member, reason) for member, reason in about["skipped"]]
    data = Dataset(columns, fields, name=about["name"], skipped=skipped)
    if data.digest() != about["digest"]:
        raise IntegrityError(
            f"Version {number} of {name!r} is not what was stored: expected the digest "
            f"{about['digest'][:16]}, received {data.digest()[:16]}. Open an earlier version with "
            f"version={max(number - 1, 1)}."
        )
    data = data.derive(lineage=about["lineage"])
    return _marked(data, name, number, about["digest"])


def list_versions(name: str, workspace: Workspace | str | None = None) -> list[Version]:
    """The versions of a stored data set, the oldest first; empty when there is none."""
    place = _place(name, as_workspace(workspace))
    if _newest(place) is None:
        return []
    found = []
    for entry in _lance().dataset(str(_data(place))).versions():
        opened = _lance().dataset(str(_data(place)), version=entry["version"])
        created = entry["timestamp"].isoformat(timespec="seconds")
        rows = int(opened.count_rows())
        digest = _about(opened, name)["digest"]
        found.append(Version(name, int(entry["version"]), digest, rows, created))
    return found


def stored_names(workspace: Workspace | str | None = None) -> list[str]:
    """The names of the data sets that are stored."""
    store = as_workspace(workspace).path / "store"
    if not store.is_dir():
        return []
    return sorted(entry.name for entry in store.iterdir() if _data(entry).is_dir())


def _lance() -> Any:
    import lance  # not at the top: it starts threads of its own

    return lance


def _place(name: str, workspace: Workspace) -> Path:
    return workspace.path / "store" / checked_name(name)


def _data(place: Path) -> Path:
    return place / "data.lance"


def _newest(place: Path) -> Any | None:
    """The newest version, ``None`` when nothing was ever written to the end."""
    if not list(_data(place).glob("_versions/*.manifest")):
        return None
    try:
        return _lance().dataset(str(_data(place)))
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"{_data(place)} is damaged: {str(error)[:200]}. Store under another name."
        ) from error


def _about(opened: Any, name: str) -> dict[str, Any]:
    try:
        about = json.loads((opened.schema.metadata or {})[_KEY])
        if about["format"] > FORMAT:
            raise IntegrityError(
                f"{name!r} was stored by a newer Lepton. Type: pip install -U lepton-ai"
            )
        return about
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, IntegrityError):
            raise
        raise IntegrityError(f"{name!r} holds a table that Lepton did not store.") from error


def _number(name: str, version: int | str | None, workspace: Workspace) -> int:
    versions = list_versions(name, workspace)
    if version is None:
        return versions[-1].version
    for each in versions:
        if str(each.version) == str(version) or (
            isinstance(version, str) and len(version) >= 6 and each.digest.startswith(version)
        ):
            return each.version
    raise SourceError(
        f"Expected a version of {name!r}, one of {', '.join(str(v.version) for v in versions)}; "
        f"received {version!r}."
    )


def _marked(data: Dataset, name: str, version: int, digest: str) -> Dataset:
    mark = {"store": name, "version": version, "digest": digest}
    return data.derive(lineage={**data.lineage, **mark})


@contextmanager
def _locked(place: Path) -> Generator[None]:
    """One writer at a time; the lock goes with the process that holds it."""
    place.mkdir(parents=True, exist_ok=True)
    handle = os.open(place / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
