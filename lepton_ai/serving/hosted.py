"""Hosted: one model of a service, run by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from lepton_ai.data.dataset import Dataset
from lepton_ai.errors import ConfigError, DataError, UnknownNameError
from lepton_ai.models.golden import Golden, record, replay
from lepton_ai.registry import near_miss
from lepton_ai.serving.exchange import Refused
from lepton_ai.serving.limits import Limits

SHOWN = 6
"""Golden examples that a page offers."""


class Hosted:
    """A model behind the door.

    Args:
        name: Name under which it is reached.
        model: The model, fitted.
        golden: What the saved model answered; ``None`` for one in memory.
        version: Its version.
        lock: Shared by all names of one model: torch models are not run re-entrantly.
    """

    def __init__(
        self, name: str, model: Any, *, golden: Golden | None = None, version: str = "1",
        lock: threading.Lock | None = None,
    ) -> None:  # fmt: skip
        self.name, self.version = name, version
        self.model = model.ready()
        self.task = model.task
        self.lock = lock or threading.Lock()
        self.golden = golden
        self.checked: int | None = None
        self.ready = False
        self.served = 0
        self._times: deque[float] = deque(maxlen=200)

    def check(self) -> None:
        """Replay the golden examples; the model is ready when all agree.

        Raises:
            CertificateError: It does not answer like the model that was saved.
        """
        with self.lock:
            if self.golden is None and self.model.golden is not None:
                self.golden = record(self.model)
            if self.golden is not None:
                replay(self.model, self.golden).require(f"the served model {self.name!r}")
                self.checked = len(self.golden.inputs)
        self.ready = True

    @property
    def examples(self) -> list[dict[str, Any]]:
        """Golden inputs as JSON, for the page."""
        return [] if self.golden is None else self.golden.inputs[:SHOWN]

    @property
    def median_milliseconds(self) -> float | None:
        """Median time of the latest predictions, waiting not counted."""
        return round(float(np.median(self._times)), 2) if self._times else None

    def require_ready(self) -> None:
        """Refuse until the golden examples were replayed."""
        if not self.ready:
            raise Refused(
                503, "NotReadyError",
                f"The model {self.name!r} is still being checked. Ask again in a moment.",
                {"retry-after": "1"},
            )  # fmt: skip

    def predict(self, columns: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """Columns of predictions for columns of inputs.

        Raises:
            DataError: A value or an option is not what is expected.
        """
        self.require_ready()
        self._check_options(options)
        data = Dataset(columns, self.task.inputs)
        with self.lock:
            start = time.perf_counter()
            out = self.model.predict(data, **options)
            self._times.append((time.perf_counter() - start) * 1000)
            self.served += len(data)
        return out

    def sampled(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Columns of plausible inputs and what is predicted for them: what metadata describes."""
        columns = self.task.sample(np.random.default_rng(0), 2)
        data = Dataset({name: columns[name] for name in self.task.inputs}, self.task.inputs)
        with self.lock:
            return data.columns, self.model.predict(data)

    def explain(self, example: Mapping[str, Any], method: str) -> Any:
        """The explanation of one example.

        Raises:
            Refused: No explainer applies.
        """
        self.require_ready()
        from lepton_ai.explanation import explain

        with self.lock:
            try:
                return explain(self.model, dict(example), method=method)
            except UnknownNameError:
                raise
            except ConfigError as error:
                raise Refused(501, "ConfigError", str(error)) from error

    def _check_options(self, options: Mapping[str, Any]) -> None:
        known = self.model.head.options
        for name, value in options.items():
            if name not in known:
                raise DataError(
                    f"Expected options out of {', '.join(known) or '(none)'}; received "
                    f"{name[:60]!r}.{near_miss(name, known)}"
                )
            option = known[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            wants_number = option.minimum is not None or option.maximum is not None
            low = -np.inf if option.minimum is None else option.minimum
            high = np.inf if option.maximum is None else option.maximum
            if wants_number and not (number and low <= value <= high):
                raise DataError(
                    f"Expected {name} to be a number from {low} to {high} ({option.meaning}); "
                    f"received {str(value)[:40]!r}."
                )


class Shelf:
    """The models of a service, by name.

    Args:
        hosted: The models.
        limits: How much a request may bring.
    """

    def __init__(self, hosted: list[Hosted], limits: Limits | None = None) -> None:
        self.models = {model.name: model for model in hosted}
        self.limits = limits or Limits()

    @property
    def ready(self) -> bool:
        """Whether every model has passed its check."""
        return all(model.ready for model in self.models.values())

    def find(self, names: Mapping[str, str]) -> Hosted:
        """The model that a path names; the only one when it names none.

        Raises:
            Refused: There is no such model or version; the near miss is offered.
        """
        name, version = names.get("name"), names.get("version")
        if name is None:
            if len(self.models) > 1:
                raise Refused(
                    404, "UnknownNameError",
                    f"Expected the name of a model, one of {', '.join(self.models)}. "
                    f"Use /models/{next(iter(self.models))}/predict.",
                )  # fmt: skip
            return next(iter(self.models.values()))
        model = self.models.get(name)
        if model is None:
            raise Refused(
                404, "UnknownNameError",
                f"Expected a model that is served, one of {', '.join(self.models)}; received "
                f"{name[:80]!r}.{near_miss(name[:80], self.models)}",
            )  # fmt: skip
        if version not in (None, "", model.version):
            raise Refused(
                404, "UnknownNameError",
                f"Expected version {model.version} of the model {name!r}; received "
                f"{version[:40]!r}.",
            )  # fmt: skip
        return model
