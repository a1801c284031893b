"""Language: which of the languages of the pages a reader wants."""

from __future__ import annotations

LANGUAGES = ("en", "zh")


def chosen_language(asked: str | None, accepted: str) -> str:
    """The language of a page: what the address asks for, else what the browser likes best.

    Example:
        >>> chosen_language(None, "fr, zh-CN;q=0.8, en;q=0.5")
        'zh'
    """
    if asked in LANGUAGES:
        return asked
    liked = []
    for place, entry in enumerate(accepted[:500].split(",")):
        tag, _, weight = entry.partition(";q=")
        try:
            weight = float(weight) if weight else 1.0
        except ValueError:
            weight = 0.0
        liked.append((-weight, place, tag.strip().lower().split("-")[0]))
    return next((tag for _, _, tag in sorted(liked) if tag in LANGUAGES), "en")
