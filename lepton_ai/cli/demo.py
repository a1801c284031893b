"""``lepton demo``: the whole way from data to a served prediction, in a few minutes."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.options import JsonOption, SeedOption, WorkspaceOption
from lepton_ai.cli.output import answering


def demo(
    epochs: Annotated[int | None, typer.Option(min=1, help="Rounds over the pictures.")] = None,
    seed: SeedOption = 0,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where to serve; 8000 or a free one if not given."),
    ] = None,
    serve: Annotated[bool, typer.Option(help="Keep serving after the report.")] = True,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open report and page in the browser.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Judge on all 10,000 test pictures, when at hand.")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Run the whole way on Fashion-MNIST, which comes with the package.

    Collect, quality gate, clean, store, train, evaluate, explain, optimise, serve, predict over
    HTTP, report. LEPTON_LANGUAGE=zh tells it in Chinese.
    """
    with answering(json) as out:
        from lepton_ai.cli.tour import NAME, Tour

        tour = Tour(out, workspace=workspace, epochs=epochs, seed=seed, port=port, full=full)
        document = tour.run()
        service = tour.service
        if service is None:
            raise RuntimeError("the service was not opened")
        try:
            if open_browser:
                import webbrowser

                webbrowser.open(tour.page.as_uri())
                webbrowser.open(f"{service.url}/models/{NAME}")
            line = tour.words("serving", url=service.url, name=NAME) if serve else None
            out.answer(document if serve else {**document, "url": None}, line)
            if serve:
                service.wait()
        finally:
            service.stop()
