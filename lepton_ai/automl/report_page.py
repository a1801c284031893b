"""The page that a report is written on: its words in two languages, its style and small pieces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

LANGUAGES = ("en", "zh")


@cache
def _catalogue() -> dict[str, list[str]]:
    text = Path(__file__).with_name("report_words.json").read_text(encoding="utf8")
    return json.loads(text)


class Words:
    """What the report says, in one language.

    Raises:
        ConfigError: A language that is not spoken.

    Example:
        >>> Words("en")("examples", count=3), Words("zh")("passed")
        ('3 examples', '通过')
    """

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ConfigError(
                f"Expected a language out of {', '.join(LANGUAGES)}; received {language!r}."
                f"{near_miss(str(language), LANGUAGES)}"
            )
        self.language = language

    def __call__(self, key: str, **values: Any) -> str:
        """A sentence as safe HTML; a name that is not in the catalogue is said as it is."""
        return escape(self.plain(key, **values))

    def plain(self, key: str, **values: Any) -> str:
        """The same as plain text."""
        entry = _catalogue().get(key)
        if entry is None:
            return key.replace("_", " ")
        return entry[LANGUAGES.index(self.language)].format(**values)


def page_html(words: Words, title: str, body: str) -> str:
    """A whole page; its policy forbids scripts and every request."""
    style = Path(__file__).with_name("report_style.css").read_text(encoding="utf8")
    language = {"zh": "zh-CN"}.get(words.language, words.language)
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def section_html(key: str, words: Words, body: str, *, lead: str = "", pill: str = "") -> str:
    """A card with its heading, the sentence that says what it is for, and its content."""
    lead = f'<p class="lead">{lead}</p>' if lead else ""
    return f'<section class="card" id="{key}"><h2>{words(key)} {pill}</h2>{lead}{body}</section>'


def pill_html(text: str, kind: str = "") -> str:
    """A state in a word or two; ``text`` is HTML."""
    return f'<span class="pill {kind}">{text}</span>'


def figure_html(name: str, value: str, beside: str) -> str:
    """One of the figures on top: name, value and what is beside it, all HTML."""
    return (
        f'<div class="card"><div class="name">{name}</div><div class="value">{value}</div>'
        f'<div class="beside">{beside}</div></div>'
    )


def table_html(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> str:
    """A table of HTML cells; the columns in ``right`` are set to the right."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(
            f'<{tag}{" class=right" if place in right else ""}>{cell}</{tag}>'
            for place, cell in enumerate(cells)
        ) + "</tr>"  # fmt: skip

    body = "".join(row(cells, "td") for cells in rows)
    table = f'<table class="plain">{row(head, "th")}{body}</table>'
    return f'<div class="scroll" tabindex="0">{table}</div>'


def number(value: Any) -> str:
    """A figure as people read it: three digits, thousands set apart, a dash when unknown."""
    if value is None or value != value:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"
