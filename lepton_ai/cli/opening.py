"""What a command line names: sources of data and models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton_ai import registry
from lepton_ai.errors import ArtifactError, SourceError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset


def open_source(
    source: str, *, target: str | None = None, split: str = "train", workspace: str | None = None
) -> Dataset:
    """A data set from a path, or from the name of a data set.

    Raises:
        SourceError: It is neither; the near miss is offered.
    """
    from lepton_ai import datasets
    from lepton_ai.data import Dataset

    if Path(source).exists():
        return Dataset.read(source, target=target)
    names = registry.names("datasets")
    plain = source.lower().replace("-", "_")
    if plain in names or plain.replace("_", "") in {name.replace("_", "") for name in names}:
        return datasets.load(source, split, workspace=workspace)
    raise SourceError(
        f"Expected a file, a folder or the name of a data set; {source!r} is none of these."
        f"{registry.near_miss(source, names)} The names are listed by: lepton data"
    )


def is_url(text: str) -> bool:
    """Whether a model is named by the address of a service."""
    return text.startswith(("http://", "https://"))


def open_model(name: str, *, workspace: str | None = None) -> Any:
    """A model from its folder, from its name in the workspace, or behind an address.

    Raises:
        ArtifactError: There is no such model; the near miss is offered.
    """
    if is_url(name):
        from lepton_ai.serving import connect

        return connect(name)
    from lepton_ai.models import load

    return load(model_folder(name, workspace=workspace))


def model_folder(name: str, *, workspace: str | None = None) -> Path:
    """The folder of a saved model that was given by its path or its name in the workspace."""
    from lepton_ai.workspace import as_workspace

    if Path(name).exists():
        return Path(name)
    kept = as_workspace(workspace).path / "models"
    if (kept / name).is_dir() and Path(name).name == name:
        return kept / name
    known = [folder.name for folder in kept.iterdir()] if kept.is_dir() else []
    raise ArtifactError(
        f"Expected the folder of a saved model; there is no {name!r}."
        f"{registry.near_miss(name, known)} Type: lepton fit SOURCE --out {name}"
    )
