"""The quality gate: ``check`` reports, ``clean`` fixes with a record of what it changed.

The contracts are in :mod:`lepton_ai.quality.checks.check` and :mod:`lepton_ai.quality.fixes.fix`.
"""

from lepton_ai.quality.check import Report, check
from lepton_ai.quality.checks.check import Check, Finding, Planted, Subject
from lepton_ai.quality.clean import clean, describe_changes
from lepton_ai.quality.fixes.fix import Change, Fix
from lepton_ai.quality.policy import Policy

__all__ = [
    "Change", "Check", "Finding", "Fix", "Planted", "Policy", "Report", "Subject", "check", "clean",
    "describe_changes",
]  # fmt: skip
