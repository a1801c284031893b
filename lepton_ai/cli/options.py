"""Options that several commands share, and options whose choices are the registry's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from lepton_ai import registry
from lepton_ai.errors import UnknownNameError

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON document on standard output.")
]
WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        help="Folder of runs, models and caches; LEPTON_HOME, else .lepton, when not given.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="All draws follow from it.")]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="COLUMN", help="The column to predict; guessed if not given."),
]


def named(kind: str, *flags: str, meaning: str) -> Any:
    """An option that takes a name of the registry; nothing is imported to know the names."""
    known = registry.names(kind)
    return typer.Option(
        *flags,
        metavar="NAME",
        help=f"{meaning} Names: {', '.join(known)}.",
        callback=_checked(kind),
        autocompletion=_completed(kind),
    )


def _checked(kind: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is None:
            return None
        try:
            return registry.canonical(kind, value)
        except UnknownNameError as error:
            raise typer.BadParameter(str(error)) from None

    return check


def _completed(kind: str) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [name for name in registry.names(kind) if name.startswith(incomplete)]

    return complete
