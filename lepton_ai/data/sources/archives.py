"""Archives: a zip or tar file that holds any of the other sources."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.sources.extraction import ENDINGS, extract
from lepton_ai.data.sources.source import Source
from lepton_ai.workspace import Workspace, as_workspace
from lepton_ai.workspace.files import file_digest, replace_text

variants = {"archive": "Archive"}


class Archive(Source):
    """A packed folder: taken apart once, into the cache of the workspace, then read as a folder.

    Options: ``workspace``, and those of what it holds.
    """

    title = "zip and tar archives of folders of pictures or of tables"
    endings: ClassVar = ENDINGS

    def read(
        self, source: Path, *, target: str | None = None,
        workspace: Workspace | str | None = None, **options: Any,
    ) -> Dataset:  # fmt: skip
        from lepton_ai.data.reading import read

        place = unpacked(source, as_workspace(workspace))
        while place.is_dir():  # an archive of one folder is that folder, of one file that file
            inner = [entry for entry in place.iterdir() if not entry.name.startswith((".", "__"))]
            if len(inner) != 1:
                break
            place = inner[0]
        return read(place, target=target, **options)


def unpacked(archive: Path, workspace: Workspace) -> Path:
    """The folder that holds what an archive holds, made when it is not there or not whole.

    Raises:
        SourceError: The archive is broken, or holds what must not be extracted.
        LimitError: It holds more than it may.
    """
    key = file_digest(archive)[:32]
    place = workspace.folder("cache", "unpacked")
    folder, manifest = place / key, place / f"{key}.json"
    if folder.is_dir():
        try:
            if json.loads(manifest.read_text()) == _census(folder):
                return folder
        except (OSError, ValueError):
            pass
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
    extract(archive, folder)
    replace_text(manifest, json.dumps(_census(folder)))
    return folder


def _census(folder: Path) -> dict[str, int]:
    """How many files a folder holds and how many bytes they are."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}
