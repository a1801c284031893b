"""Time that a search may take, as people write it."""

from __future__ import annotations

import re
import time

from lepton_ai.errors import ConfigError

_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0,
          "minute": 60.0, "h": 3600.0, "hour": 3600.0}  # fmt: skip


def seconds(text: str | float | None) -> float:
    """Seconds in ``"5min"``, ``"30s"``, ``"1.5h"`` or a number; endless for ``None``.

    Raises:
        ConfigError: It is none of these.

    Example:
        >>> seconds("5min"), seconds("1.5 h"), seconds(20)
        (300.0, 5400.0, 20.0)
    """
    if text is None:
        return float("inf")
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(text).lower())
    unit = None if found is None else _UNITS.get(found[2], _UNITS.get(found[2].removesuffix("s")))
    if found is None or unit is None:
        raise ConfigError(
            f"Expected a time such as '5min', '30s', '1h' or a number of seconds; received {text!r}"
        )
    return float(found[1]) * unit


class Budget:
    """A time that runs from its making.

    Args:
        limit: As :func:`seconds` reads it.
    """

    def __init__(self, limit: str | float | None) -> None:
        self.limit, self.began = seconds(limit), time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds gone."""
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds left, below 0 when it is overdrawn."""
        return self.limit - self.spent
