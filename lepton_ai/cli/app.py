"""The command ``lepton``: its options and its commands. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated

import typer

import lepton_ai
from lepton_ai.cli import data, demo, evaluate, explain, fit, optimize, predict, runs, serve
from lepton_ai.cli.output import debugging

app = typer.Typer(
    name="lepton",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From data to a trained, explained, optimised and served model.",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"lepton-ai {lepton_ai.__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="LEPTON_DEBUG", help="Show where an error arose.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    debugging.set(debug)


app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("fit")(fit.fit)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("optimize")(optimize.optimize)
app.command("serve")(serve.serve)
app.add_typer(runs.app, name="runs")
