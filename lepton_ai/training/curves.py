"""Curves of a run, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lepton_ai.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lepton_ai.training.run import Run

TEAL, AMBER, INK, LINE = "#0f766e", "#b45309", "#1f2933", "#e6e8ec"


def draw_curves(run: Run, *, path: str | Path | None = None) -> Figure:
    """One panel for each figure, labelled at the ends of its lines."""
    figure_module = require("matplotlib.figure", extra="explain", why="run.plot()")
    names = [n for n in run.history if not n.startswith("val_") and n != "learning_rate"]
    names = names or ["loss"]
    figure = figure_module.Figure(figsize=(5.2 * len(names), 3.6), layout="constrained")
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        for key, colour, label in ((name, TEAL, "training"), (f"val_{name}", AMBER, "validation")):
            values = run.history.get(key, [])
            if values:
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=label)
                axes.annotate(
                    f"{label} {values[-1]:.4g}", (len(values), values[-1]), color=colour,
                    xytext=(6, 0), textcoords="offset points", va="center", fontsize=9,
                )  # fmt: skip
        axes.set_title(name.replace("_", " "), color=INK, fontsize=11, loc="left")
        axes.set_xlabel("epoch", color=INK)
        axes.grid(color=LINE)
        axes.margins(x=0.02)
        axes.set_xlim(right=max(run.epochs, 2) * 1.32)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if path is not None:
        figure.savefig(path, dpi=144)
    return figure
