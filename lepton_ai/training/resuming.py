"""Resuming: finding an interrupted run, and going on with it bit for bit."""

from __future__ import annotations

import hashlib
import random
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch

import lepton_ai
from lepton_ai.errors import ConfigError
from lepton_ai.training import checkpoint
from lepton_ai.training.run import Run, list_runs, start_run
from lepton_ai.training.settings import Settings
from lepton_ai.training.weights import tensors_of
from lepton_ai.workspace.files import to_json
from lepton_ai.workspace.lock import held

SECONDS_BETWEEN = 60.0
"""Time between checkpoints when no number of steps is given."""
CHECKPOINTS = "checkpoints"


def identity(model: Any, data_digest: str, seed: int) -> str:
    """A digest of what makes two runs the same: architecture, first weights, task, data, seed."""
    digest = hashlib.sha256()
    try:
        architecture = model.to_config()
    except Exception:  # noqa: BLE001 - a network that is not registered has no config
        architecture = {"network": type(model.given or model).__qualname__}
    told = {"architecture": architecture, "task": repr(model.task), "data": data_digest,
            "seed": seed}  # fmt: skip
    digest.update(to_json(told).encode() if _is_json(told) else repr(told).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        if plain.numel():
            digest.update(memoryview(plain.view(torch.uint8).numpy()))
    return digest.hexdigest()


def _is_json(value: Any) -> bool:
    try:
        to_json(value)
    except (TypeError, ValueError):
        return False
    return True


def open_run(model: Any, settings: Settings, workspace: Any, **record: Any) -> Run:
    """The record of a training: of the interrupted one that is to go on, else a new one.

    Args:
        model: Bound, with the weights it starts from.
        settings: Whose ``resume`` says whether an earlier run is looked for.
        workspace: Where.
        record: Fields of a new run (seed, data, config ...).

    Raises:
        ConfigError: There is an interrupted run of the same model and data with other settings.
    """
    same = identity(model, str(record["data"]["digest"]), int(record["seed"]))
    deciding = settings.deciding()
    if settings.resume:
        for run in list_runs(workspace):
            if run.data.get("identity") == same and run.kind == record.get("kind", "fit"):
                _check_settings(run, deciding, exact=settings.resume != "close")
                run.status = "running"
                return run
    run = start_run(workspace, **record)
    run.data["identity"], run.config["deciding"] = same, deciding
    run.save()
    return run


def _check_settings(run: Run, now: dict[str, Any], *, exact: bool) -> None:
    before = run.config.get("deciding", {})
    free = {"initial_epoch"} | ({"epochs"} if now.get("schedule") in (None, "constant") else set())
    odd = [n for n in now if n not in free and n in before and now[n] != before[n]]
    if odd and exact:
        told = ", ".join(f"{name}={before[name]!r} (now {now[name]!r})" for name in odd)
        raise ConfigError(
            f"Expected the settings of run {run.id} to go on exactly: {told}. Give those, or type "
            "resume='close', or resume=None to begin again."
        )


def fingerprint(trainer: Any) -> dict[str, Any]:
    """On what, besides model, data and settings, the bits of a result depend."""
    device = trainer.model.device
    told = {
        "lepton_ai": lepton_ai.__version__,
        "torch": torch.__version__,
        "device": device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "replicas": trainer.replica_count,
        "precision": trainer.precision,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    if device.type == "cuda":
        told["card"] = torch.cuda.get_device_name(device)
    return told


def random_state() -> dict[str, Any]:
    """The global random generators of Python, numpy and torch."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": {"name": name, "keys": keys, "position": position, "has_gauss": has_gauss,
                  "gauss": gauss},
        "torch": torch.get_rng_state(),
    }  # fmt: skip


def set_random_state(state: dict[str, Any]) -> None:
    """The way back from :func:`random_state`."""
    random.setstate(state["python"])
    kept = state["numpy"]
    np.random.set_state(  # noqa: NPY002
        (kept["name"], kept["keys"], kept["position"], kept["has_gauss"],
         kept["gauss"])
    )  # fmt: skip
    torch.set_rng_state(state["torch"])


def explain_divergence(trainer: Any) -> str:
    """Where the loss stopped being a number, as the doctor finds it."""
    from lepton_ai.training.diagnosis import diagnose

    def run_batch() -> torch.Tensor:
        total, count, _ = trainer._part(trainer.model, trainer.last_indices, None)
        loss = total / count.clamp_min(1)
        loss.backward()
        return loss

    return f"Run again: {diagnose(trainer.model, run_batch, indices=trainer.last_indices)}"


class Saver:
    """Saves a trainer's state when it is time, and restores it; a context that holds the run.

    Args:
        trainer: Whose state.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.keeper: checkpoint.Keeper | None = None
        self.tally_restored = False
        self.wrote = False
        self.good: list[torch.Tensor] = []
        self._stack = ExitStack()

    def __enter__(self) -> Saver:
        trainer = self.trainer
        self.begun = self.saved_at = time.monotonic()
        folder = trainer.run.folder
        if folder is not None:
            self._stack.enter_context(held(folder, f"run {trainer.run.id}"))
            if trainer.settings.checkpoint_every != 0:
                self.about = {"run": trainer.run.id, "fingerprint": fingerprint(trainer)}
                self.keeper = checkpoint.Keeper(
                    folder / CHECKPOINTS, about=self.about, tell=trainer.progress.note
                )
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if self.keeper is not None:
                self.keeper.close()
        except Exception:
            if error[0] is None:
                raise
        finally:
            self._stack.close()

    # -- saving ----------------------------------------------------------------------------

    def step_done(self) -> None:
        """After a step inside an epoch."""
        every = self.trainer.settings.checkpoint_every
        if self.keeper is None:
            return
        if every is None:
            due = time.monotonic() - self.saved_at > SECONDS_BETWEEN and not self.keeper.busy
        else:
            due = self.trainer.step_number % every == 0
        if due:
            self._save()

    def epoch_done(self) -> None:
        """After an epoch that is not the last."""
        every = self.trainer.settings.checkpoint_every
        if self.keeper is None:
            return
        if every is None:
            due = time.monotonic() - self.saved_at > SECONDS_BETWEEN / 4 and not self.keeper.busy
        else:
            due = self.trainer.step_number % every == 0
        if due:
            self._save()

    def last(self) -> None:
        """After the last epoch: the end is kept where anything was."""
        if self.keeper is None or not (self.wrote or self.trainer.settings.checkpoint_every):
            return
        self._save()
        self.keeper.finish()

    def _save(self) -> None:
        if self.keeper is None:
            return
        state = self.trainer.state()
        state["seconds"] = time.monotonic() - self.begun
        self.keeper.save(self.trainer.step_number, state)
        self.wrote, self.saved_at = True, time.monotonic()

    # -- going back ------------------------------------------------------------------------

    def restore(self) -> float:
        """Go on from the newest good checkpoint, where there is one; gives the seconds so far."""
        trainer = self.trainer
        if self.keeper is None or not trainer.settings.resume:
            return 0.0
        found = checkpoint.newest(self.keeper.parent)
        if found is None:
            return 0.0
        path, manifest, state, refused = found
        for why in refused:
            trainer.note(f"A newer checkpoint is damaged and was put aside: {why}")
        self._compare(manifest)
        trainer.restore(state)
        self.wrote = True
        self.begun -= state["seconds"]
        where = f"epoch {trainer.epoch + 1}, step {trainer.step_number}"
        trainer.note(f"Going on with run {trainer.run.id} from {where} ({path.name}).")
        return float(state["seconds"])

    def _compare(self, manifest: dict[str, Any]) -> None:
        before, now = manifest["fingerprint"], self.about["fingerprint"]
        odd = [name for name in now if before.get(name) != now[name]]
        if not odd:
            return
        told = ", ".join(f"{name} {before.get(name)} (now {now[name]})" for name in odd)
        if self.trainer.settings.resume != "close":
            raise ConfigError(
                f"Expected the machine and versions of the interrupted run, on which the last bits "
                f"depend: {told}. Restore them, or type resume='close' to go on nearly the same."
            )
        self.trainer.note(f"Going on although this differs: {told}. The result will differ a bit.")

    def remember(self) -> None:
        """Keep the weights, to go back to if the loss is lost."""
        live = list(tensors_of(self.trainer.model).values())
        if len(self.good) == len(live):
            torch._foreach_copy_(self.good, live)
        else:
            self.good = [tensor.clone() for tensor in live]

    @torch.no_grad()
    def roll_back(self) -> None:
        """Put the remembered weights back."""
        for live, good in zip(tensors_of(self.trainer.model).values(), self.good, strict=True):
            live.copy_(good)
