"""What users import: complete, documented, and cheap until it is used."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import lepton_ai as lai
from lepton_ai import registry


@pytest.mark.parametrize("name", sorted(set(lai.__all__)))
def test_every_name_is_there_and_documented(name: str) -> None:
    thing = getattr(lai, name)
    assert name in dir(lai)
    if name != "__version__":
        assert inspect.getdoc(thing), name


def test_a_wrong_name_offers_the_near_miss() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'evaluate'"):
        lai.evalute  # noqa: B018


def test_importing_costs_nothing() -> None:
    code = (
        "import sys, lepton_ai; heavy = {'torch', 'numpy', 'pyarrow', 'PIL', 'typer', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_listing_plugins_needs_no_torch() -> None:
    code = (
        "import sys; from lepton_ai import registry;"
        "[registry.names(kind) for kind in registry.ROOMS]; print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


KINDS = [(kind, name) for kind in registry.ROOMS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), KINDS, ids=[f"{k}-{n}" for k, n in KINDS])
def test_every_plugin_is_found_named_and_documented(kind: str, name: str) -> None:
    thing = registry.lookup(kind, name)
    assert inspect.getdoc(thing), f"{kind} {name} has no docstring"
    assert inspect.getdoc(importlib.import_module(thing.__module__)), thing.__module__
    assert registry.lookup(kind, name.upper()) is thing


@pytest.mark.parametrize("kind", list(registry.ROOMS))
def test_an_unknown_name_says_what_is_known(kind: str) -> None:
    known = registry.names(kind)
    if not known:
        pytest.fail(f"nothing is listed under {kind}")
    with pytest.raises(registry.UnknownNameError, match="Did you mean"):
        registry.lookup(kind, known[0] + "x")
