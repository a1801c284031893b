"""The report as a piece of HTML: a plot of latency against the headline metric, and the table."""

from __future__ import annotations

import math
from html import escape

from lepton_ai.optimization.report import Candidate, Report
from lepton_ai.optimization.wording import metric_name, say

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 320, 64, 150, 16, 48
_LIGHT = (
    "--o-ink:var(--ink,#14181f);--o-quiet:var(--quiet,#566070);--o-line:var(--line,#d9dde3);"
    "--o-soft:var(--soft,#e3f5ef);--o-chosen:#00795a;--o-good:#0067a5;--o-refused:#b34700"
)
_DARK = (
    "--o-ink:var(--ink,#e6e9ee);--o-quiet:var(--quiet,#9aa5b4);--o-line:var(--line,#2a313b);"
    "--o-soft:var(--soft,#12302e);--o-chosen:#35c99b;--o-good:#62b4f0;--o-refused:#ff9152"
)
"""Okabe and Ito's palette, which the colour-blind can tell apart, darker and lighter where it is
read; the marks differ too. What the page defines goes before."""

STYLE = (
    "<style>.lepton-optimization{"
    + _LIGHT
    + ";color:var(--o-ink);font-size:14px;line-height:1.45}"
    + "@media(prefers-color-scheme:dark){.lepton-optimization{"
    + _DARK
    + "}}"
    # notebooks have a scheme of their own, whatever that of the system is
    + "[data-jp-theme-light=true] .lepton-optimization,.vscode-light .lepton-optimization{"
    + _LIGHT
    + "}[data-jp-theme-light=false] .lepton-optimization,.vscode-dark .lepton-optimization{"
    + _DARK
    + """}
.lepton-optimization table{font-size:13px;border-collapse:collapse;margin:12px 0;
display:block;overflow-x:auto}
.lepton-optimization th,.lepton-optimization td{padding:4px 7px;text-align:right;color:inherit;
background:none;border:0;border-bottom:1px solid var(--o-line);white-space:nowrap}
.lepton-optimization th{border-bottom:2px solid var(--o-quiet);font-weight:600}
.lepton-optimization td:first-child,.lepton-optimization th:first-child,
.lepton-optimization td:last-child,.lepton-optimization th:last-child{text-align:left}
.lepton-optimization td:last-child{white-space:normal;min-width:14em}
.lepton-optimization tr.chosen td{background:var(--o-soft);font-weight:600}
.lepton-optimization .note{color:var(--o-quiet);margin:4px 0}
.lepton-optimization svg{color:var(--o-quiet);fill:currentColor}
.lepton-optimization svg .grid{stroke:var(--o-line)}
.lepton-optimization svg .axis{stroke:var(--o-quiet)}
.lepton-optimization svg .original{color:var(--o-ink)}
.lepton-optimization svg .chosen{color:var(--o-chosen)}
.lepton-optimization svg .good{color:var(--o-good)}
.lepton-optimization svg .refused{color:var(--o-refused)}
</style>"""
)


def report_html(report: Report, *, language: str = "en") -> str:
    """The whole report; it needs nothing from anywhere else.

    Args:
        report: What was tried.
        language: ``"en"`` or ``"zh"``.
    """
    head = "".join(f"<th>{escape(title)}</th>" for title in report.header(language))
    body = "".join(
        f'<tr class="{escape(candidate.verdict)}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for candidate, row in zip(report.candidates, report.rows(language), strict=True)
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.footnotes(language))
    spoken = {"zh": "zh-CN"}.get(language, language)
    return (
        f'{STYLE}<div class="lepton-optimization" lang="{spoken}">'
        f"<p><strong>{escape(report.why(language))}</strong></p>{plot_svg(report, language)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
    )


def plot_svg(report: Report, language: str = "en") -> str:
    """Latency (logarithmic) against the headline metric; the front is what nothing beats."""
    shown = [
        c for c in report.candidates
        if c.timings and c.figure is not None and math.isfinite(c.figure)
    ]  # fmt: skip
    if not shown:
        return ""
    size = shown[0].timings[0].batch_size
    along = _scale([math.log(c.timings[0].median) for c in shown], LEFT, WIDTH - RIGHT)
    edges = [edge for c in shown for edge in (c.interval or (c.figure,))]
    up = _scale([float(edge) for edge in edges if edge is not None], HEIGHT - BOTTOM, TOP)
    places = {
        c.name: (along(math.log(c.timings[0].median)), up(float(c.figure or 0.0))) for c in shown
    }
    drawn = say("drawn", language, metric=report.headline, size=size)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" style="max-width:100%" role="img" '
        f'aria-label="{escape(drawn)}" xmlns="http://www.w3.org/2000/svg" font-size="12">',
        *_axes(report, size, up, along, language),
        *_front(report, shown, places),
    ]
    for candidate in shown:
        parts.append(_whisker(candidate, places[candidate.name][0], up))
    for candidate in shown:
        parts.append(_mark(candidate, *places[candidate.name], language))
    parts += _labels(shown, places)
    return "".join(parts) + "</svg>"


class _scale:  # noqa: N801
    """From figures to places between two edges, with a margin."""

    def __init__(self, values: list[float], start: float, stop: float) -> None:
        low, high = min(values), max(values)
        margin = 0.12 * (high - low) or 0.05 * abs(high) or 0.01
        self.low, self.high, self.start, self.stop = low - margin, high + margin, start, stop

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)


def _axes(report: Report, size: int, up: _scale, along: _scale, language: str) -> list[str]:
    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<path d="M{LEFT} {TOP}V{floor}H{end}" fill="none" class="axis"/>',
        f'<text x="{(LEFT + end) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(say('across', language, size=size))}</text>",
        f'<text transform="translate(14 {(TOP + floor) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(metric_name(report.headline, language))}</text>",
    ]
    for step in range(5):
        value = up.low + (up.high - up.low) * (step + 0.5) / 5
        y = up(value)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{end}" class="grid"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
        value = along.low + (along.high - along.low) * (step + 0.5) / 5
        x = along(value)
        parts.append(
            f'<path d="M{x:.1f} {floor}v4" class="axis"/>'
            f'<text x="{x:.1f}" y="{floor + 17}" text-anchor="middle">{math.exp(value):.2g}</text>'
        )
    return parts


def _front(
    report: Report, shown: list[Candidate], places: dict[str, tuple[float, float]]
) -> list[str]:
    """A dotted line through the forms that no other beats in both."""
    sign = 1 if report.higher_is_better else -1
    best, front = -math.inf, []
    for candidate in sorted(shown, key=lambda c: c.timings[0].median):
        if sign * (candidate.figure or 0.0) > best:
            best = sign * (candidate.figure or 0.0)
            front.append(places[candidate.name])
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in front)
    return [f'<path d="M{path}" fill="none" class="axis" stroke-dasharray="3 4"/>']


def _whisker(candidate: Candidate, x: float, up: _scale) -> str:
    if candidate.interval is None:
        return ""
    low, high = (up(edge) for edge in candidate.interval)
    return (
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="currentColor" opacity="0.35" '
        f'class="{escape(candidate.verdict)}"/>'
    )


def _mark(candidate: Candidate, x: float, y: float, language: str) -> str:
    kind = escape(candidate.verdict)
    title = f"<title>{escape(candidate.name)}: {escape(candidate.why(language))}</title>"
    if candidate.verdict == "original":
        return (
            f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="currentColor" '
            f'class="{kind}">{title}</rect>'
        )
    if candidate.verdict == "refused":
        return (
            f'<path d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" '
            f'stroke="currentColor" stroke-width="2" fill="none" class="{kind}">{title}</path>'
        )
    radius = 7 if candidate.verdict == "chosen" else 5
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="currentColor" class="{kind}">'
        f"{title}</circle>"
    )


def _labels(shown: list[Candidate], places: dict[str, tuple[float, float]]) -> list[str]:
    """Numbers at the marks, from left to right, and the names that they stand for at the edge."""
    parts = []
    for number, candidate in enumerate(sorted(shown, key=lambda c: places[c.name][0]), 1):
        x, y = places[candidate.name]
        kind = f'fill="currentColor" class="{escape(candidate.verdict)}"'
        weight = ' font-weight="700"' if candidate.verdict == "chosen" else ""
        beside = y - 11 if number % 2 else y + 20  # in turns, since marks may lie close together
        parts.append(
            f'<text x="{x + 3:.1f}" y="{beside:.1f}" {kind}{weight}>{number}</text>'
            f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 8 + 19 * number}" {kind}{weight}>'
            f"{number} {escape(candidate.name)}</text>"
        )
    return parts
