"""A program that trains, is killed again and again, goes on, and tells what came out.

    python killed_training.py FOLDER REPLICAS KILLS SEED

The parent imports everything once and forks; it never works with tensors itself. Each child trains
the same small network, with everything on that makes resuming hard. What is printed is JSON: the
digest of the uninterrupted run and one entry for each kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch._dynamo  # noqa: F401 - what the optimisers need, once for all children

import lepton_ai as lai
from lepton_ai.models import Sequential
from lepton_ai.training import evaluation, trainer
from lepton_ai.workspace import commit

KINDS = ("anywhere", "in a save", "in validation", "between epochs")


def data() -> lai.Dataset:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (96, 8, 8, 1), dtype=np.uint8)
    made = lai.Dataset({"image": pictures, "label": rng.integers(0, 3, 96).astype(str)})
    return made.apply_transforms(["random_horizontal_flip", "random_rotation"])


def network() -> Sequential:
    layers = lai.layers
    model = Sequential([
        layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)), layers.Flatten(),
        layers.Dropout(0.3), layers.Dense(12, activation="relu"), layers.Dropout(0.3),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.compile(
        optimizer=lai.optimizers.SGD(0.05, 0.9), loss="categorical_crossentropy",
        metrics=["accuracy"],
    )  # fmt: skip
    return model


def fit(workspace: Path, replicas: int, *, resume: bool, **changes: object) -> str:
    """Train to the end; the digest of weights and figures."""
    model = network()
    settings = {
        "epochs": 5, "batch_size": 16, "schedule": "cosine", "average_decay": 0.9,
        "gradient_accumulation_steps": 2, "clip_norm": 1.0, "checkpoint_every": 2,
    } | changes  # fmt: skip
    run = model.fit(
        data(), validation_split=0.25, seed=5, verbose=0, workspace=workspace, replicas=replicas,
        resume=resume or None, **settings,
    )  # fmt: skip
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    digest.update(json.dumps(run.history).encode())
    digest.update((run.folder / "history.jsonl").read_bytes())
    return digest.hexdigest()


def child(work) -> tuple[int, int]:
    """Fork; the child works and writes what it found into a pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    os.close(reading)
    try:
        os.write(writing, work().encode())
    except BaseException as error:  # noqa: BLE001
        os.write(writing, f"error: {type(error).__name__}: {error}".encode())
    os._exit(0)


def finished(pid: int, reading: int) -> str:
    """What a child wrote, nothing when it was killed."""
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text


def deadly(kind: str, rng: random.Random) -> None:
    """Let this process kill itself at a certain place."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    countdown = rng.randrange(1, 12)

    def counting(original):
        def call(*arguments, **named):
            nonlocal countdown
            countdown -= 1
            if countdown <= 0:
                die()
            return original(*arguments, **named)

        return call

    if kind == "in a save":
        name = rng.choice(["write", "fsync"])
        countdown = rng.randrange(3, 60)
        setattr(commit.os, name, counting(getattr(os, name)))
    elif kind == "in validation":
        countdown = rng.randrange(1, 5)
        wrapped = counting(evaluation.evaluate_encoded)
        trainer.evaluate_encoded = wrapped
    elif kind == "between epochs":
        countdown = rng.randrange(1, 4)
        wrapped = counting(trainer.Trainer._end_epoch)
        trainer.Trainer._end_epoch = wrapped


def main() -> None:
    folder, replicas, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(int(sys.argv[4]))
    warnings.simplefilter("ignore")
    begun = time.perf_counter()
    straight = finished(*child(lambda: fit(folder / "straight", replicas, resume=False)))
    whole = time.perf_counter() - begun
    told = []
    for number in range(kills):
        place = folder / f"killed{number}"
        kind, seed = KINDS[number % len(KINDS)], rng.randrange(2**30)

        def first(kind=kind, seed=seed, place=place) -> str:
            deadly(kind, random.Random(seed))
            return fit(place, replicas, resume=False)

        pid, reading = child(first)
        if kind == "anywhere":
            time.sleep(rng.uniform(0.2, 0.95) * whole)
            os.kill(pid, signal.SIGKILL)
        killed = finished(pid, reading) == ""
        steps = sorted(p.name for p in place.glob("runs/*/checkpoints/step-*"))
        after = finished(*child(lambda place=place: fit(place, replicas, resume=True)))
        runs = len(list(place.glob("runs/*")))
        told.append({"kind": kind, "killed": killed, "checkpoints": steps, "after": after,
                     "runs": runs})  # fmt: skip
    print(json.dumps({"straight": straight, "kills": told}))


if __name__ == "__main__":
    main()
