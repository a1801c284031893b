"""``lepton evaluate``: how good a model is on data."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.opening import open_model, open_source
from lepton_ai.cli.options import JsonOption, WorkspaceOption
from lepton_ai.cli.output import answering


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder of a model, or a service's address.")
    ],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Examples with their answers.")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Measure a model on data: its metrics, with intervals where there are any."""
    with answering(json) as out:
        from lepton_ai.automl.result import measure

        predictor = open_model(model, workspace=workspace)
        target = predictor.task.target
        data = open_source(source, target=target, split="test", workspace=workspace)
        result = measure(predictor, data)
        document = {"model": model, "source": source, **result.to_json()}
        out.answer(document, str(result).replace("held-out examples", "examples"))
