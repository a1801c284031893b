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

        mask = field.array(value)  # type: ignore[attr-defined]
        for other in example.values():
            if not isinstance(other, str) and _is_picture(other):
                return mask_html(mask, field.classes, as_picture(other))  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        for words in example.values():
            if isinstance(words, (list, tuple)) and len(words) == len(value):
                return words_html(words, tags=value)
    return field.render(value)


def _is_picture(value: Any) -> bool:
    return isinstance(value, bytes) or getattr(value, "ndim", 0) in (2, 3)
