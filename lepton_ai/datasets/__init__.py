"""Named data sets: where each is from, under which licence, and how it is read. One file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lepton_ai import registry

if TYPE_CHECKING:
    from lepton_ai.data import Dataset
    from lepton_ai.datasets.named import NamedDataset
    from lepton_ai.workspace import Workspace

_plugin, _, _classes = registry.face("datasets")

__all__ = ["describe", "listing", "load", "load_image_dataset", "names", *_classes]


def names() -> list[str]:
    """The names of all data sets, without those that are only another name for one.

    Example:
        >>> "cifar10" in names()
        True
    """
    first: dict[Any, str] = {}
    for name in registry.names("datasets"):
        first.setdefault(registry.lookup("datasets", name), name)
    return list(first.values())


def describe(name: str) -> NamedDataset:
    """What is known of a data set: title, licence, source, citation, splits, files.

    Raises:
        UnknownNameError: No data set has this name; the message offers the near miss.
    """
    return registry.lookup("datasets", name.replace(" ", ""))()


def listing() -> list[dict[str, Any]]:
    """One plain dict for each data set, for tables and JSON: what it is and whether it is here."""
    return [{"name": name, **describe(name).summary()} for name in names()]


def load(
    name: str, split: str = "train", *, workspace: Workspace | str | None = None, **options: Any
) -> Dataset:
    """Read a named data set.

    It is looked for inside the package, in ``LEPTON_DATA_HOME``, and in the cache of the workspace;
    what has an official place on the internet is downloaded from there, with its checksum.

    Args:
        name: Such as ``"cifar10"``; case, ``-`` and ``_`` do not matter.
        split: Such as ``"train"`` or ``"test"``.
        workspace: Where downloads and decoded pictures are kept.
        options: What the data set takes besides, such as ``full=True``.

    Raises:
        UnknownNameError: No data set has this name, or it has no such split.
        SourceError: It is not here and cannot be downloaded; the message says what to put where.

    Example:
        >>> len(load("fashion_mnist", "test"))
        1000
    """
    return describe(name).load(split, workspace=workspace, **options)


def load_image_dataset(
    split: str, name: str, *, workspace: Workspace | str | None = None, **options: Any
) -> Dataset:
    """Read a named data set of pictures: columns ``image`` and ``label``.

    Args:
        split: ``"train"`` or ``"test"``.
        name: ``"CIFAR10"``, ``"FashionMNIST"``, ``"MNIST"`` ...
        workspace: Where downloads and decoded pictures are kept.
        options: What the data set takes besides.

    Raises:
        UnknownNameError: No data set of pictures has this name, or it has no such split.
        SourceError: It is not here and cannot be downloaded; the message says what to put where.

    Example:
        >>> load_image_dataset("test", "FashionMNIST")["image"].shape
        (1000, 28, 28)
    """
    from lepton_ai.errors import ConfigError

    known = describe(name)
    if known.kind != "images":
        pictures = [each for each in names() if describe(each).kind == "images"]
        raise ConfigError(
            f"Expected a data set of pictures, one of {', '.join(pictures)}; received {name!r}, "
            f"which holds {known.kind}. Type: lai.datasets.load({name!r}, {split!r})"
        )
    return known.load(split, workspace=workspace, **options)


def __getattr__(name: str) -> Any:
    return _plugin(name)


def __dir__() -> list[str]:
    return sorted(__all__)
