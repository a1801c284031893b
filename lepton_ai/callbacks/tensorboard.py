"""The figures of a run for TensorBoard."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lepton_ai.callbacks.callback import Callback
from lepton_ai.callbacks.monitor import whole
from lepton_ai.errors import ConfigError
from lepton_ai.extras import require
from lepton_ai.registry import near_miss

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"tensorboard": "TensorBoard"}


class TensorBoard(Callback):
    """Write the figures of a run for TensorBoard (``tensorboard --logdir logs``).

    Training figures go to ``<log_dir>/train``, those of validation to ``<log_dir>/validation``
    under the same names, so that both are in one chart. A run that is resumed hides what was
    written after its checkpoint.

    Args:
        log_dir: The folder.
        histogram_freq: Epochs between histograms of the weights; 0 writes none.
        write_graph: Whether to write the layers of the model, as text.
        write_images: Whether to write weights as pictures, with the histograms.
        write_steps_per_second: Whether to write how many steps were done in a second.
        update_freq: ``"epoch"``; a number of steps, or ``"batch"``, writes the loss in between.

    Raises:
        MissingExtraError: The package ``tensorboard`` is not installed.

    Example:
        >>> TensorBoard("logs/first", update_freq=100).update_freq
        100
    """

    def __init__(
        self, log_dir: str | os.PathLike[str] = "logs", histogram_freq: int = 0,
        write_graph: bool = True, write_images: bool = False, write_steps_per_second: bool = False,
        update_freq: int | str = "epoch",
    ) -> None:  # fmt: skip
        if isinstance(update_freq, str):
            if update_freq not in ("epoch", "batch"):
                raise ConfigError(
                    "Expected update_freq 'epoch', 'batch' or a number of steps; received "
                    f"{update_freq!r}.{near_miss(update_freq, ('epoch', 'batch'))}"
                )
            self._every = 1 if update_freq == "batch" else 0
        else:
            self._every = whole("update_freq", update_freq, 1)
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = whole("histogram_freq", histogram_freq)
        self.write_graph, self.write_images = write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = update_freq

    def on_train_begin(self, trainer: Trainer) -> None:
        require("tensorboard", extra="tensorboard", why="TensorBoard(...)")
        self._writers: dict[str, Any] = {}
        self._purge: int | None = None
        self._steps = 0
        self._mark = (0, time.perf_counter())

    def _writer(self, part: str) -> Any:
        """The writer of a part, opened when it is first needed: a restored state comes before."""
        if part not in self._writers:
            writing = require(
                "torch.utils.tensorboard", extra="tensorboard", why="TensorBoard(...)"
            )
            self._writers[part] = writing.SummaryWriter(
                os.path.join(self.log_dir, part), purge_step=self._purge
            )
        return self._writers[part]

    def on_epoch_begin(self, trainer: Trainer, epoch: int) -> None:
        self._mark = (self._steps, time.perf_counter())
        if self.write_graph and self._steps == 0:
            self._writer("train").add_text("model", f"<pre>{trainer.model}</pre>", 0)

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        self._steps += 1
        if self._every and self._steps % self._every == 0:
            writer = self._writer("train")
            writer.add_scalar("batch_loss", trainer.last_loss, self._steps)
            writer.add_scalar("batch_learning_rate", trainer.learning_rate, self._steps)

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        writer = self._writer("train")
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            title = f"epoch_{name.removeprefix('val_')}"
            self._writer(part).add_scalar(title, value, self._steps)
        writer.add_scalar("epoch_learning_rate", trainer.learning_rate, self._steps)
        if self.write_steps_per_second:
            steps, since = self._mark
            rate = (self._steps - steps) / max(time.perf_counter() - since, 1e-9)
            writer.add_scalar("steps_per_second", rate, self._steps)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(trainer)
        for opened in self._writers.values():
            opened.flush()

    def _write_weights(self, trainer: Trainer) -> None:
        writer = self._writer("train")
        for name, weight in trainer.model.named_parameters():
            value = weight.detach().float().cpu()
            if not torch.isfinite(value).all():
                continue  # a histogram of what is not finite cannot be drawn
            writer.add_histogram(name, value, self._steps)
            if self.write_images and value.ndim > 1:
                writer.add_image(name, _picture(value), self._steps, dataformats="HW")

    def on_train_end(self, trainer: Trainer) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def state(self) -> dict[str, Any]:
        return {"steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
        self._purge = self._steps + 1


def _picture(weight: Tensor) -> Tensor:
    """A weight as one picture from 0 to 1, ``[outputs, everything else]``."""
    flat = weight.reshape(len(weight), -1)
    low, high = flat.min(), flat.max()
    return (flat - low) / (high - low).clamp_min(1e-12)
