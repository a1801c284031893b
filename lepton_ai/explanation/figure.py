"""Figure: an explanation as a matplotlib figure, for papers and chats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_ai.data.fields.drawing import AGAINST, FOR, heat_overlay
from lepton_ai.explanation.page import answer_text
from lepton_ai.explanation.wording import say
from lepton_ai.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lepton_ai.explanation.explanation import Attribution, Explanation

MOST_BARS, MOST_WORDS = 12, 200
_INK = "#14181f"
_KEY = "teal speaks for it, amber against"
_FONTS = ("Noto Sans CJK SC", "WenQuanYi Micro Hei", "Microsoft YaHei", "PingFang SC",
          "Source Han Sans SC", "SimHei")  # fmt: skip

_FONT_FILES = ("notosanscjk", "wqy-microhei", "msyh", "pingfang", "sourcehansans", "simhei")


def save_figure(found: Explanation, path: Path) -> None:
    """Draw an explanation and write it as a picture."""
    figure = draw_explanation(found)
    with warnings.catch_warnings():
        # Without a Chinese font a box is drawn for the sign; that is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure.savefig(path, dpi=144)


def draw_explanation(found: Explanation) -> Figure:
    """Pictures with their heat, coloured words, and bars for the rest, one below the other.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="explain", why='explanation.save("x.png")')
    panels = _panels(found)
    heights = [height for height, _, _ in panels]
    figure = figures.Figure(figsize=(7.2, sum(heights) + 0.7), layout="constrained")
    rows = figure.subfigures(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    answer = answer_text(found)
    title = say("why", "en", answer=answer) if answer else say("why_plain", "en")
    trust = {True: "", False: "  (do not trust)", None: ""}[found.trusted]
    family = _family()
    figure.suptitle(title + trust, x=0.02, ha="left", color=_INK, family=family, weight="bold")
    for part, (_, draw, arguments) in zip(rows, panels, strict=True):
        draw(part, *arguments, family)
    return figure


def _panels(found: Explanation) -> list[tuple[float, Any, tuple[Any, ...]]]:
    panels: list[tuple[float, Any, tuple[Any, ...]]] = []
    single: list[Attribution] = []
    for name in found.task.inputs:
        chosen = [f for f in found.attributions if f.input == name]
        spans = all(len(f.part.place) == 2 for f in chosen)
        if name in found.heat:
            panels.append((3.2, _draw_picture, (found.example[name], found.heat[name])))
        elif len(chosen) > 1 and spans and any(c.isalpha() for f in chosen for c in f.part.name):
            lines = 1 + sum(len(f.part.name) + 2 for f in chosen[:MOST_WORDS]) // 60
            panels.append((0.4 * lines + 0.3, _draw_words, (chosen[:MOST_WORDS],)))
        else:
            single += chosen
    if single:
        single.sort(key=lambda f: -abs(f.weight))
        panels.append((0.3 * min(len(single), MOST_BARS) + 0.6, _draw_bars, (single[:MOST_BARS],)))
    return panels


def _draw_picture(area: Any, value: Any, heat: np.ndarray, family: list[str]) -> None:
    from lepton_ai.data.fields.image import as_picture, flatten_alpha

    picture = flatten_alpha(as_picture(value))
    left, right = area.subplots(1, 2)
    cmap = "gray" if picture.mode == "L" else None
    left.imshow(np.asarray(picture), cmap=cmap, vmin=0, vmax=255)
    right.imshow(np.asarray(heat_overlay(picture, heat)))
    left.set_title("as given", fontsize=9, loc="left", color=_INK)
    right.set_title(_KEY, fontsize=9, loc="left", color=_INK)
    for axes in (left, right):
        axes.set_axis_off()


def _draw_words(area: Any, chosen: list[Attribution], family: list[str]) -> None:
    axes: Axes = area.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 60), ylim=(0, 1))
    axes.set_title(_KEY, fontsize=9, loc="left", color=_INK)
    largest = max(abs(f.weight) for f in chosen) or 1.0
    lines: list[list[Attribution]] = [[]]
    used = 0.0
    for found in chosen:
        wide = _width(found.part.name)
        if used + wide > 60 and lines[-1]:
            lines.append([])
            used = 0.0
        lines[-1].append(found)
        used += wide
    for row, line in enumerate(lines):
        at = 0.0
        for found in line:
            strength = found.weight / largest
            axes.text(
                at, 1 - (row + 0.5) / len(lines), found.part.name, family=family, fontsize=11,
                color=_INK, va="center", parse_math=False,
                bbox={"facecolor": FOR if strength > 0 else AGAINST, "edgecolor": "none",
                      "alpha": 0.45 * min(abs(strength), 1.0), "pad": 2},
            )  # fmt: skip
            at += _width(found.part.name)


def _width(word: str) -> float:
    """About how wide a word is drawn: signs of Chinese take the room of two letters."""
    return sum(1.75 if ord(c) > 0x2E7F else 0.95 for c in word) + 0.8


def _draw_bars(area: Any, chosen: list[Attribution], family: list[str]) -> None:
    axes: Axes = area.subplots()
    weights = [f.weight for f in reversed(chosen)]
    names = [f"{f.input} = {f.part.name}"[:40].replace("$", r"\$") for f in reversed(chosen)]
    axes.barh(range(len(chosen)), weights, color=[FOR if w >= 0 else AGAINST for w in weights])
    axes.set_yticks(range(len(chosen)), names, family=family, color=_INK)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.margins(x=0.15)
    for place, weight in enumerate(weights):
        side = "left" if weight >= 0 else "right"
        axes.annotate(f"{weight:+.3g}", (weight, place), xytext=(4 if weight >= 0 else -4, 0),
                      textcoords="offset points", ha=side, va="center", fontsize=8)  # fmt: skip
    axes.spines[["top", "right", "left"]].set_visible(False)


def _family() -> list[str]:
    """Fonts that are installed, one with Chinese signs among them where there is one."""
    manager = require("matplotlib.font_manager", extra="explain", why='explanation.save("x.png")')
    installed = set(manager.get_font_names())
    if installed.isdisjoint(_FONTS):
        # matplotlib remembers the fonts of its first day; one installed since is looked up anew.
        for path in manager.findSystemFonts():
            if any(mark in Path(path).name.lower() for mark in _FONT_FILES):
                manager.fontManager.addfont(path)
        installed = set(manager.get_font_names())
    return ["DejaVu Sans", *(name for name in _FONTS if name in installed)]
