"""Trainer: the one loop. Every model that learns by gradient steps passes through it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai import optimizers
from lepton_ai.callbacks.callback import Callback
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import Encoded, encode_inputs, encode_targets, training_order
from lepton_ai.data.transform import EpochTransforms
from lepton_ai.errors import ConfigError, TrainingError
from lepton_ai.layers.layer import penalty
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.metrics.metric import Mean, Metric
from lepton_ai.optimizers import schedules
from lepton_ai.training.evaluation import evaluate_encoded, warn_of_random_transforms
from lepton_ai.training.progress import Progress
from lepton_ai.training.replicas import Replicas, splits_well
from lepton_ai.training.run import Run


@dataclass
class Settings:
    """How a model is trained.

    Attributes:
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the processor or
            card has it and the network was measured to be faster with it.
        replicas: Threads that share a batch on a processor; ``None`` takes one for each core.
        average_decay: Decay of a running mean of the weights that is used in the end (EMA);
            ``None`` keeps the last weights.
        clip_norm: Largest norm of the gradient; ``None`` does not clip.
    """

    epochs: int = 1
    batch_size: int = 32
    optimizer: Any = "adam"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: Any = None
    clip_norm: float | None = None
    average_decay: float | None = None
    precision: str = "auto"
    replicas: int | None = None
    verbose: int | str = "auto"
    callbacks: Sequence[Callback] = field(default_factory=tuple)

    def check(self) -> None:
        """Refuse what cannot be, with what to type."""
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ConfigError(f"Expected {name} as a whole number above 0; received {value!r}.")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ConfigError(
                f"Expected precision 'auto', 'float32' or 'bfloat16'; received {self.precision!r}."
            )
        schedules.get(self.schedule)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    f"Expected callbacks of lai.callbacks.Callback; received "
                    f"{type(callback).__name__}."
                )


class Trainer:
    """Trains one bound model; ``fit`` of the model makes one and calls :meth:`train`.

    Args:
        model: Bound: its network, head and specs are there.
        data: Typed training data.
        validation: Typed validation data, or ``None``.
        settings: How to train.
        run: The record that is filled.
    """

    def __init__(
        self, model: Any, data: Dataset, validation: Dataset | None, settings: Settings, run: Run
    ) -> None:
        settings.check()
        self.model, self.data, self.validation = model, data, validation
        self.settings, self.run, self.seed = settings, run, run.seed
        self.stopped: str | None = None
        self.step_number = 0
        self.count = len(data)
        self.encoded = self._encode(data)
        self.checked = self._encode(validation) if validation is not None else None
        self.inputs = list(model.task.inputs)
        self.penalised = penalty(model) is not None
        self.precision = choose_precision(model, settings.precision)

    def stop(self, reason: str) -> None:
        """End training after this epoch."""
        self.stopped = reason

    def _encode(self, data: Dataset) -> Encoded:
        inputs = encode_inputs(self.model.task.inputs, self.model.specs, data.columns)
        return inputs.merged(encode_targets(self.model.head, self.model.specs, data.columns))

    # -- the loop --------------------------------------------------------------------------

    def train(self) -> Run:
        """Train to the end, or until a callback stops it; the run says how it went."""
        settings, model = self.settings, self.model
        chosen = optimizers.get(
            settings.optimizer, settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.optimizer = chosen.make([p for p in model.parameters() if p.requires_grad])
        self.schedule = schedules.get(settings.schedule)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.steps = math.ceil(self.count / settings.batch_size)
        progress = Progress(settings.verbose, total=self.count, epochs=settings.epochs)
        if self.validation is not None:
            warn_of_random_transforms(self.validation)
        progress.begin(len(self.validation) if self.validation is not None else None)
        average = Average(model, settings.average_decay) if settings.average_decay else None
        started = time.perf_counter()
        for callback in settings.callbacks:
            callback.on_train_begin(self)
        count = self._replica_count()
        self.alone = count == 1
        # Statistics of a batch need a batch: a much shorter last one is left out of its epoch.
        self.least = 0 if count > 1 else max(2, settings.batch_size // 4)
        with torch.random.fork_rng(), Replicas(model, count) as replicas:
            for epoch in range(settings.epochs):
                self._epoch(epoch, replicas, progress, average)
                if self.stopped:
                    break
        if average is not None:
            average.keep()
        for callback in settings.callbacks:
            callback.on_train_end(self)
        if self.stopped:
            progress.note(f"Stopped: {self.stopped}.")
        self.run.metrics["seconds"] = round(time.perf_counter() - started, 3)
        self.run.status = "finished"
        self.run.save()
        model.eval()
        return self.run

    def _replica_count(self) -> int:
        wanted = self.settings.replicas
        if next(self.model.parameters()).device.type != "cpu" or self.model.head.joint:
            return 1
        if not splits_well(self.model):
            return 1
        count = wanted if wanted is not None else torch.get_num_threads()
        return max(1, min(count, self.settings.batch_size // 8))

    def _epoch(
        self, epoch: int, replicas: Replicas, progress: Progress, average: Average | None
    ) -> None:
        settings = self.settings
        for callback in settings.callbacks:
            callback.on_epoch_begin(self, epoch)
        progress.epoch(epoch)
        replicas.train()
        transforms = self._transforms(self.data, epoch)
        tally = Tally(self.model.task.metrics())
        order = training_order(
            self.count, seed=self.seed, epoch=epoch, batch_size=settings.batch_size,
            lengths=self.encoded.lengths(), least=self.least,
        )  # fmt: skip
        done = 0
        for indices in order:
            self._set_rate()
            total, count, parts = replicas.step(indices, self._part(transforms, tally))
            self._update(replicas)
            if average is not None:
                average.update()
            tally.add(total, count, parts)
            done += len(indices)
            self.step_number += 1
            for callback in settings.callbacks:
                callback.on_batch_end(self, self.step_number - 1)
            if progress.due:
                progress.step(done, tally.logs())
        logs = tally.logs()
        if not math.isfinite(logs["loss"]):
            self.run.status = "failed"
            self.run.save()
            raise TrainingError(
                f"Expected a finite loss; it is {logs['loss']} in epoch {epoch + 1}. Try a lower "
                "learning_rate, clip_norm=1.0, or precision='float32'."
            )
        logs |= self._validate(average)
        progress.end(self.steps, logs)
        self.run.record(logs)
        for callback in settings.callbacks:
            callback.on_epoch_end(self, epoch, logs)

    def _part(self, transforms: EpochTransforms | None, tally: Tally) -> Any:
        """What each replica does with its part of a batch."""
        model, seed, step = self.model, self.seed, self.step_number

        def part(module: nn.Module, indices: np.ndarray) -> tuple[Tensor, Tensor, Any]:
            columns = self.encoded.batch(indices)
            if transforms is not None:
                columns = transforms(columns, torch.from_numpy(indices))
            columns = {name: value.to(model.device) for name, value in columns.items()}
            generator = torch.Generator(model.device)
            draw = hash((seed, step, int(indices[0]))) & 0x7FFFFFFFFFFFFFFF
            generator.manual_seed(draw)
            if self.alone:
                torch.manual_seed(draw)  # for modules that draw from torch's own generator
            with drawing_from(generator), self._autocast():
                outputs = module(columns, columns)
            sums, counts = cast("Any", module).head.loss(outputs, columns)
            if self.penalised:
                sums = sums + penalty(module) * counts
            with torch.no_grad():
                kept = tally.measured(module.head, outputs, columns)
            return sums.sum(), counts.sum(), kept

        return part

    def _autocast(self) -> Any:
        if self.precision == "bfloat16":
            return torch.autocast(self.model.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _set_rate(self) -> None:
        share = self.schedule(self.step_number / max(self.steps * self.settings.epochs, 1))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share

    def _update(self, replicas: Replicas) -> None:
        if self.settings.clip_norm:
            nn.utils.clip_grad_norm_(replicas.parameters[0], self.settings.clip_norm, foreach=True)
        self.optimizer.step()

    def _transforms(self, data: Dataset, epoch: int) -> EpochTransforms | None:
        if not data.transforms:
            return None
        fields = {**self.model.task.inputs, **self.model.task.outputs}
        return EpochTransforms(
            data.transforms, fields, count=len(data), seed=self.seed, epoch=epoch
        )

    def _validate(self, average: Average | None) -> dict[str, float]:
        if self.checked is None or self.validation is None:
            return {}
        with average.swapped() if average is not None else nullcontext():
            figures = evaluate_encoded(
                self.model, self.checked, transforms=self._transforms(self.validation, -1)
            )
        return {f"val_{name}": value for name, value in figures.items()}


class Tally:
    """Loss and metrics of the training batches of one epoch."""

    def __init__(self, metrics: dict[str, Metric]) -> None:
        self.metrics = {n: m for n, m in metrics.items() if m.while_training}
        self.loss = Mean()

    def measured(self, head: Any, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Any:
        """Predicted and expected values, once for each kind that the metrics want."""
        wanted = dict.fromkeys(metric.wants for metric in self.metrics.values())
        return {want: head.measured(outputs, targets, want) for want in wanted}

    def add(self, total: Tensor, count: Tensor, parts: Sequence[Any]) -> None:
        """Add one batch."""
        self.loss.update(total, count)
        for kept in parts:
            for metric in self.metrics.values():
                metric.update(*kept[metric.wants])

    def logs(self) -> dict[str, float]:
        """The figures so far."""
        return {"loss": self.loss.compute(), **{n: m.compute() for n, m in self.metrics.items()}}


class Average:
    """A running mean of the weights (EMA), which is often better than the last weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        floats = [b for b in model.buffers() if b.is_floating_point()]
        self.live = [p for p in model.parameters() if p.requires_grad] + floats
        self.mean = [p.detach().clone() for p in self.live]
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights; early on the mean forgets faster."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.mean, [p.detach() for p in self.live], 1 - decay)

    @torch.no_grad()
    def keep(self) -> None:
        """Put the mean into the model."""
        torch._foreach_copy_([p.detach() for p in self.live], self.mean)

    def swapped(self) -> Any:
        """The mean in the model while a block runs."""
        from contextlib import contextmanager

        @contextmanager
        def swap() -> Any:
            with torch.no_grad():
                kept = [p.detach().clone() for p in self.live]
                self.keep()
            try:
                yield
            finally:
                with torch.no_grad():
                    torch._foreach_copy_([p.detach() for p in self.live], kept)

        return swap()


def choose_precision(model: Any, wish: str) -> str:
    """``"bfloat16"`` or ``"float32"``."""
    if wish != "auto":
        return wish
    if not getattr(model.network, "prefers_bfloat16", False):
        return "float32"
    device = model.device
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    fast = device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
    return "bfloat16" if fast else "float32"
