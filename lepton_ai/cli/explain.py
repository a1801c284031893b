"""``lepton explain``: which parts of an example speak for what a model says."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.opening import open_model
from lepton_ai.cli.options import JsonOption, WorkspaceOption, named
from lepton_ai.cli.output import answering, table
from lepton_ai.cli.predict import read_examples
from lepton_ai.errors import DataError


def explain(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder of a model, or a service's address.")
    ],
    example: Annotated[
        str,
        typer.Argument(metavar="EXAMPLE", help="A picture file, a text, a JSON object, a table."),
    ],
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Where to: .html or .png.")
    ] = None,
    row: Annotated[int, typer.Option(min=0, help="Which row of a table.")] = 0,
    method: Annotated[
        str | None, named("explainers", "--method", meaning="How; chosen by itself if not given.")
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Explain one prediction; print the parts that matter most, and save a picture or a page."""
    with answering(json) as output:
        from lepton_ai.explanation import explain as explain_prediction

        predictor = open_model(model, workspace=workspace)
        names, rows = read_examples(predictor.task, [example])
        if row >= len(names):
            raise DataError(f"Expected a row from 0 to {len(names) - 1}; received --row {row}.")
        explanation = explain_prediction(predictor, rows[row], method or "auto")
        document = explanation.to_json()
        text = repr(explanation)
        if out is not None:
            document["saved"] = str(explanation.save(out))
            text += f"\nsaved: {out}"
        else:
            top = [[a.input, a.part.name, f"{a.weight:+.4f}"] for a in explanation.top()]
            text += "\n" + table(["input", "part", "weight"], top)
        output.answer(document, text)
