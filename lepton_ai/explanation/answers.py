"""Answers: a predicted value drawn together with the input that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton_ai.data.field import Field
from lepton_ai.data.fields.drawing import mask_html, words_html


def answer_html(field: Field, value: Any, example: Mapping[str, Any]) -> str:
    """A value as safe HTML: a mask over its picture, tags under their words, others alone.

    Args:
        field: The field of the value.
        value: The value, predicted or expected.
        example: The inputs that it belongs to.

    Example:
        >>> from lepton_ai.data.fields.label import Label
        >>> answer_html(Label(["<b>", "a"]), "<b>", {"text": "so"})
        '<span>&lt;b&gt;</span>'
    """
    if getattr(field, "plane", None) == "mask":
        from lepton_ai.data.fields.image import as_picture

        drawn: Any = field  # whatever lies in the plane of a picture as a mask has an array
        mask = drawn.array(value)
        for other in example.values():
            if not isinstance(other, str) and _is_picture(other):
                return mask_html(mask, drawn.classes, as_picture(other))
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        for words in example.values():
            if isinstance(words, (list, tuple)) and len(words) == len(value):
                return words_html(words, tags=value)
    return value_html(field, value)


def value_html(field: Field, value: Any) -> str:
    """One value as safe HTML: drawn by its field, numbers with the digits that people read.

    Example:
        >>> from lepton_ai.data.fields.number import Number
        >>> value_html(Number(), 0.1 + 0.2), value_html(Number(), None)
        ('0.3', '–')
    """
    if type(field).render is not Field.render:
        return field.render(value)
    plain = field.to_json(value)
    if plain is None:
        return "–"
    return f"{plain:.6g}" if isinstance(plain, float) else field.render(value)


def _is_picture(value: Any) -> bool:
    return isinstance(value, bytes) or getattr(value, "ndim", 0) in (2, 3)
