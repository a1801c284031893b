"""``lepton optimize``: a faster form of a model, measured on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lepton_ai.cli.opening import model_folder, open_source
from lepton_ai.cli.options import JsonOption, SeedOption, WorkspaceOption, named
from lepton_ai.cli.output import answering


def optimize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Folder of a model.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Examples that were not trained on.")
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FOLDER", help="Where to save the faster form.")
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0, help="How much the headline metric may fall.")
    ] = 0.01,
    min_speedup: Annotated[
        float, typer.Option(min=0, help="How many times as fast it has to be.")
    ] = 1.2,
    budget: Annotated[str, typer.Option(help="How long to search: 30s, 5min.")] = "5min",
    step: Annotated[
        str | None, named("steps", "--step", meaning="Try this step only.")
    ] = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Find a faster form of a model within bounds; the model itself when none is good enough."""
    with answering(json) as output:
        from lepton_ai.models import load
        from lepton_ai.optimization import optimize as optimize_model

        original = load(model_folder(model, workspace=workspace))
        data = open_source(source, target=original.task.target, split="test", workspace=workspace)
        faster = optimize_model(
            original, data=data, max_drop=max_drop, min_speedup=min_speedup, budget=budget,
            steps=None if step is None else [step], seed=seed, verbose=0 if json else "auto",
        )  # fmt: skip
        report: Any = faster.optimization
        document, text = report.to_json(), report.to_text()
        if out is not None:
            faster.save(out)
            document["saved"] = out
            text += f"\nsaved: {out}"
        output.answer(document, text)
