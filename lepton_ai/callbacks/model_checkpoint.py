"""The model, saved while it is trained."""

from __future__ import annotations

import os
import re
import shutil
import string
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save as to_bytes

from lepton_ai.callbacks.callback import Callback
from lepton_ai.callbacks.monitor import Monitor, judged, whole
from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss
from lepton_ai.workspace.files import sync_folder, write_bytes

if TYPE_CHECKING:
    from torch import nn

    from lepton_ai.training.trainer import Trainer

variants = {"model_checkpoint": "ModelCheckpoint"}

_FOREIGN = (".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt", ".tf")
_FILLED = re.compile(r"[A-Za-z0-9 +,._%-]*")


class ModelCheckpoint(Callback):
    """Save the model while it is trained: each epoch, every so many steps, or when it is best.

    What is saved can be loaded with ``lai.load(path)``. It is not needed for going on after an
    interruption, which ``fit(resume=True)`` does.

    Args:
        filepath: Where to. Figures may stand in it: ``"kept/{epoch:02d}-{val_loss:.3f}"``; epochs
            are counted from 1, ``{step}`` is the number of steps done.
        monitor: The figure that says which is best, as in the history.
        verbose: 1 says so when something is saved.
        save_best_only: Whether to save only what is better than all before.
        save_weights_only: Whether to write only the weights, as one ``.safetensors`` file.
        mode: ``"min"``, ``"max"``, or ``"auto"`` (losses and errors are to be small).
        save_freq: ``"epoch"``, or a number of steps.
        initial_value_threshold: What the figure must beat the first time.
        keep: How many to keep; older ones that this callback wrote are removed. ``None`` keeps all.

    Raises:
        ConfigError: An argument that cannot be; a figure in ``filepath`` that is not there.

    Example:
        >>> best = ModelCheckpoint("best", monitor="val_accuracy", save_best_only=True)
        >>> last = ModelCheckpoint("kept/{epoch:02d}", keep=3)
    """

    def __init__(
        self, filepath: str | os.PathLike[str], monitor: str = "val_loss", verbose: int = 0,
        save_best_only: bool = False, save_weights_only: bool = False, mode: str = "auto",
        save_freq: int | str = "epoch", initial_value_threshold: float | None = None, *,
        keep: int | None = None,
    ) -> None:  # fmt: skip
        self._monitor = Monitor(monitor, mode)
        self.filepath = checked_template(os.fspath(filepath), weights=save_weights_only)
        self.monitor, self.mode, self.verbose = monitor, mode, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        if save_freq != "epoch":
            save_freq = whole("save_freq (or 'epoch')", save_freq, 1)
            if save_best_only:
                raise ConfigError(
                    "Expected save_freq='epoch' with save_best_only: figures to compare are there "
                    f"after an epoch; received save_freq={save_freq}."
                )
        self.save_freq: int | str = save_freq
        self.initial_value_threshold = initial_value_threshold
        self.keep = None if keep is None else whole("keep", keep, 1)

    def on_train_begin(self, trainer: Trainer) -> None:
        self._monitor.begin(trainer)
        self.best_ = self.initial_value_threshold
        self.saved_: list[str] = []
        self._steps = 0

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        self._steps += 1
        if isinstance(self.save_freq, int) and self._steps % self.save_freq == 0:
            self._save(trainer, trainer.epoch, {"loss": trainer.last_loss})

    def on_epoch_end(self, trainer: Trainer, epoch: int, logs: dict[str, float]) -> None:
        if self.save_freq != "epoch":
            return
        if self.save_best_only:
            value = self._monitor.value(trainer, logs)
            if value is None or not self._monitor.better(value, self.best_):
                return
            self.best_ = value
        self._save(trainer, epoch, logs)

    def _save(self, trainer: Trainer, epoch: int, logs: Mapping[str, float]) -> None:
        values = {**logs, "epoch": epoch + 1, "step": trainer.step_number}
        path = Path(filled(self.filepath, values)).absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with judged(trainer):
            if self.save_weights_only:
                _write_weights(trainer.model, path)
            else:
                _save_model(trainer.model, path)
        if self.verbose:
            trainer.note(f"Epoch {epoch + 1}: saved to {path}.")
        self.saved_ = [*(name for name in self.saved_ if name != str(path)), str(path)]
        while self.keep is not None and len(self.saved_) > self.keep:
            _remove(Path(self.saved_.pop(0)))

    def state(self) -> dict[str, Any]:
        return {"best": self.best_, "saved": list(self.saved_), "steps": self._steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.best_, self._steps = state["best"], state["steps"]
        self.saved_ = list(state["saved"])


def checked_template(template: str, *, weights: bool) -> str:
    """A path with figures in braces, of a form that Lepton writes.

    Raises:
        ConfigError: Its ending belongs to another format, or its braces do not fit.
    """
    path = Path(template)
    ending = path.suffix.lower()
    if not path.name or path.name in (".", "..") or "\0" in template:
        raise ConfigError(f"Expected a path to save to; received {template!r}.")
    if ending in _FOREIGN:
        plain = re.sub(r"\.weights$", "", template[: -len(ending)])
        wanted = "weights as safetensors" if weights else "a model as a folder"
        better = f"{plain}.safetensors" if weights else plain
        raise ConfigError(
            f"Expected a path without {path.suffix!r}, since Lepton saves {wanted}; received "
            f"{template!r}. Type: ModelCheckpoint({better!r}"
            + (", save_weights_only=True)" if weights else ")")
        )
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template)]
    except ValueError as error:
        raise ConfigError(
            f"Expected figures in braces, {{epoch:02d}}; {template!r} cannot be read: {error}."
        ) from error
    for name in names:
        if name is not None and not re.fullmatch(r"[^\W\d][\w-]*", name):
            raise ConfigError(
                f"Expected the name of a figure in braces, {{epoch:02d}}; received {name!r} in "
                f"{template!r}."
            )
    return template if not weights or ending == ".safetensors" else f"{template}.safetensors"


def filled(template: str, values: Mapping[str, float]) -> str:
    """A path with its figures put in.

    Raises:
        ConfigError: A figure is not there, or what comes out of it is no part of a file name.
    """
    parts = []
    for text, name, form, conversion in string.Formatter().parse(template):
        parts.append(text)
        if name is None:
            continue
        if name not in values:
            raise ConfigError(
                f"Expected one of {', '.join(sorted(values))} in {template!r}; received {name!r}."
                f"{near_miss(name, values)} Figures of validation need validation_data."
            )
        try:
            if conversion or "{" in (form or ""):
                raise ValueError("conversions and nested braces are not taken")
            value = format(values[name], form or "")
        except ValueError as error:
            raise ConfigError(
                f"Expected a number format like 02d or .3f for {name!r}; received {form!r} in "
                f"{template!r}: {error}."
            ) from error
        if not _FILLED.fullmatch(value) or ".." in value or value.strip(" .") == "":
            raise ConfigError(
                f"Expected the format of {name!r} to give a part of a file name; {form!r} gives "
                f"{value!r}."
            )
        parts.append(value)
    return "".join(parts)


def _write_weights(model: nn.Module, path: Path) -> None:
    """The weights as one file, which stands under its name only once it is whole."""
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        tensors[name] = plain.clone() if plain.data_ptr() in seen else plain
        seen.add(plain.data_ptr())
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        write_bytes(temporary, to_bytes(tensors))
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _save_model(model: Any, path: Path) -> None:
    """The whole model, as it answers; each part is back in its mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        model.save(path)
    finally:
        for module, training in modes:
            module.training = training


def _remove(path: Path) -> None:
    """Take away what this callback wrote."""
    if path.is_dir() and (path / "lepton.json").is_file():
        shutil.rmtree(path, ignore_errors=True)
    elif path.is_file():
        path.unlink(missing_ok=True)
