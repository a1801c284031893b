"""``lai.clean``: carries out the fixes that the gate proposed, and keeps a record of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lepton_ai import registry
from lepton_ai.data.column import Column, take
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.errors import ConfigError, EmptyDataError
from lepton_ai.quality.check import Report, check
from lepton_ai.quality.fixes.fix import Change, Fix


def clean(
    data: Any, report: Report | None = None, *, fixes: Sequence[str] | None = None,
    target: str | None = None, notes: bool = False,
) -> Dataset:  # fmt: skip
    """A data set without the defects that were found; the given one stays as it is.

    What was changed stands in ``cleaned.lineage["cleaned"]``, and in words in
    :func:`~lepton_ai.quality.describe_changes`.

    Args:
        data: The data that was checked.
        report: What ``lai.check(data)`` gave; made here when ``None``.
        fixes: Names of the fixes to carry out; ``None`` takes all but those that change what is
            asked (``drop_classes``).
        target: The column to be predicted, where no report is given.
        notes: Whether findings of the severity ``"notes"`` are fixed too.

    Raises:
        ConfigError: The report is of other data.
        EmptyDataError: No example would be left.

    Example:
        >>> import numpy as np
        >>> pictures = np.random.default_rng(0).integers(0, 255, (20, 8, 8), dtype="uint8")
        >>> pictures[7] = 0
        >>> cleaned = clean({"image": pictures, "label": ["cat", "dog"] * 10})
        >>> len(cleaned), cleaned.lineage["cleaned"]["changes"][0]["rows"]
        (19, [7])
    """
    dataset = as_dataset(data)
    if report is None:
        report = check(dataset, target=target)
    if report.examples != len(dataset):
        raise ConfigError(
            f"Expected the report of this data ({len(dataset):,} examples); received one of "
            f"{report.examples:,} examples of {report.name!r}. "
            "Type: lai.clean(data, lai.check(data))"
        )
    wanted = None if fixes is None else {registry.canonical("fixes", name) for name in fixes}
    made: list[tuple[Change, dict[str, Any]]] = []
    for finding in report.findings:
        if finding.fix is None or (finding.severity == "notes" and not notes and wanted is None):
            continue
        fix: Fix = registry.lookup("fixes", finding.fix)()
        if fix.name not in wanted if wanted is not None else fix.asks:
            continue
        change = fix.change(dataset, finding)
        made.append((change, _record(fix, change, finding.check, finding.message)))
    if not made:
        return dataset
    return _carried_out(dataset, made)


def _record(fix: Fix, change: Change, check_name: str, message: str) -> dict[str, Any]:
    return {
        "fix": fix.name,
        "check": check_name,
        "why": message,
        "what": fix.describe(change),
        "rows": change.rows.tolist(),
        "count": len(change.rows),
        "columns": list(change.columns),
        "cleared": {name: rows.tolist() for name, rows in change.cleared.items()},
    }


def _carried_out(data: Dataset, made: list[tuple[Change, dict[str, Any]]]) -> Dataset:
    columns = dict(data.columns)
    for change, _ in made:
        for name, rows in change.cleared.items():
            columns[name] = _cleared(columns[name], rows)
    gone = {name for change, _ in made for name in change.columns}
    columns = {name: column for name, column in columns.items() if name not in gone}
    kept = np.ones(len(data), dtype=bool)
    for change, _ in made:
        kept[change.rows] = False
    if not kept.any() or not columns:
        raise EmptyDataError(
            f"Expected some example to be left after cleaning; all {len(data):,} would go. "
            "Look at lai.check(data).to_text() and choose fixes=[...]."
        )
    if not kept.all():
        rows = np.flatnonzero(kept)
        columns = {name: take(column, rows) for name, column in columns.items()}
    record = {
        "from": data.digest(),
        "rows_before": len(data),
        "rows_after": int(kept.sum()),
        "changes": [told for _, told in made],
    }
    earlier = data.lineage.get("cleaned")
    if earlier:
        record["earlier"] = earlier
    return data.derive(columns, lineage={**data.lineage, "cleaned": record})


def _cleared(column: Column, rows: np.ndarray) -> Column:
    if isinstance(column, np.ndarray):
        changed = column.astype(np.float64)
        changed[rows] = np.nan
        return changed
    keep = np.ones(len(column), dtype=bool)
    keep[rows] = False
    return pa.array(
        [v if k else None for v, k in zip(column.to_pylist(), keep, strict=True)], column.type
    )


def describe_changes(cleaned: Dataset) -> str:
    """What cleaning changed, one line for each change; empty when nothing was.

    Example:
        >>> describe_changes(Dataset({"x": [1.0, 2.0]}))
        ''
    """
    record = cleaned.lineage.get("cleaned")
    if not record:
        return ""
    lines = [f"{c['check']}: {c['what']} ({c['fix']})" for c in record["changes"]]
    lines.append(f"{record['rows_before']:,} examples before, {record['rows_after']:,} after")
    if "earlier" in record:
        lines.append("(cleaned before, see lineage['cleaned']['earlier'])")
    return "\n".join(lines)
