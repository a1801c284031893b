"""Optimize: try the steps, measure each beside the original, keep the best within the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lepton_ai import extras, registry
from lepton_ai.errors import ConfigError
from lepton_ai.models import intake
from lepton_ai.models.model import Model
from lepton_ai.optimization.budget import Budget
from lepton_ai.optimization.measuring import torch_threads
from lepton_ai.optimization.search import Bounds, Search
from lepton_ai.optimization.step import Step
from lepton_ai.training.progress import Progress


def optimize(
    model: Model, *, data: Any, max_drop: float = 0.01, min_speedup: float = 1.2,
    budget: str | float | None = "5min", batch_sizes: Sequence[int] = (1, 32),
    threads: int | None = None, steps: Sequence[str] | None = None, seed: int = 0,
    verbose: int | str = "auto",
) -> Model:  # fmt: skip
    """A faster form of a model, of the same task; the model itself when none is good enough.

    Every form is measured on this machine, in turns with the original, and is returned only when
    it is ``min_speedup`` times as fast on the (geometric) mean over the batch sizes, slower at none
    of them, clear of the noise, answers like the original, and its headline metric on ``data``
    falls by no more than ``max_drop``. The noise is what the original makes of a race against
    itself; where that says nothing, the original is returned. What was tried, measured and decided
    is in ``optimization`` of what is returned, a :class:`Report`, and in its ``lineage`` when it is
    another form.

    Args:
        model: A fitted model; it stays as it is.
        data: Examples with their expected outputs, which were not trained on. Some of the inputs
            also calibrate the quantised forms.
        max_drop: How much the headline metric may fall: absolutely where higher is better,
            relatively where lower is better.
        min_speedup: How many times as fast it has to be.
        budget: How long to search: ``"5min"``, ``"30s"``, seconds, or ``None`` for all steps.
        batch_sizes: Examples in a call, for each of which it is measured.
        threads: Threads inside one call, for the original too; the form keeps to them wherever it
            answers. ``None`` takes one where a batch size of 1 is asked for, since several threads
            gain little there and wait for one another where other work shares the processor; else
            as many as torch does. Where more than one cannot be measured, one is used, and the
            report says so.
        steps: Names of the steps to try, ``None`` for all.
        seed: All draws follow from it.
        verbose: 0 prints nothing, else a line for each form.

    Raises:
        ConfigError: An argument cannot be.
        NotReadyError: The model was not fitted.
        DataError: The data lacks a column of the task, or has no example.
        MissingExtraError: No step can run with what is installed.
    """
    chosen_steps = _steps(steps)
    sizes = _checked(model, data, max_drop, min_speedup, batch_sizes, threads)
    clock = Budget(budget)
    given: Any = intake.validation_data(model.task, data)
    typed = model.task.typed(given.require())
    if threads is None:
        threads = 1 if 1 in sizes else torch.get_num_threads()
    was = model.training
    model.eval()
    try:
        with torch_threads(threads):
            search = Search(model, typed, Bounds(max_drop, min_speedup, sizes), clock, threads,
                            seed, Progress(verbose, total=0, epochs=0))  # fmt: skip
            return search.run(chosen_steps)
    finally:
        if was:
            model.train(was)


def _steps(names: Sequence[str] | None) -> dict[str, Step]:
    """The steps by name, those of lower rank first."""
    if isinstance(names, str):
        names = [names]
    chosen = registry.names("steps") if names is None else [
        registry.canonical("steps", name) for name in names
    ]  # fmt: skip
    made = {name: registry.lookup("steps", name)() for name in chosen}
    ordered = dict(sorted(made.items(), key=lambda pair: pair[1].rank))
    lacking = [s for s in ordered.values() if s.package and not extras.installed(s.package)]
    if lacking and len(lacking) == len(ordered):
        extras.require(lacking[0].package or "", extra=lacking[0].extra, why="optimize(...)")
    return ordered


def _checked(
    model: Any, data: Any, max_drop: float, min_speedup: float, batch_sizes: Sequence[int],
    threads: int | None,
) -> tuple[int, ...]:  # fmt: skip
    if not isinstance(model, Model):
        raise ConfigError(
            f"Expected a model; received {type(model).__name__}. A service that was connected to "
            "is optimised where its model is: lai.optimize(lai.load(path), data=...)."
        )
    model.ready()
    if data is None:
        raise ConfigError("Expected data to measure on. Type: lai.optimize(model, data=test_data).")
    if not max_drop >= 0:
        raise ConfigError(f"Expected max_drop of 0 or more, such as 0.01; received {max_drop!r}.")
    if not min_speedup >= 1:
        raise ConfigError(
            f"Expected min_speedup of 1 or more, such as 1.2; received {min_speedup!r}."
        )
    sizes = tuple(batch_sizes) if isinstance(batch_sizes, Sequence) else (batch_sizes,)
    if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ConfigError(
            f"Expected batch sizes of 1 or more, such as (1, 32); received {batch_sizes!r}."
        )
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise ConfigError(f"Expected 1 thread or more; received {threads!r}.")
    return tuple(dict.fromkeys(sizes))
