"""``lepton runs``: what was trained, and how it went."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lepton_ai.cli.options import JsonOption, WorkspaceOption
from lepton_ai.cli.output import answering, table
from lepton_ai.errors import DataError
from lepton_ai.registry import near_miss

app = typer.Typer(help="List runs, or show one.", invoke_without_command=True)


@app.callback()
def listing(
    context: typer.Context, workspace: WorkspaceOption = None, json: JsonOption = False
) -> None:
    """List the runs of the workspace, the newest first."""
    if context.invoked_subcommand is not None:
        return
    with answering(json) as out:
        from lepton_ai.training.run import list_runs

        found = list_runs(workspace)
        rows = [
            [r.id, r.kind, r.status, r.data.get("name", ""), r.data.get("examples", ""), r.epochs,
             _last(r)]
            for r in found
        ]  # fmt: skip
        titles = ["run", "kind", "status", "data", "examples", "epochs", "last figures"]
        text = table(titles, rows) if rows else "No runs yet. Type: lepton demo"
        out.answer([_document(run) for run in found], text)


@app.command()
def show(
    run: Annotated[str, typer.Argument(metavar="ID", help="A run, or how its name begins.")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Show one run: its settings and its figures by epoch."""
    with answering(json) as out:
        from lepton_ai.training.run import list_runs

        found = list_runs(workspace)
        chosen = [one for one in found if one.id.startswith(run)]
        if len(chosen) != 1:
            what = f"{len(chosen)} runs begin like that" if chosen else "there is none"
            raise DataError(
                f"Expected the id of one run; received {run!r}: {what}."
                f"{near_miss(run, [one.id for one in found])} Type: lepton runs"
            )
        one = chosen[0]
        lines = [f"run {one.id}: {one.kind}, {one.status}, started {one.started}, seed {one.seed}"]
        lines += [f"  {k}: {v}" for k, v in {**one.data, **one.config, **one.metrics}.items()]
        names = list(one.history)
        rows = [[epoch + 1, *(f"{one.history[n][epoch]:.4f}" for n in names)]
                for epoch in range(one.epochs)]  # fmt: skip
        text = "\n".join(lines) + ("\n" + table(["epoch", *names], rows) if rows else "")
        out.answer(_document(one), text)


def _last(run: Any) -> str:
    shown = [n for n in run.history if n.startswith("val_")] or list(run.history)
    return ", ".join(f"{name} {run.history[name][-1]:.4g}" for name in shown[:3])


def _document(run: Any) -> dict[str, Any]:
    names = ("id", "kind", "status", "started", "seed", "parent", "data", "config", "metrics")
    return {**{name: getattr(run, name) for name in names}, "history": run.history}
