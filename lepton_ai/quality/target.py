"""Which column a data set asks for, where nobody said."""

from __future__ import annotations

from collections.abc import Iterable

from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Field
from lepton_ai.errors import DataError, UnknownNameError
from lepton_ai.registry import name_of, near_miss

USUAL_NAMES = ("label", "labels", "target", "class", "y", "category", "tags", "mask", "outcome")


def usual_target(names: Iterable[str]) -> str | None:
    """The first of the names that people give to what shall be predicted, whatever its case.

    Example:
        >>> usual_target(["age", "Class"])
        'Class'
    """
    plain = {name.lower().strip(): name for name in reversed(list(names))}
    return next((plain[usual] for usual in USUAL_NAMES if usual in plain), None)


def find_target(data: Dataset, target: str | None) -> str | None:
    """The column that was named, else one of a usual name, else the last where it holds classes.

    Raises:
        DataError: The named column is not there; the near miss is offered.
    """
    if target is not None:
        if target not in data.columns:
            raise DataError(
                f"Expected the target among the columns {', '.join(data.columns) or '(none)'}; "
                f"received {target!r}.{near_miss(target, data.columns)}"
            )
        return target
    found = usual_target(data.columns)
    if found is not None or len(data.columns) < 2:
        return found
    last = list(data.columns)[-1]
    return last if kind_of(data.fields[last]) == "label" else None


def kind_of(field: Field) -> str:
    """The registered name of a field, empty for one that is not registered."""
    try:
        return name_of("fields", type(field))
    except UnknownNameError:
        return ""
