"""Trainer: the one loop. Every model that learns by gradient steps passes through it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai.callbacks.terminate_on_nan import TerminateOnNaN
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import Encoded, encode_inputs, encode_targets, training_order
from lepton_ai.data.transform import EpochTransforms
from lepton_ai.errors import ConfigError, TrainingError
from lepton_ai.layers.layer import penalty
from lepton_ai.layers.randomness import drawing_from
from lepton_ai.optimizers import schedules
from lepton_ai.training import resuming
from lepton_ai.training.breakdown import Breakdown
from lepton_ai.training.cost import choose_precision, draws_numbers, replica_count
from lepton_ai.training.evaluation import evaluate_encoded, warn_of_random_transforms
from lepton_ai.training.feeding import Batch, Feed, grouped
from lepton_ai.training.progress import Progress
from lepton_ai.training.replicas import Replicas
from lepton_ai.training.run import Run
from lepton_ai.training.settings import Settings
from lepton_ai.training.stepping import Stepper, resolved
from lepton_ai.training.tally import Average, Tally
from lepton_ai.training.weights import (
    carried_of,
    forget_carried,
    put_carried,
    put_tensors,
    tensors_of,
)


class Trainer:
    """Trains one bound model; ``fit`` of the model makes one and calls :meth:`train`.

    Args:
        model: Bound: its network, head and specs are there.
        data: Typed training data.
        validation: Typed validation data, or ``None``.
        settings: How to train.
        run: The record that is filled; when it has a checkpoint and ``settings.resume`` says so,
            training goes on from there.

    Attributes:
        step_number: Steps of the optimiser so far.
        epoch: The number of the epoch under way, from 0.
        steps: Steps in an epoch.
        position: Batches of this epoch that have been worked on.
        last_loss: Mean loss of the last batch.
        last_indices: Its examples.
    """

    def __init__(
        self, model: Any, data: Dataset, validation: Dataset | None, settings: Settings, run: Run
    ) -> None:
        settings.check()
        settings = resolved(settings)
        self.model, self.data, self.validation = model, data, validation
        self.settings, self.run, self.seed = settings, run, run.seed
        self.stopped: str | None = None
        self.step_number, self.epoch, self.position = 0, settings.initial_epoch, 0
        self.last_loss, self.last_indices = math.nan, np.zeros(0, dtype=np.int64)
        self.count = len(data)
        self.encoded = self._encode(data)
        self.checked = self._encode(validation) if validation is not None else None
        self.penalised = penalty(model) is not None
        self.precision = choose_precision(model, settings.precision)
        self.replica_count = replica_count(model, self.encoded, settings)
        self.alone = self.replica_count == 1
        self.draws = draws_numbers(model)
        # Statistics of a batch need a batch: a much shorter last one is left out of its epoch.
        self.least = max(2, settings.batch_size // 4) if self.alone else 0
        batches = self._batches_in_epoch()
        self.steps = math.ceil(batches / settings.gradient_accumulation_steps)
        if settings.steps_per_epoch is not None:
            self.steps = min(self.steps, settings.steps_per_epoch)
        self.clock = Breakdown(model.device) if settings.breakdown else None
        self.schedule = schedules.get(settings.schedule)

    def stop(self, reason: str) -> None:
        """End training: at once when called after a batch, else after this epoch."""
        self.stopped = reason

    def note(self, text: str) -> None:
        """Show the user a line."""
        self.progress.note(text)

    @property
    def learning_rate(self) -> float:
        """The peak rate of the first group of parameters; setting it scales all groups."""
        return self.stepper.peaks[0]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        first = self.stepper.peaks[0]
        self.stepper.scale(rate / first if first else 1.0)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """PyTorch's optimiser."""
        return self.stepper.optimizer

    def _encode(self, data: Dataset) -> Encoded:
        inputs = encode_inputs(self.model.task.inputs, self.model.specs, data.columns)
        encoded = inputs.merged(encode_targets(self.model.head, self.model.specs, data.columns))
        if "sample_weight" in data.columns:
            weights = np.asarray(data.columns["sample_weight"], dtype=np.float32)
            encoded.columns["sample_weight"] = torch.from_numpy(weights)
        return encoded

    def _order(self, epoch: int) -> Iterator[np.ndarray]:
        return training_order(
            self.count, seed=self.seed, epoch=epoch, batch_size=self.settings.batch_size,
            lengths=self.encoded.lengths(), least=self.least, shuffle=self.settings.shuffle,
        )  # fmt: skip

    def _batches_in_epoch(self) -> int:
        if self.encoded.lengths() is None:
            whole, rest = divmod(self.count, self.settings.batch_size)
            return whole + (rest > 0 and (rest >= self.least or whole == 0))
        return sum(1 for _ in self._order(0))

    # -- the loop --------------------------------------------------------------------------

    def train(self) -> Run:
        """Train to the end, or until a callback stops it; the run says how it went.

        Raises:
            TrainingError: The loss is no longer finite, or checkpoints cannot be written.
            WorkspaceError: Another process is training this run.
        """
        settings, model = self.settings, self.model
        self.progress = Progress(settings.verbose, total=self.count, epochs=settings.epochs)
        self.average = Average(model, settings.average_decay) if settings.average_decay else None
        self.stepper = Stepper(model, settings, self.schedule)
        if self.validation is not None:
            warn_of_random_transforms(self.validation)
        with ExitStack() as stack:
            self.saver = stack.enter_context(resuming.Saver(self))
            stack.enter_context(torch.random.fork_rng())
            self.replicas = stack.enter_context(Replicas(model, self.replica_count))
            self.progress.begin(len(self.validation) if self.validation is not None else None)
            started = time.perf_counter()
            for callback in settings.callbacks:
                callback.on_train_begin(self)
            spent = self.saver.restore()
            while self.epoch < settings.epochs and not self.stopped:
                self._epoch()
            self.saver.last()
            self._finish(time.perf_counter() - started + spent)
        self.run.status = "finished"
        self.run.save()
        return self.run

    def _finish(self, seconds: float) -> None:
        self.stepper.for_evaluation()
        if self.average is not None:
            self.average.keep()
        for callback in self.settings.callbacks:
            callback.on_train_end(self)
        if self.stopped:
            self.progress.note(f"Stopped: {self.stopped}.")
        if self.clock is not None:
            self.run.metrics["breakdown"] = self.clock.shares()
            for line in self.clock.lines():
                self.progress.note(line)
        self.run.metrics["seconds"] = round(seconds, 3)
        self.model.eval()

    def _epoch(self) -> None:
        settings, epoch = self.settings, self.epoch
        if not self.saver.tally_restored:
            self.tally = Tally(self.model.task.metrics())
            for callback in settings.callbacks:
                callback.on_epoch_begin(self, epoch)
            forget_carried(self.model)
        self.saver.tally_restored = False
        self.progress.epoch(epoch)
        self.replicas.train()
        self.stepper.for_training()
        self.saver.remember()
        self.feed = Feed(
            self.encoded, self._transforms(self.data, epoch), self.model.device, self.clock
        )
        done = self.position * settings.batch_size
        for batches in self._groups():
            self._step(batches)
            done += sum(len(indices) for indices, _ in batches)
            if self.progress.due:
                self.progress.step(min(done, self.count), self.tally.logs())
            if self.stopped:
                break
            if self.position < self.steps * settings.gradient_accumulation_steps:
                self.saver.step_done()  # at the end of an epoch its validation comes first
        self._end_epoch()

    def _groups(self) -> Iterator[list[Batch]]:
        """The batches of each step that is still to be done in this epoch."""
        together = self.settings.gradient_accumulation_steps
        wanted = self.steps * together
        order = islice(self._order(self.epoch), self.position, wanted)
        if self.clock is not None:
            self.clock.start()
        if self.alone:
            return grouped(self.feed.blocks(order, self.settings.batch_size), together)
        return grouped(((indices, None) for indices in order), together)

    def _step(self, batches: list[Batch]) -> None:
        self.stepper.set_rate(self.step_number, self.steps * self.settings.epochs)
        total, count, parts = self.replicas.step(batches, self._part)
        self.last_loss = float(total) / max(float(count), 1.0)
        self.last_indices = batches[0][0] if len(batches) == 1 else _joined(batches)
        if not math.isfinite(self.last_loss):
            self._diverged()
            return
        clock = self.clock
        if clock is not None:
            clock.mark("backward")
        self.stepper.step(self.replicas.parameters[0])
        if self.average is not None:
            self.average.update()
        if clock is not None:
            clock.mark("optimizer")
        self.tally.add(total, count, parts)
        if clock is not None:
            clock.mark("metrics")
        self.step_number += 1
        self.position += len(batches)
        for callback in self.settings.callbacks:
            callback.on_batch_end(self, self.step_number - 1)
        if clock is not None:
            clock.mark("callbacks")

    def _part(
        self, module: nn.Module, indices: np.ndarray, columns: dict[str, Tensor] | None
    ) -> tuple[Tensor, Tensor, Any]:
        """What each replica does with its part of a batch."""
        columns = self.feed.batch(indices) if columns is None else columns
        with self._drawing(indices), self._autocast():
            outputs = module(columns, columns)
        sums, counts = cast("Any", module).head.loss(outputs, columns)
        if self.penalised:
            sums = sums + penalty(module) * counts
        if "sample_weight" in columns:
            sums = sums * columns["sample_weight"]
        with torch.no_grad():
            kept = self.tally.measured(module.head, outputs, columns)
        if self.clock is not None and module is self.model:
            self.clock.mark("forward")
        return sums.sum(), counts.sum(), kept

    def _drawing(self, indices: np.ndarray) -> Any:
        """The random numbers of a part of a batch: from seed, step and examples only."""
        if not self.draws:
            return nullcontext()
        draw = hash((self.seed, self.step_number, int(indices[0]))) & 0x7FFFFFFFFFFFFFFF
        if self.alone:
            _seed_global(draw, self.model.device)  # for modules that draw from torch's own
        return drawing_from(torch.Generator(self.model.device).manual_seed(draw))

    def _autocast(self) -> Any:
        if self.precision == "bfloat16":
            return torch.autocast(self.model.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _diverged(self) -> None:
        """Put the last good weights back and say which batch it was, and why.

        Raises:
            TrainingError: Unless a callback asks for a quiet end (``TerminateOnNaN``).
        """
        shown = ", ".join(str(int(i)) for i in self.last_indices[:8])
        more = ", ..." if len(self.last_indices) > 8 else ""
        what = (
            f"the loss is {self.last_loss} in step {self.step_number + 1} (epoch "
            f"{self.epoch + 1}, examples {shown}{more})"
        )
        quiet = any(isinstance(callback, TerminateOnNaN) for callback in self.settings.callbacks)
        why = "" if quiet else resuming.explain_divergence(self)
        self.saver.roll_back()
        if quiet:
            self.stop(f"{what}; the weights are those from the beginning of this epoch")
            return
        self.run.status = "failed"
        self.run.save()
        raise TrainingError(
            f"Expected a finite loss; {what}. {why} The model has the weights from the beginning "
            "of this epoch again."
        )

    def _end_epoch(self) -> None:
        settings = self.settings
        logs = self.tally.logs()
        wanted = (self.epoch + 1) % settings.validation_freq == 0
        if wanted or self.epoch + 1 == settings.epochs or self.stopped:
            logs |= self._validate()
        self.progress.end(self.steps, logs)
        self.run.record(logs)
        for callback in settings.callbacks:
            callback.on_epoch_end(self, self.epoch, logs)
        self.epoch, self.position = self.epoch + 1, 0
        if self.epoch < settings.epochs and not self.stopped:
            self.saver.epoch_done()

    def _transforms(self, data: Dataset, epoch: int) -> EpochTransforms | None:
        if not data.transforms:
            return None
        fields = {**self.model.task.inputs, **self.model.task.outputs}
        return EpochTransforms(
            data.transforms, fields, count=len(data), seed=self.seed, epoch=epoch
        )

    def _validate(self) -> dict[str, float]:
        if self.checked is None or self.validation is None:
            return {}
        self.stepper.for_evaluation()
        with self.average.swapped() if self.average is not None else nullcontext():
            figures = evaluate_encoded(
                self.model, self.checked, transforms=self._transforms(self.validation, -1)
            )
        self.stepper.for_training()
        return {f"val_{name}": value for name, value in figures.items()}

    # -- state -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything on which the rest of the training depends, at the edge of a step."""
        return {
            "step": self.step_number, "epoch": self.epoch, "position": self.position,
            "model": tensors_of(self.model), "carried": carried_of(self.model),
            "stepper": self.stepper.state(),
            "average": self.average.state() if self.average is not None else None,
            "tally": self.tally.state() if self.position else None,
            "history": self.run.logs,
            "callbacks": [[type(c).__name__, c.state()] for c in self.settings.callbacks],
            "random": resuming.random_state(), "stopped": self.stopped,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave; ``on_train_begin`` of the callbacks was called."""
        names = [type(callback).__name__ for callback in self.settings.callbacks]
        kept = [name for name, _ in state["callbacks"]]
        if names != kept and self.settings.resume != "close":
            raise ConfigError(
                f"Expected the callbacks {', '.join(kept) or '(none)'} to go on exactly; received "
                f"{', '.join(names) or '(none)'}. Give the same ones, or resume='close'."
            )
        put_tensors(self.model, state["model"])
        put_carried(self.model, state["carried"])
        self.stepper.restore(state["stepper"])
        if self.average is not None and state["average"] is not None:
            self.average.restore(state["average"])
        self.step_number, self.epoch = state["step"], state["epoch"]
        self.position, self.stopped = state["position"], state["stopped"]
        if state["tally"] is not None:
            self.tally = Tally(self.model.task.metrics())
            self.tally.restore(state["tally"])
            self.saver.tally_restored = True
        self.run.rewrite(state["history"])
        for callback, (name, kept_state) in zip(
            self.settings.callbacks, state["callbacks"], strict=False
        ):
            if type(callback).__name__ == name:
                callback.restore(kept_state)
        resuming.set_random_state(state["random"])


def _joined(batches: Sequence[Batch]) -> np.ndarray:
    return np.concatenate([indices for indices, _ in batches])


def _seed_global(draw: int, device: torch.device) -> None:
    if device.type == "cpu":
        torch.default_generator.manual_seed(draw)
    else:
        torch.manual_seed(draw)
