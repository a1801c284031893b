"""``lepton serve``: models behind a door."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.opening import model_folder
from lepton_ai.cli.options import JsonOption, WorkspaceOption
from lepton_ai.cli.output import answering


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Folders of saved models.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines call; nobody is asked who.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Serve models until Ctrl-C: a page for each, a friendly /predict, and the v2 protocol."""
    with answering(json) as out:
        from lepton_ai.serving import serve as serve_models

        folders = [model_folder(model, workspace=workspace) for model in models]
        service = serve_models(
            *folders, host=host, port=port, allow_remote=allow_remote, workspace=workspace
        )
        names = list(service.models)
        lines = [f"Serving on {service.url} (Ctrl-C ends it)"]
        lines += [f"  {service.url}/models/{name}" for name in names]
        out.answer({"url": service.url, "models": names}, "\n".join(lines))
        service.wait()
