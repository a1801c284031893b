"""Plotting: the layers of a model as boxes, and what flows between them as arrows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from lepton_ai.extras import require
from lepton_ai.models.graph import Graph
from lepton_ai.models.layering import counts
from lepton_ai.models.overview import shapes_of
from lepton_ai.models.tracing import free_name

_INK, _QUIET, _LINE = "#1f2933", "#6b7280", "#9aa5b1"
_FILLS = {"input": "#e0f2f1", "output": "#fdf0e1", "frozen": "#eceff3", "other": "#ffffff"}
_EDGES = {"input": "#0f766e", "output": "#b45309", "frozen": "#9aa5b1", "other": "#9aa5b1"}
_WIDE, _HIGH, _ACROSS, _DOWN = 2.5, 0.62, 2.9, 1.05


@dataclass
class Box:
    """One call of a layer, and where it stands.

    Attributes:
        title: Name and class.
        detail: Output shape and parameters.
        kind: ``"input"``, ``"output"``, ``"frozen"`` or ``"other"``.
        before: The boxes whose outputs it reads.
        depth: Its line, from 0 at the top.
        across: Its place in the line, in widths from the middle.
    """

    title: str
    detail: str
    kind: str = "other"
    before: list[int] = field(default_factory=list)
    depth: int = 0
    across: float = 0.0


def draw(model: Any, path: str | os.PathLike[str] | None = None) -> Any:
    """A figure of a model's layers, written to ``path`` where one is given.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="explain", why="model.plot()")
    patches = require("matplotlib.patches", extra="explain", why="model.plot()")
    paths = require("matplotlib.path", extra="explain", why="model.plot()")
    boxes = boxes_of(model)
    routes = _place(boxes)
    left, right = min(b.across for b in boxes), max(b.across for b in boxes)
    depth = max(box.depth for box in boxes)
    size = ((right - left) * _ACROSS + _WIDE + 0.5, depth * _DOWN + _HIGH + 0.8)
    figure = figures.Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(left * _ACROSS - _WIDE / 2 - 0.25, right * _ACROSS + _WIDE / 2 + 0.25)
    axes.set_ylim(-depth * _DOWN - _HIGH / 2 - 0.2, _HIGH / 2 + 0.6)
    axes.set_axis_off()
    axes.text(left * _ACROSS - _WIDE / 2, _HIGH / 2 + 0.25, model.name, color=_INK, fontsize=11,
              fontweight="bold", va="center")  # fmt: skip
    for route in routes:
        _arrow(axes, patches, paths, route)
    for box in boxes:
        _box(axes, patches, box)
    if path is not None:
        figure.savefig(path, dpi=144)
    return figure


def _box(axes: Any, patches: Any, box: Box) -> None:
    x, y = box.across * _ACROSS, -box.depth * _DOWN
    axes.add_patch(patches.FancyBboxPatch(
        (x - _WIDE / 2 + 0.06, y - _HIGH / 2 + 0.06), _WIDE - 0.12, _HIGH - 0.12,
        boxstyle="round,pad=0.06,rounding_size=0.1", facecolor=_FILLS[box.kind],
        edgecolor=_EDGES[box.kind], linewidth=1.1, zorder=3,
    ))  # fmt: skip
    axes.text(x, y + 0.12, _short(box.title, 34), color=_INK, fontsize=8.5, ha="center",
              va="center", zorder=4)  # fmt: skip
    axes.text(x, y - 0.14, _short(box.detail, 40), color=_QUIET, fontsize=7.5, ha="center",
              va="center", zorder=4)  # fmt: skip


def _arrow(axes: Any, patches: Any, paths: Any, route: list[Box]) -> None:
    """A smooth arrow from the first box of a route to its last, through the lanes between."""
    points = [(route[0].across * _ACROSS, -route[0].depth * _DOWN - _HIGH / 2)]
    for lane in route[1:-1]:
        x, y = lane.across * _ACROSS, -lane.depth * _DOWN
        points += [(x, y + _HIGH / 2), (x, y - _HIGH / 2)]
    points.append((route[-1].across * _ACROSS, -route[-1].depth * _DOWN + _HIGH / 2))
    corners, codes = [points[0]], [paths.Path.MOVETO]
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        middle = (y0 + y1) / 2
        corners += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [paths.Path.CURVE4] * 3
    axes.add_patch(patches.FancyArrowPatch(
        path=paths.Path(corners, codes), arrowstyle="-|>", mutation_scale=9, color=_LINE,
        linewidth=1.1, zorder=2,
    ))  # fmt: skip


def boxes_of(model: Any) -> list[Box]:
    """The calls of a model's layers; what is no graph is a chain."""
    shapes = shapes_of(model)
    named = model.named_layers()
    model.settle_trainable()
    details = {name: _detail(layer, shapes.get(name, "?")) for name, layer in named.items()}
    frozen = {n for n, layer in named.items() if counts(layer)[1] and not counts(layer)[0]}
    module = model.module()
    if isinstance(module, Graph):
        ends = {ref.node: name for name, ref in module.outputs.items()}
        boxes = []
        for place, node in enumerate(module.nodes):
            layer = module.by_name[node.layer]
            kind = "frozen" if node.layer in frozen else "other"
            kind = "input" if not node.args else "output" if place in ends else kind
            title = node.layer if not node.args else _title(ends.get(place, node.layer), layer)
            boxes.append(Box(title, details.get(node.layer, ""), kind,
                             list(dict.fromkeys(ref.node for ref in node.refs))))  # fmt: skip
        return boxes
    names = list(named)
    boxes = [
        Box(_title(name, named[name]), details[name],
            "frozen" if name in frozen else "output" if name == names[-1] else "other",
            [place - 1] if place else [])
        for place, name in enumerate(names)
    ]  # fmt: skip
    return boxes or [Box(model.name, "no layers")]


def _title(name: str, layer: Any) -> str:
    kind = type(layer).__name__
    return kind if name == free_name(layer, ()) else f"{name}  {kind}"


def _detail(layer: Any, shape: str) -> str:
    learned, kept = counts(layer)
    return f"{shape}   {learned + kept:,}" if learned + kept else shape


def _place(boxes: list[Box]) -> list[list[Box]]:
    """Give each box its line and its place in it; the arrows' routes from box to box.

    Lines go by the longest way from the top. An arrow over several lines has a narrow lane in each,
    so that it goes around boxes (Sugiyama, Tagawa and Toda, 1981).
    """
    for box in boxes:
        box.depth = max((boxes[place].depth + 1 for place in box.before), default=0)
    for place in reversed(range(len(boxes))):  # inputs stand just above what reads them
        readers = [box for box in boxes if place in box.before]
        if not boxes[place].before and readers:
            boxes[place].depth = min(box.depth for box in readers) - 1
    routes: list[list[Box]] = []
    standing = list(boxes)
    above: dict[int, list[Box]] = {}
    below: dict[int, list[Box]] = {}
    for box in boxes:
        for place in box.before:
            start = boxes[place]
            lanes = [Box("", "", "lane", depth=d) for d in range(start.depth + 1, box.depth)]
            standing += lanes
            routes.append([start, *lanes, box])
            for one, other in zip(routes[-1], routes[-1][1:], strict=False):
                above.setdefault(id(other), []).append(one)
                below.setdefault(id(one), []).append(other)
    lines: dict[int, list[Box]] = {}
    for box in standing:
        lines.setdefault(box.depth, []).append(box)
    for line in lines.values():
        for number, box in enumerate(line):
            box.across = number - (len(line) - 1) / 2
    for turn in range(8):  # to the middle of the neighbours, from above and from below in turns
        for depth in sorted(lines, reverse=bool(turn % 2)):
            line, near = lines[depth], below if turn % 2 else above
            for box in line:
                others = near.get(id(box))
                if others:
                    box.across = sum(other.across for other in others) / len(others)
            line.sort(key=lambda box: box.across)
            _apart(line)
    return routes


def _apart(line: list[Box]) -> None:
    """Keep what stands in a line apart, its middle where it was."""
    wanted = [box.across for box in line]
    for one, other in zip(line, line[1:], strict=False):
        room = sum(0.3 if box.kind == "lane" else 1.0 for box in (one, other)) / 2
        other.across = max(other.across, one.across + room)
    shift = (sum(wanted) - sum(box.across for box in line)) / len(line)
    for box in line:
        box.across += shift


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
