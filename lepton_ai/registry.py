"""One registry for everything that can be named.

A folder is the list. A plug-in file holds a module-level literal ``variants`` that names what it
offers, and the registry reads that literal without importing the file (so ``lepton --help`` needs
no torch). ``variants`` is a tuple of names, each also the attribute that holds the object, or a
dict from name to attribute::

    variants = ("Conv1D", "Conv2D", "Conv3D")          # layers/convolution.py
    variants = {"image_classification": "ImageClassification"}

Names are compared without regard to case, ``_`` and ``-``. Users add their own with
:func:`register`, or packages with an entry point in the group ``lepton_ai.<kind>``.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from lepton_ai.errors import ConfigError, UnknownNameError

ROOMS = {
    "fields": "data.fields",
    "sources": "data.sources",
    "transforms": "data.transforms",
    "datasets": "datasets",
    "layers": "layers",
    "losses": "losses",
    "metrics": "metrics",
    "tasks": "tasks",
    "heads": "heads",
    "optimizers": "optimizers",
    "callbacks": "callbacks",
    "networks": "models",
    "backbones": "models.backbones",
    "checks": "quality.checks",
    "fixes": "quality.fixes",
    "steps": "optimization.steps",
    "explainers": "explanation.methods",
    "engines": "models.engines",
}
"""Each kind of plug-in and the folder that lists it."""

_registered: dict[str, dict[str, Any]] = {kind: {} for kind in ROOMS}


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _check_kind(kind: str) -> None:
    if kind not in ROOMS:
        raise UnknownNameError(
            f"Expected a kind of plug-in, one of {', '.join(ROOMS)}; received {kind!r}."
            f"{near_miss(kind, ROOMS)}"
        )


def read_literal(path: Path, name: str) -> Any:
    """The literal that a module assigns to ``name`` at its top level, read without importing it.

    Returns ``None`` when the module assigns no such literal.
    """
    for node in ast.parse(path.read_text(encoding="utf8")).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == name:
                return ast.literal_eval(node.value)
    return None


@cache
def _listed(kind: str) -> dict[str, tuple[str, str]]:
    """Name -> (module, attribute) of the plug-ins that come with Lepton, in order of the files."""
    room = ROOMS[kind]
    folder = Path(__file__).parent.joinpath(*room.split("."))
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(folder.glob("*.py")):
        variants = None if path.stem == "__init__" else read_literal(path, "variants")
        if variants is None:
            continue
        pairs = variants.items() if isinstance(variants, dict) else ((v, v) for v in variants)
        for name, attribute in pairs:
            found[name] = (f"lepton_ai.{room}.{path.stem}", attribute)
    return found


@cache
def _entry_points(kind: str) -> dict[str, importlib.metadata.EntryPoint]:
    return {p.name: p for p in importlib.metadata.entry_points(group=f"lepton_ai.{kind}")}


def names(kind: str) -> list[str]:
    """The names that :func:`lookup` finds for a kind, without importing any plug-in.

    Example:
        >>> "Dense" in names("layers")
        True
    """
    _check_kind(kind)
    return list(dict.fromkeys([*_listed(kind), *_entry_points(kind), *_registered[kind]]))


def near_miss(name: str, options: Iterable[str]) -> str:
    """A sentence ``" Did you mean 'x'?"`` when an option is close to ``name``, else nothing.

    Example:
        >>> near_miss("accurcy", ["accuracy", "loss"])
        " Did you mean 'accuracy'?"
    """
    plain = {_plain(option): option for option in options}
    wanted = _plain(str(name))
    close = difflib.get_close_matches(wanted, plain, n=3, cutoff=0.6)
    close.sort(key=lambda option: sorted(option) != sorted(wanted))  # swapped letters first
    return f" Did you mean {plain[close[0]]!r}?" if close else ""


def mistaken(missing: str, given: Iterable[str]) -> str:
    """A sentence ``" Is 'imag' meant to be 'image'?"`` when a given name is close to a missing one.

    Example:
        >>> mistaken("image", ["imag", "label"])
        " Is 'imag' meant to be 'image'?"
    """
    plain = {_plain(str(name)): name for name in given}
    close = difflib.get_close_matches(_plain(missing), plain, n=1, cutoff=0.6)
    return f" Is {plain[close[0]]!r} meant to be {missing!r}?" if close else ""


def canonical(kind: str, name: str) -> str:
    """The spelling under which a name is listed (``"conv2d"`` gives ``"Conv2D"``).

    Raises:
        UnknownNameError: Nothing of that kind has this name.
    """
    _check_kind(kind)
    known = names(kind)
    if name in known:
        return name
    plain = {_plain(option): option for option in known}
    if isinstance(name, str) and _plain(name) in plain:
        return plain[_plain(name)]
    singular = {"losses": "loss", "fixes": "fix", "checks": "check"}.get(kind, kind.rstrip("s"))
    listed = ", ".join(known[:40]) + (", ..." if len(known) > 40 else "")
    article = "an" if singular[0] in "aeiou" else "a"
    raise UnknownNameError(
        f"Expected the name of {article} {singular}; received {name!r}."
        f"{near_miss(str(name), known)} Known: {listed}."
    )


def lookup(kind: str, name: str) -> Any:
    """The object that a name stands for, importing only the file that holds it.

    Raises:
        UnknownNameError: Nothing of that kind has this name; the message offers the near miss.

    Example:
        >>> lookup("layers", "dense").__name__
        'Dense'
    """
    key = canonical(kind, name)
    if key in _registered[kind]:
        return _registered[kind][key]
    if key in _listed(kind):
        module, attribute = _listed(kind)[key]
        return getattr(importlib.import_module(module), attribute)
    return _entry_points(kind)[key].load()


def name_of(kind: str, thing: Any) -> str:
    """The name under which an object is listed: the way back from :func:`lookup`.

    Raises:
        UnknownNameError: The object is not listed; the message says how to register it.
    """
    _check_kind(kind)
    for name, registered in _registered[kind].items():
        if registered is thing:
            return name
    module, attribute = getattr(thing, "__module__", ""), getattr(thing, "__name__", "")
    for name, place in _listed(kind).items():
        if place == (module, attribute):
            return name
    for name, point in _entry_points(kind).items():
        if point.value == f"{module}:{attribute}":
            return name
    raise UnknownNameError(
        f"{attribute or thing!r} is not registered among the {kind}, so it cannot be saved or "
        f"loaded by name. Type: lai.register({kind!r}, {attribute!r}, {attribute or '...'})"
    )


def face(kind: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a folder of plug-ins shows to importers: ``__getattr__``, ``__dir__`` and ``__all__``.

    Its classes are imported when they are first asked for, so a folder costs nothing to import.

    Example:
        >>> getattribute, listing, everything = face("layers")
        >>> getattribute("Dense").__name__, "Dense" in listing()
        ('Dense', True)
    """
    _check_kind(kind)
    places = {attribute: module for module, attribute in _listed(kind).values()}
    package = f"lepton_ai.{ROOMS[kind]}"

    def getattribute(name: str) -> Any:
        if name in places:
            return getattr(importlib.import_module(places[name]), name)
        registered = _registered[kind].get(name)
        if registered is None:
            raise AttributeError(f"{package} has no attribute {name!r}.{near_miss(name, places)}")
        return registered

    return getattribute, lambda: sorted(places), sorted(places)


def register(kind: str, name: str, thing: Any) -> Any:
    """Add an object of your own under a name; returns the object.

    Raises:
        ConfigError: The name is taken by something that comes with Lepton.

    Example:
        >>> class Squeeze: pass
        >>> register("layers", "Squeeze", Squeeze) is lookup("layers", "squeeze")
        True
    """
    _check_kind(kind)
    if any(_plain(name) == _plain(listed) for listed in _listed(kind)):
        raise ConfigError(
            f"Expected a new name among the {kind}; received {name!r}, which comes with Lepton. "
            f"Choose another name, for example {'my_' + name!r}."
        )
    _registered[kind][name] = thing
    return thing
