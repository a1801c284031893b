"""Charts of the report: small drawings in SVG and HTML that need no script and no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 348, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 100, 10, 26


def line_chart(lines: Sequence[tuple[str, Sequence[float]]], *, across: str, name: str) -> str:
    """Up to two lines over the rounds, each labelled at its end.

    Args:
        lines: Label and values of each line; values that are no numbers are left out.
        across: What is counted from left to right.
        name: What the chart shows, for those who hear it read.

    Example:
        >>> line_chart([("training", [0.9, 0.5])], across="round", name="loss")[:4]
        '<svg'
    """
    lines = [(label, values) for label, values in lines if any(map(math.isfinite, values))]
    known = [v for _, values in lines for v in values if math.isfinite(v)]
    if not known:
        return ""
    low, high, ticks = _ticks(min(known), max(known))
    longest = max(len(values) for _, values in lines)

    def x(place: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * place / max(longest - 1, 1)

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low)

    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(t) + 4:.1f}" text-anchor="end">{t:.4g}</text>'
        for t in ticks
    )
    every = max(1, math.ceil(longest / 8))
    grid += "".join(
        f'<text x="{x(i):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{i + 1}</text>'
        for i in range(0, longest, every)
    )
    grid += f'<text x="{WIDTH - _RIGHT + 14}" y="{HEIGHT - 8}">{escape(across)}</text>'
    drawn, labels = "", []
    for kind, (label, values) in zip(("first", "second"), lines, strict=False):
        points = [(x(i), y(v)) for i, v in enumerate(values) if math.isfinite(v)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        drawn += f'<polyline class="{kind}" points="{path}"/>'
        drawn += "".join(
            f'<circle class="{kind}" cx="{px:.1f}" cy="{py:.1f}" r="2.5"/>' for px, py in points
        )
        last = [v for v in values if math.isfinite(v)][-1]
        labels.append((kind, f"{label} {last:.3g}", *points[-1]))
    heights = _apart([label[3] for label in labels], 14)
    for (kind, text, px, _), py in zip(labels, heights, strict=True):
        drawn += (
            f'<text class="{kind}-label" x="{px + 8:.1f}" y="{py + 4:.1f}">{escape(text)}</text>'
        )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)}">{grid}{drawn}</svg>'
    )


def scatter_chart(
    expected: npt.ArrayLike, predicted: npt.ArrayLike, *, across: str, up: str, most: int = 500
) -> str:
    """Predicted over expected numbers with the line on which they agree."""
    pairs = np.column_stack([np.asarray(expected), np.asarray(predicted)]).astype(float)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    pairs = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), most)).astype(int)]
    if not len(pairs):
        return ""
    low, high, ticks = _ticks(float(pairs.min()), float(pairs.max()))
    side, left, top = 250, 52, 10

    def at(value: float) -> float:
        return side * (value - low) / (high - low)

    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{left + side}" y1="{top + side - at(t):.1f}" '
        f'y2="{top + side - at(t):.1f}"/><text x="{left - 8}" y="{top + side - at(t) + 4:.1f}" '
        f'text-anchor="end">{t:.4g}</text><text x="{left + at(t):.1f}" y="{top + side + 16}" '
        f'text-anchor="middle">{t:.4g}</text>'
        for t in ticks
    )
    dots = "".join(
        f'<circle class="point" cx="{left + at(a):.1f}" cy="{top + side - at(b):.1f}" r="2.5"/>'
        for a, b in pairs
    )
    return (
        f'<svg class="chart" viewBox="0 0 {left + side + 20} {top + side + 40}" role="img" '
        f'style="max-width:420px" aria-label="{escape(up)}, {escape(across)}">{grid}'
        f'<line class="second" x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}"/>{dots}'
        f'<text x="{left + side}" y="{top + side + 34}" text-anchor="end">{escape(across)} →</text>'
        f'<text x="{left + 6}" y="{top + 12}">↑ {escape(up)}</text></svg>'
    )


def confusion_table(pairs: np.ndarray, classes: Sequence[str]) -> str:
    """Counts ``[true, predicted]`` as a table whose cells are tinted by their share of the row."""
    head = "".join(
        f'<th class="column" scope="col"><span>{escape(name)}</span></th>' for name in classes
    )
    body = ""
    for place, (name, row) in enumerate(zip(classes, pairs, strict=True)):
        total = max(int(row.sum()), 1)
        cells = "".join(
            _cell(int(count), int(count) / total, right=other == place)
            for other, count in enumerate(row)
        )
        body += f'<tr><th class="row" scope="row">{escape(name)}</th>{cells}</tr>'
    return f'<table class="confusion"><tr><td></td>{head}</tr>{body}</table>'


def _cell(count: int, share: float, *, right: bool) -> str:
    if not count:
        return '<td class="none">0</td>'
    # Mistakes are rare where a model is any good: they are tinted four times as strongly.
    strength = 0.05 + 0.42 * (share if right else min(1.0, 4 * share))
    colour = "15,148,136" if right else "217,119,6"
    return (
        f'<td style="background:rgba({colour},{strength:.2f})" title="{share:.1%}">{count:,}</td>'
    )


def _ticks(low: float, high: float) -> tuple[float, float, list[float]]:
    """The range of an axis and about four round values on it."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next((m * size for m in (1, 2, 2.5, 5) if rough <= m * size), 10 * size)
    first, last = math.floor(low / step), math.ceil(high / step)
    return first * step, last * step, [n * step for n in range(first, last + 1)]


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Two labels moved apart when they would lie on one another."""
    found = list(places)
    if len(found) == 2 and abs(found[0] - found[1]) < least:
        middle, sign = sum(found) / 2, 1 if found[0] >= found[1] else -1
        return [middle + sign * least / 2, middle - sign * least / 2]
    return found
