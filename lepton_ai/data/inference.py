"""Which field a column is, guessed from its values; every guess can be overridden."""

from __future__ import annotations

from lepton_ai import registry
from lepton_ai.data.column import Column
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError, EmptyDataError


def candidates(name: str, column: Column) -> list[tuple[str, float]]:
    """The fields that recognise a column and how sure they are, the surest first.

    Example:
        >>> import numpy as np
        >>> candidates("age", np.array([1.5, 2.0, 7.25]))[0][0]
        'number'
    """
    found = []
    for key in registry.names("fields"):
        score = registry.lookup("fields", key).recognises(name, column)
        if score > 0:
            found.append((key, float(score)))
    return sorted(found, key=lambda pair: -pair[1])


def infer_field(name: str, column: Column) -> Field:
    """The field that recognises a column best.

    Raises:
        EmptyDataError: There are no values to recognise.
        DataError: No field recognises the values; the message names those that can be given.
    """
    example = f"Dataset(columns, {{{name!r}: lai.data.fields.Text()}})"
    if not len(column):
        raise EmptyDataError(
            f"Expected at least one value to tell the kind of the column {name!r}; it is empty. "
            f"Add examples, or name its field: {example}"
        )
    found = candidates(name, column)
    if not found:
        raise DataError(
            "Expected values that a field knows (pictures, texts, classes, numbers); the column "
            f"{name!r} is {getattr(column, 'type', None) or type(column).__name__}. Name its "
            f"field: {example}; fields: {', '.join(registry.names('fields'))}."
        )
    return registry.lookup("fields", found[0][0])()
