"""Which field a column is, guessed from its values; every guess can be overridden."""

from __future__ import annotations

from lepton_ai import registry
from lepton_ai.data.column import Column
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError


def infer_field(name: str, column: Column) -> Field:
    """The field that recognises a column best.

    Raises:
        DataError: No field recognises the values; the message names those that can be given.
    """
    best, sure = None, 0.0
    for key in registry.names("fields"):
        kind = registry.lookup("fields", key)
        score = kind.recognises(name, column)
        if score > sure:
            best, sure = kind, score
    if best is None:
        raise DataError(
            f"Expected values that a field knows (pictures, texts, classes, numbers); the column "
            f"{name!r} is {getattr(column, 'type', None) or type(column).__name__}. Name its field: "
            f"Dataset(columns, {{{name!r}: lai.data.fields.Text()}}); "
            f"fields: {', '.join(registry.names('fields'))}."
        )
    return best()
