"""``lepton data``: named data sets, what a source holds, and whether it passes the quality gate."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.opening import open_source
from lepton_ai.cli.options import JsonOption, TargetOption, WorkspaceOption
from lepton_ai.cli.output import GATE_BLOCKED, answering, table

app = typer.Typer(help="List, describe and check data.", invoke_without_command=True)

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A file, a folder, or the name of a data set.")
]


@app.callback()
def listing(context: typer.Context, json: JsonOption = False) -> None:
    """List the data sets that have a name."""
    if context.invoked_subcommand is not None:
        return
    with answering(json) as out:
        from lepton_ai import datasets

        found = datasets.listing()
        rows = [[d["name"], d["kind"], d["size"], "here" if d["available"] else "-", d["licence"]]
                for d in found]  # fmt: skip
        out.answer(found, table(["name", "kind", "size", "on disk", "licence"], rows))


@app.command()
def describe(
    source: SourceArgument, target: TargetOption = None, workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Say what a source holds: columns, fields, skipped members, an example."""
    with answering(json) as out:
        data = open_source(source, target=target, workspace=workspace)
        document = {
            "name": data.name,
            "examples": len(data),
            "fields": {name: field.to_config() for name, field in data.fields.items()},
            "skipped": [{"member": s.member, "reason": s.reason} for s in data.skipped],
        }
        lines = [repr(data)]
        if len(data):
            lines.append("  first example:")
            for name, value in data[0].items():
                shape = getattr(value, "shape", None)
                told = f"array {list(shape)}" if shape else repr(value)
                lines.append(f"    {name}: {told[:100]}")
        lines += [f"  skipped {s.member}: {s.reason}" for s in data.skipped[:20]]
        out.answer(document, "\n".join(lines))


@app.command()
def check(
    source: SourceArgument,
    target: TargetOption = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Test data, which must share no example with it."),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Put a source through the quality gate; the exit code is 3 when it is stopped."""
    with answering(json) as out:
        from lepton_ai.quality import check as check_data

        data = open_source(source, target=target, workspace=workspace)
        other = None
        if against is not None:
            other = open_source(against, target=target, split="test", workspace=workspace)
        report = check_data(data, target=target, against=other)
        out.answer(report.to_json(), report.to_text())
        if not report.passed:
            raise typer.Exit(GATE_BLOCKED)
