"""``lepton fit``: train on a source, with everything inferred that is not said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lepton_ai.cli.opening import open_source
from lepton_ai.cli.options import JsonOption, SeedOption, TargetOption, WorkspaceOption, named
from lepton_ai.cli.output import Output, answering
from lepton_ai.errors import ArtifactError


def fit(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A file, a folder, or a data set's name.")
    ],
    target: TargetOption = None,
    task: Annotated[
        str | None, named("tasks", "--task", meaning="What is asked; guessed if not given.")
    ] = None,
    backbone: Annotated[
        str | None, named("backbones", "--backbone", meaning="The network; the task's usual one.")
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Data to judge on; a fifth is held out if not given."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Examples in a step.")] = None,
    optimizer: Annotated[
        str | None, named("optimizers", "--optimizer", meaning="How weights follow gradients.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Size of the steps.")] = None,
    gate: Annotated[bool, typer.Option(help="Stop data that fails the quality gate.")] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the same command was interrupted.")
    ] = False,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FOLDER", help="Where to save the model."),
    ] = None,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Train a model on a source and save it.

    What is not said is inferred, and the output tells how to say it otherwise.
    """
    given: dict[str, Any] = {
        "task": task,
        "backbone": backbone,
        "epochs": epochs,
        "seed": seed,
        "gate": gate,
        **({"resume": True} if resume else {}),
    }
    settings = {"batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate}
    given |= {name: value for name, value in settings.items() if value is not None}
    with answering(json) as output:
        if out is not None:
            _refuse_foreign(Path(out))  # before minutes of training, not after
        _fit(output, source, target, test, out, workspace, given)


def _fit(
    output: Output, source: str, target: str | None, test: str | None, out: str | None,
    workspace: str | None, given: dict[str, Any],
) -> None:  # fmt: skip
    from lepton_ai.automl import train
    from lepton_ai.workspace import as_workspace

    data = open_source(source, target=target, workspace=workspace)
    held = None
    if test is not None:
        held = open_source(test, target=target, split="test", workspace=workspace)
    verbose = 0 if output.as_json else "auto"
    model: Any = train(data, target, test=held, verbose=verbose, workspace=workspace, **given)
    folder = out or as_workspace(workspace).folder("models") / model.run.id
    model.save(folder)
    document = {
        "model": str(folder),
        "run": model.run.id,
        "task": repr(model.task),
        **model.trained.result.to_json(),
    }
    told = f"saved:     {folder}  [lepton predict {folder} ... | lepton serve {folder}]"
    output.answer(document, told)


def _refuse_foreign(folder: Path) -> None:
    from lepton_ai.models.artifact import MANIFEST

    if folder.exists() and not (folder / MANIFEST).is_file():
        raise ArtifactError(
            f"Expected a new folder, or one that holds a saved model; {folder} is neither. "
            "Choose another with --out."
        )
