"""Folders of pictures: one folder for each class, or all in one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from lepton_ai.data.column import Files
from lepton_ai.data.dataset import Dataset, Skipped
from lepton_ai.data.sources.decoding import ENDINGS, faults
from lepton_ai.data.sources.source import Source
from lepton_ai.errors import EmptyDataError, SourceError
from lepton_ai.registry import near_miss

variants = {"image_folder": "ImageFolder"}

SPLITS = ("train", "training", "test", "testing", "val", "valid", "validation")
LARGEST = 1 << 30


class ImageFolder(Source):
    """Pictures in folders of their class: ``root/<class>/*.jpg`` or ``root/train/<class>/*.jpg``.

    Columns ``image`` and ``label`` (or the name given as ``target``); pictures that lie in the
    folder itself have no label. Pictures that cannot be read are left out and listed in
    ``dataset.skipped``.

    Options: ``split`` (the folder ``train`` unless told otherwise, where there is one), ``labels``
    (``False`` does not make labels of folder names), ``verify`` (``False`` does not look into each
    picture).
    """

    title = "folders of pictures"
    endings: ClassVar = ENDINGS

    @classmethod
    def recognises(cls, source: Any) -> float:
        if isinstance(source, Path) and source.is_dir():
            return 0.8 if next(_walk(source, ENDINGS), None) is not None else 0.0
        return super().recognises(source)

    def read(
        self, source: Path, *, target: str | None = None, split: str | None = None,
        labels: bool = True, verify: bool = True,
    ) -> Dataset:  # fmt: skip
        if source.is_file():
            root, paths, others = source.parent, [source], []
            labels = False
        else:
            root = _split_folder(source, split)
            found = sorted(
                _walk(root), key=lambda path: _natural(path.relative_to(root).as_posix())
            )
            paths = [path for path in found if path.name.lower().endswith(ENDINGS)]
            others = [path for path in found if not path.name.lower().endswith(ENDINGS)]
        names = [path.relative_to(root).as_posix() for path in paths]
        skipped = [
            Skipped(p.relative_to(root).as_posix(), "not a picture by its name") for p in others
        ]
        wrong = faults(len(paths), lambda i: _bounded(paths[i])) if verify else [None] * len(paths)
        skipped += [Skipped(names[i], why) for i, why in enumerate(wrong) if why]
        classes = _classes(names)
        labelled = labels and any(classes)
        if labelled:
            skipped += [
                Skipped(name, "it lies in no folder of a class")
                for name, label, why in zip(names, classes, wrong, strict=True)
                if label is None and not why
            ]
        good = [
            i
            for i in range(len(paths))
            if not wrong[i] and (classes[i] is not None or not labelled)
        ]
        if not good:
            raise EmptyDataError(_nothing(root, len(paths), skipped))
        from lepton_ai.data.fields.image import Image
        from lepton_ai.data.fields.label import Label

        columns: dict[str, Any] = {"image": Files([str(paths[i]) for i in good])}
        fields: dict[str, Any] = {"image": Image()}
        if labelled:
            columns[target or "label"] = [classes[i] for i in good]
            fields[target or "label"] = Label()
        return Dataset(columns, fields, skipped=skipped)


def _classes(names: list[str]) -> list[str | None]:
    """The folder that tells the pictures apart: the first that is not the same for all of them."""
    parents = [name.split("/")[:-1] for name in names]
    depth, shortest = 0, min((len(each) for each in parents), default=0)
    while depth < shortest - 1 and len({each[depth] for each in parents}) == 1:
        depth += 1
    return [each[depth] if len(each) > depth else None for each in parents]


def _walk(root: Path, endings: tuple[str, ...] = ()) -> Iterator[Path]:
    """Files below a folder, without hidden ones."""
    for folder, inner, files in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__MACOSX")))
        for name in files:
            if not name.startswith(".") and (not endings or name.lower().endswith(endings)):
                yield Path(folder) / name


def _split_folder(source: Path, split: str | None) -> Path:
    parts = {entry.name: entry for entry in source.iterdir() if entry.is_dir()}
    known = [name for name in parts if name.lower() in SPLITS]
    if split is not None:
        if split not in parts:
            raise SourceError(
                f"Expected the folder {split!r} in {source}; it holds "
                f"{', '.join(sorted(parts)[:20]) or 'no folders'}.{near_miss(split, parts)}"
            )
        return parts[split]
    train = [name for name in known if name.lower() in ("train", "training")]
    return parts[train[0]] if train else source


def _bounded(path: Path) -> bytes:
    size = path.stat().st_size
    if size > LARGEST:
        raise OSError(f"{size:,} bytes, more than {LARGEST:,}")
    return path.read_bytes()


def _natural(name: str) -> list[Any]:
    """A key that sorts ``2.jpg`` before ``10.jpg``."""
    pieces = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in pieces]


def _nothing(root: Path, count: int, skipped: list[Skipped]) -> str:
    if not count:
        return (
            f"Expected pictures ({', '.join(ENDINGS)}) in {root} or in folders below; found none. "
            "Make one folder for each class and put its pictures into it."
        )
    first = skipped[-1]
    return (
        f"Expected pictures that can be read in {root}; none of {count} can "
        f"({first.member}: {first.reason})."
    )
