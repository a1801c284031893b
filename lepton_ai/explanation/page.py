"""Page: an explanation as HTML that needs nothing from elsewhere."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_ai.data.field import Field
from lepton_ai.data.fields.drawing import (
    AGAINST,
    FOR,
    bars_html,
    picture_html,
    share_bars_html,
)
from lepton_ai.explanation.answers import answer_html
from lepton_ai.explanation.wording import say

if TYPE_CHECKING:
    from lepton_ai.explanation.explanation import Explanation

MOST_BARS, MOST_CLASSES = 12, 5
_PILL = "display:inline-block;border-radius:999px;padding:1px 10px;font-size:12px;font-weight:600"
_TITLE = "font-size:17px;font-weight:700;margin:0 0 12px"


def explanation_html(found: Explanation, *, language: str = "en") -> str:
    """Title, grade, the inputs with what counts in them, the answer, and how it was found."""
    return (
        '<div class="lai-explanation" style="font-size:14px;line-height:1.5">'
        f'<div style="{_TITLE}">{_title(found, language)} {_pill(found, language)}</div>'
        '<div style="display:flex;gap:12px 32px;flex-wrap:wrap;align-items:flex-start">'
        f'<div style="flex:1 1 320px;min-width:0">{_inputs(found, language)}</div>'
        f"{_answer(found, language)}</div>"
        f'<p style="font-size:12px;opacity:.8;margin:12px 0 0">{_legend(language)} · '
        f"{escape(_method(found, language))}</p>{_notes(found, language)}</div>"
    )


def whole_page(found: Explanation, *, language: str = "en") -> str:
    """The explanation as a page of its own, light or dark as the reader has it."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\"><title>Lepton</title><style>"
        ":root{color-scheme:light dark}body{font-family:system-ui,'Segoe UI',sans-serif;"
        "max-width:760px;margin:32px auto;padding:0 16px;background:#f6f7f9;color:#14181f}"
        "@media(prefers-color-scheme:dark){body{background:#0f1318;color:#e6e9ee}}"
        f"</style></head><body>{explanation_html(found, language=language)}</body></html>"
    )


def answer_text(found: Explanation) -> str | None:
    """The explained answer in a few words, or ``None`` when it is not a short one."""
    if found.target is not None:
        return found.target
    name, field = next(iter(found.task.outputs.items()))
    value = found.prediction[name]
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        plain = field.to_json(value)
        return f"{plain:.4g}" if isinstance(plain, (int, float)) else str(plain)
    return None


def _title(found: Explanation, language: str) -> str:
    answer = answer_text(found)
    if answer is None:
        return escape(say("why_plain", language))
    return escape(say("why", language, answer=answer))


def _pill(found: Explanation, language: str) -> str:
    if found.grade is None:
        text, ground, ink = say("ungraded", language), "#eef0f3", "#3d4653"
    elif found.grade.trusted:
        text = say("trusted", language, gain=f"{found.grade.gain:.2f}")
        ground, ink = "#e7f8ee", "#11663b"
    else:
        text, ground, ink = say("untrusted", language), "#fdf0e1", "#8a3d06"
    return f'<span style="{_PILL};background:{ground};color:{ink}">{escape(text)}</span>'


def _drawn_itself(field: Field) -> bool:
    """Whether a field draws its values, rather than writing them down as JSON."""
    return type(field).render is not Field.render


def _inputs(found: Explanation, language: str) -> str:
    pieces, rows = [], []
    for name, field in found.task.inputs.items():
        weights = [f for f in found.attributions if f.input == name]
        if name in found.heat:
            pieces.append(_picture(found, name, field, language))
        elif len(weights) > 1 and _drawn_itself(field):
            drawn = field.render(found.example[name], found.weights_of(name))
            pieces.append(f'<div style="margin:0 0 8px;font-size:16px;line-height:2">{drawn}</div>')
        else:
            single = len(weights) == 1
            rows += [
                (name if single else f"{name} {f.part.name}", _short(field, found.example[name])
                 if single else "", f.weight)
                for f in weights
            ]  # fmt: skip
    rows.sort(key=lambda row: -abs(row[2]))
    if rows:
        pieces.append(bars_html(rows[:MOST_BARS]))
        if len(rows) > MOST_BARS:
            more = say("more", language, count=len(rows) - MOST_BARS)
            pieces.append(f'<p style="font-size:12px;opacity:.8">{escape(more)}</p>')
    return "".join(pieces)


def _short(field: Field, value: Any) -> str:
    plain = field.to_json(value)
    text = f"{plain:.5g}" if isinstance(plain, float) else "–" if plain is None else str(plain)
    return text if len(text) <= 40 else text[:37] + "..."


def _picture(found: Explanation, name: str, field: Field, language: str) -> str:
    from lepton_ai.data.fields.image import as_picture, flatten_alpha

    picture = flatten_alpha(as_picture(found.example[name]))
    overlay = picture_html(picture, heat=found.heat[name], alt=say("evidence", language))
    figures = ((field.render(found.example[name]), "original"), (overlay, "evidence"))
    drawn = "".join(
        f'<figure style="margin:0;max-width:280px">{image}<figcaption style="font-size:12px;'
        f'opacity:.8">{escape(say(key, language))}</figcaption></figure>'
        for image, key in figures
    )
    return f'<div style="display:flex;gap:12px;flex-wrap:wrap;margin:0 0 10px">{drawn}</div>'


def _answer(found: Explanation, language: str) -> str:
    name, field = next(iter(found.task.outputs.items()))
    value, scores = found.prediction[name], np.asarray(found.prediction.get(f"{name}.scores", ()))
    classes = getattr(field, "classes", None)
    if classes and isinstance(value, str) and scores.shape == (len(classes),):
        order = np.argsort(-scores.astype(float))[:MOST_CLASSES]
        bars = share_bars_html([(classes[i], float(scores[i])) for i in order])
        return f'<div style="flex:1 1 240px;min-width:0">{bars}</div>'
    if isinstance(value, (str, int, float)):
        return ""  # the title says it
    label = escape(say("answer", language))
    return (
        f'<div style="flex:1 1 240px;min-width:0"><small style="opacity:.8">{label}</small><br>'
        f"{answer_html(field, value, found.example)}</div>"
    )


def _legend(language: str) -> str:
    def mark(colour: str, line: str, key: str) -> str:
        return (
            f'<span style="border-bottom:3px {line} {colour}">{escape(say(key, language))}</span>'
        )

    return f"{mark(FOR, 'solid', 'for')} · {mark(AGAINST, 'dotted', 'against')}"


def _method(found: Explanation, language: str) -> str:
    told = [say(found.method, language)]
    if found.completeness is not None:
        told.append(say("completeness", language, error=f"{found.completeness:.1%}"))
    if found.grade is not None:
        told.append(
            say("deletion", language, deletion=f"{found.grade.deletion:.2f}",
                random=f"{found.grade.random:.2f}")
        )  # fmt: skip
    return " · ".join(told)


def _notes(found: Explanation, language: str) -> str:
    notes = list(found.notes)
    if found.trusted is False:
        notes.insert(0, say("distrust", language))
    return "".join(f'<p style="font-size:12px;margin:4px 0 0">{escape(note)}</p>' for note in notes)
