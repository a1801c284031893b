"""Policy: what the quality gate lets through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lepton_ai import registry
from lepton_ai.errors import ConfigError, UnknownNameError

SEVERITIES = ("blocks", "warns", "notes", "off")


@dataclass(frozen=True)
class Policy:
    """Thresholds of the checks, and how grave each finding is.

    Attributes:
        severities: Check name to ``"blocks"``, ``"warns"``, ``"notes"`` or ``"off"``, where it
            shall not be what the check itself says.
        missing_share: Share of missing values in a column above which it is warned of.
        duplicate_share: Share of repeats above which they block (a split of such data lies).
        skipped_share: Share of unreadable members of a source above which they block.
        imbalance_ratio: Largest class to smallest, above which it is warned of.
        distinct_share: Share of distinct classes among the examples from which a label looks
            like an identifier or a quantity.
        outlier_deviations: Robust deviations from the median that make a number an outlier.
        picture_contrast: Brightest less darkest pixel (0 to 255) of a picture that shows nothing.
        odd_size_ratio: How often larger or smaller than the median a picture's side is when odd.
        long_text_ratio: How often longer than the median a text is when odd.
        long_text_characters: Texts below this are never too long.

    Example:
        >>> Policy(imbalance_ratio=10, severities={"duplicates": "blocks"}).severities
        {'duplicates': 'blocks'}
    """

    severities: Mapping[str, str] = field(default_factory=dict)
    missing_share: float = 0.2
    duplicate_share: float = 0.2
    skipped_share: float = 0.2
    imbalance_ratio: float = 20.0
    distinct_share: float = 0.5
    outlier_deviations: float = 20.0
    picture_contrast: float = 2.0
    odd_size_ratio: float = 4.0
    long_text_ratio: float = 20.0
    long_text_characters: int = 2000

    def __post_init__(self) -> None:
        named = {}
        for check, severity in self.severities.items():
            if severity not in SEVERITIES:
                raise ConfigError(
                    f"Expected a severity out of {', '.join(SEVERITIES)}; received {severity!r} "
                    f"for {check!r}.{registry.near_miss(str(severity), SEVERITIES)}"
                )
            named[registry.canonical("checks", check)] = severity
        object.__setattr__(self, "severities", named)
        for threshold in fields(self)[1:]:
            value = getattr(self, threshold.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ConfigError(
                    f"Expected {threshold.name} as a number of at least 0; received {value!r}."
                )

    def severity(self, check: str, usual: str) -> str:
        """How grave a finding is: what was chosen for the check, or what it says itself."""
        return self.severities.get(check, usual)

    def with_changes(self, **changes: Any) -> Policy:
        """The policy with some thresholds or severities changed."""
        return as_policy({**{f.name: getattr(self, f.name) for f in fields(self)}, **changes})


def as_policy(policy: Policy | Mapping[str, Any] | None) -> Policy:
    """A policy from one, from a mapping of its thresholds, or the usual one.

    Raises:
        UnknownNameError: A threshold that the policy does not have.
    """
    if policy is None:
        return Policy()
    if isinstance(policy, Policy):
        return policy
    if not isinstance(policy, Mapping):
        raise ConfigError(
            f"Expected a Policy or a dict of thresholds; received {type(policy).__name__}. "
            "Type: lai.check(data, policy={'imbalance_ratio': 10})"
        )
    known = [f.name for f in fields(Policy)]
    for name in policy:
        if name not in known:
            raise UnknownNameError(
                f"Expected a threshold out of {', '.join(known)}; received {name!r}."
                f"{registry.near_miss(str(name), known)}"
            )
    return replace(Policy(), **policy)
