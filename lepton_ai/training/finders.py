"""Finders: a learning rate and a batch size by trying, on a model that is left as it was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lepton_ai.callbacks.callback import Callback
from lepton_ai.errors import ConfigError, TrainingError
from lepton_ai.extras import require
from lepton_ai.training.curves import INK, LINE, TEAL
from lepton_ai.training.meeting import as_data, met
from lepton_ai.training.memory import Memory, is_out_of_memory
from lepton_ai.training.preserving import preserved
from lepton_ai.training.run import Run
from lepton_ai.training.settings import Settings
from lepton_ai.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 0.1
"""Share of the steps over which losses are smoothed."""
DIVERGED = 4.0
"""How many times its least the smoothed loss may be before the test ends."""
ENOUGH = 0.9
"""Share of the best throughput that a suggested batch size reaches."""


@dataclass
class LearningRates:
    """What :func:`find_learning_rate` found.

    Attributes:
        rates: Learning rates, rising.
        losses: The loss of the batch that was worked on at each.
        smoothed: The losses without their jumps.
        steepest: The rate at which the smoothed loss falls fastest.
        best: The rate at which it is least.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    steepest: float
    best: float

    @property
    def suggestion(self) -> float:
        """Between the steepest descent and a tenth of the best rate (their geometric mean)."""
        return math.sqrt(self.steepest * self.best / 10)

    def __repr__(self) -> str:
        return (
            f"learning_rate={self.suggestion:.2g} ({len(self.rates)} rates from "
            f"{self.rates[0]:.2g} to {self.rates[-1]:.2g} tried; the loss falls fastest at "
            f"{self.steepest:.2g} and is least at {self.best:.2g})"
        )

    def plot(self, *, path: str | Path | None = None) -> Figure:
        """Draw the loss over the learning rate, with the suggestion.

        Args:
            path: Where to save the picture; ``None`` only returns the figure.
        """
        figure, axes = _axes("find_learning_rate(...).plot()", "learning rate", "loss")
        axes.plot(self.rates, self.losses, color=LINE, linewidth=1)
        axes.plot(self.rates, self.smoothed, color=TEAL)
        return _finished(figure, axes, self.suggestion, f"{self.suggestion:.2g}", path)


def find_learning_rate(
    model: Any, data: Any, *, smallest: float = 1e-7, largest: float = 10.0, steps: int = 100,
    batch_size: int | None = None, seed: int = 0, **settings: Any,
) -> LearningRates:  # fmt: skip
    """Find a learning rate by raising it with every step until the loss breaks.

    The range test of Smith (2017). The model is trained for up to ``steps`` steps and is put back
    afterwards, bit for bit; one that was not fitted stays so.

    Args:
        model: A model with a task.
        data: Training data, as ``fit`` takes it; plain inputs and targets as ``(x, y)``.
        smallest: The first rate.
        largest: The last.
        steps: How many are tried.
        batch_size: Examples in a step; what ``fit`` would take when ``None``.
        seed: All draws follow from it.
        settings: Further fields of :class:`~lepton_ai.training.Settings` (``optimizer``).

    Raises:
        TrainingError: No rate made the loss fall.

    Example:
        >>> import numpy as np
        >>> import lepton_ai as lai
        >>> network = lai.models.Sequential([lai.layers.Dense(1, input_shape=(3,))])
        >>> network.compile(optimizer="sgd", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> found = find_learning_rate(network, (x, x.sum(axis=1)), steps=50)
        >>> 0.001 < found.suggestion < 1
        True
    """
    if not 0 < smallest < largest:
        raise ConfigError(
            f"Expected 0 < smallest < largest; received {smallest!r} and {largest!r}."
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 10:
        raise ConfigError(f"Expected steps as a whole number of at least 10; received {steps!r}.")
    ramp = _Ramp(smallest, largest, steps)
    trial = _Trial(model, data, seed, {**settings, "batch_size": batch_size})
    with preserved(trial.model), suppress(TrainingError):  # the loss is lost at the highest rates
        trial.train(epochs=steps, schedule=ramp, callbacks=(ramp,))
    return ramp.result()


class _Ramp(Callback):
    """Raises the learning rate from step to step, and keeps the losses."""

    def __init__(self, smallest: float, largest: float, steps: int) -> None:
        self.rates = np.geomspace(smallest, largest, steps)
        self.decay = 1 - 1 / max(WINDOW * steps, 2)
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.mean = 0.0

    def __call__(self, progress: float) -> float:
        """The share of the peak rate by progress, for whoever does not ask :meth:`at`."""
        return self.at(round(progress * (len(self.rates) - 1)), progress)

    def at(self, step: int, progress: float) -> float:
        """The share of the first rate at a step."""
        return float(self.rates[min(step, len(self.rates) - 1)] / self.rates[0])

    def on_train_begin(self, trainer: Trainer) -> None:
        trainer.learning_rate = float(self.rates[0])

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        self.losses.append(trainer.last_loss)
        self.mean = self.decay * self.mean + (1 - self.decay) * trainer.last_loss
        self.smoothed.append(self.mean / (1 - self.decay ** len(self.losses)))
        if len(self.losses) >= len(self.rates):
            trainer.stop("all rates were tried")
        elif len(self.losses) > 10 and _broken(self.smoothed):
            trainer.stop("the loss broke")

    def result(self) -> LearningRates:
        """What was found."""
        smoothed = np.array(self.smoothed)
        rates = self.rates[: len(smoothed)]
        least = int(smoothed.argmin()) if len(smoothed) else 0
        if not self._fell(least):
            raise TrainingError(
                f"Expected the loss to fall at some learning rate between {self.rates[0]:.2g} and "
                f"{self.rates[-1]:.2g}; it did not. Type: print(lai.doctor(model, data))"
            )
        slopes = np.gradient(smoothed, np.log(rates))
        steepest = int(slopes[: least + 1].argmin())
        return LearningRates(
            rates.tolist(), list(self.losses), smoothed.tolist(), float(rates[steepest]),
            float(rates[least]),
        )  # fmt: skip

    def _fell(self, least: int) -> bool:
        """Whether the loss fell further than it jumps from batch to batch."""
        if least < 3:
            return False
        losses = np.array(self.losses)
        early = losses[: max(len(self.rates) // 4, 3)]
        jumps = float(np.diff(early).std()) / math.sqrt(2)
        noise = jumps * math.sqrt((1 - self.decay) / (1 + self.decay))
        start = max(float(early.mean()), self.smoothed[0])
        return start - self.smoothed[least] > max(0.01 * abs(start), 3 * noise)


def _broken(smoothed: list[float]) -> bool:
    """Whether the loss has risen far above its least, measured by how far it had fallen."""
    least, first = min(smoothed), smoothed[0]
    return smoothed[-1] > max(DIVERGED * least, first + (DIVERGED - 1) * abs(first - least))


@dataclass
class BatchSizes:
    """What :func:`find_batch_size` found.

    Attributes:
        sizes: Batch sizes that were tried, rising.
        examples_per_second: Throughput of training at each.
        memory: Bytes that a step took beyond what was taken before it, at each.
        suggestion: The smallest size with at least 90 % of the best throughput: more than that
            takes memory and steps away and gains nothing.
        largest: The largest size that fits into memory, among those tried.
        ended: Why no larger one was tried.
    """

    sizes: list[int]
    examples_per_second: list[float]
    memory: list[int]
    suggestion: int
    largest: int
    ended: str
    device: str = field(default="cpu")

    def __repr__(self) -> str:
        lines = [f"batch_size={self.suggestion} ({self.device}; {self.ended})"]
        for size, rate, used in zip(self.sizes, self.examples_per_second, self.memory, strict=True):
            mark = "  <-" if size == self.suggestion else ""
            lines.append(f"  {size:>6}  {rate:>12,.0f} examples/s  {used / 2**20:>9,.1f} MB{mark}")
        return "\n".join(lines)

    def plot(self, *, path: str | Path | None = None) -> Figure:
        """Draw the throughput over the batch size, with the suggestion.

        Args:
            path: Where to save the picture; ``None`` only returns the figure.
        """
        figure, axes = _axes("find_batch_size(...).plot()", "batch size", "examples per second")
        axes.plot(self.sizes, self.examples_per_second, color=TEAL, marker="o", markersize=3)
        return _finished(figure, axes, self.suggestion, f"{self.suggestion}", path)


def find_batch_size(
    model: Any, data: Any, *, smallest: int = 8, largest: int = 4096, steps: int = 5,
    share: float = 0.8, seed: int = 0, clock: Callable[[], float] = time.perf_counter,
    **settings: Any,
) -> BatchSizes:  # fmt: skip
    """Find a batch size: doubled while it fits into memory, and how fast training is at each.

    The model is put back afterwards, bit for bit; one that was not fitted stays so.

    Args:
        model: A model with a task.
        data: Training data, as ``fit`` takes it; plain inputs and targets as ``(x, y)``.
        smallest: The first size.
        largest: No size above this is tried, nor one above the number of examples.
        steps: Steps at each size whose time is taken, after one that is not counted.
        share: Share of the free memory that a step may take.
        seed: All draws follow from it.
        clock: Gives the time in seconds.
        settings: Further fields of :class:`~lepton_ai.training.Settings`.

    Raises:
        TrainingError: Not even the smallest size fits into memory.
    """
    for name, value in {"smallest": smallest, "largest": largest, "steps": steps}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"Expected {name} as a whole number above 0; received {value!r}.")
    trial = _Trial(model, data, seed, settings)
    memory = Memory(trial.model.device)
    most = min(largest, len(trial.data))
    found: list[tuple[int, float, int]] = []
    size, ended = min(smallest, most), f"larger ones than {most} were not asked for"
    if most == len(trial.data):
        ended = f"there are {most} examples"
    while size <= most:
        watch = _Stopwatch(size, steps, clock)
        try:
            with preserved(trial.model), memory.measuring() as used:
                trial.train(
                    epochs=steps + 1, batch_size=size, steps_per_epoch=1, callbacks=(watch,)
                )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            ended = f"{size} does not fit into memory"
            break
        found.append((size, watch.rate(), used.bytes))
        if 2 * used.bytes > share * memory.free():
            ended = f"{2 * size} would take more than {share:.0%} of the free memory"
            break
        size *= 2
    return _chosen(found, ended, trial.model.device)


def _chosen(
    found: list[tuple[int, float, int]], ended: str, device: torch.device
) -> BatchSizes:  # fmt: skip
    if not found:
        raise TrainingError(
            f"Expected the smallest batch to fit into memory; {ended}. Type: smallest=1, or a "
            "smaller network."
        )
    best = max(rate for _, rate, _ in found)
    chosen = next(size for size, rate, _ in found if rate >= ENOUGH * best)
    sizes, rates, bytes_ = (list(values) for values in zip(*found, strict=True))
    return BatchSizes(
        sizes, rates, bytes_, chosen, sizes[-1], ended, device.type
    )  # fmt: skip


class _Stopwatch(Callback):
    """Takes the time of each step but the first."""

    def __init__(self, size: int, steps: int, clock: Callable[[], float]) -> None:
        self.size, self.steps, self.clock = size, steps, clock
        self.begun: float | None = None
        self.times: list[float] = []

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        _settle(trainer.model.device)
        self.begun = self.clock()

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        _settle(trainer.model.device)
        if step and self.begun is not None:
            self.times.append(self.clock() - self.begun)

    def rate(self) -> float:
        """Examples a second, by the median step."""
        return self.size / max(float(np.median(self.times)), 1e-9)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Trial:
    """A model and data as ``fit`` would meet them, to be trained for some steps.

    Args:
        model: A copy of it is used when it has not met any data.
        data: Training data.
        seed: All draws follow from it.
        settings: In the place of what the task's recipe says.
    """

    def __init__(self, model: Any, data: Any, seed: int, settings: dict[str, Any]) -> None:
        training = as_data(model, data).require()
        if not model.bound:
            model = met(model, training, seed)
        recipe = model.task.training_recipe(training)
        transforms = () if training.transforms else recipe.get("transforms") or ()
        self.model, self.seed = model, seed
        self.data = model.task.typed(training.apply_transforms(transforms))
        known = Settings.__dataclass_fields__
        wishes = {name: value for name, value in settings.items() if value is not None}
        for name in wishes:
            if name not in known or name in ("epochs", "schedule", "callbacks"):
                raise ConfigError(
                    f"Expected a field of Settings to try with; received {name!r}. Known: "
                    f"{', '.join(known)}."
                )
        own = dict(getattr(model, "compiled", None) or recipe)
        chosen = {name: value for name, value in own.items() if name in known}
        self.settings = {**chosen, **wishes}

    def train(self, **settings: Any) -> None:
        """Train a little; nothing is written."""
        quiet: dict[str, Any] = {"schedule": None, **settings, "verbose": 0, "checkpoint_every": 0}
        resolved = Settings(**{**self.settings, **quiet})
        run = Run(id="trial", seed=self.seed)
        Trainer(self.model, self.data, None, resolved, run).train()


def _axes(why: str, across: str, up: str) -> tuple[Any, Any]:
    figure_module = require("matplotlib.figure", extra="explain", why=why)
    figure = figure_module.Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.grid(color=LINE)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finished(figure: Any, axes: Any, x: float, label: str, path: str | Path | None) -> Any:
    axes.axvline(x, color=INK, linestyle="--", linewidth=1)
    axes.annotate(
        label, (x, 1.0), xycoords=("data", "axes fraction"), xytext=(4, -12),
        textcoords="offset points", fontsize=9, color=INK,
    )  # fmt: skip
    if path is not None:
        figure.savefig(path, dpi=144)
    return figure
