"""Making single values missing, where the rest of the example is sound."""

from __future__ import annotations

from lepton_ai.data.dataset import Dataset
from lepton_ai.quality.checks.check import Finding
from lepton_ai.quality.fixes.fix import Change, Fix

variants = {"clear_values": "ClearValues"}


class ClearValues(Fix):
    """Make the values that were found missing, as if they had never been given."""

    def change(self, data: Dataset, finding: Finding) -> Change:
        return Change(cleared={finding.column: finding.rows} if finding.column else {})
