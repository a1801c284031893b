"""An epoch of the article's network: ours, Keras on TensorFlow, Keras on PyTorch, plain PyTorch.

    python benchmarks/article_epoch.py   # 50,000 pictures of CIFAR-10's shape
    python benchmarks/article_epoch.py --rounds 5 --examples 20000

Each side runs as a process of its own, in turn, several rounds; the figure of a process is its best
epoch but the first. Printed are images per second (median over the rounds) and ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

HERE = Path(__file__)


def data(count: int):
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    pictures = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    pictures[:, :4, :4, 0] = (labels * 25)[:, None, None]
    return pictures, labels


def ours(count: int, epochs: int, transforms: bool) -> list[float]:
    import lepton_ai as lai

    pictures, labels = data(count)
    train = lai.Dataset({"image": pictures, "label": labels.astype(str)})
    if transforms:
        train = train.apply_transforms(["random_horizontal_flip", "random_rotation"])
    layers = lai.layers
    model = lai.models.Sequential([
        layers.Conv2D(32, (3, 3), activation="relu", input_shape=(32, 32, 3)),
        layers.MaxPooling2D((2, 2)), layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)), layers.Flatten(), layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])

    class Clock(lai.callbacks.Callback):
        def on_epoch_begin(self, trainer, epoch):
            self.start = time.perf_counter()

        def on_epoch_end(self, trainer, epoch, logs):
            spent.append(time.perf_counter() - self.start)

    spent: list[float] = []
    model.fit(train, epochs=epochs, batch_size=64, callbacks=[Clock()], verbose=0)
    return spent


def keras(count: int, epochs: int, transforms: bool) -> list[float]:
    import keras

    pictures, labels = data(count)
    layers = keras.layers
    first = [layers.RandomFlip("horizontal"), layers.RandomRotation(15 / 360)] if transforms else []
    model = keras.Sequential([
        layers.Input((32, 32, 3)), *first, layers.Rescaling(1 / 255),
        layers.Conv2D(32, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"), layers.MaxPooling2D((2, 2)),
        layers.Flatten(), layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            spent.append(time.perf_counter() - self.start)

    spent: list[float] = []
    model.fit(
        pictures.astype("float32"),
        labels,
        epochs=epochs,
        batch_size=64,
        callbacks=[Clock()],
        verbose=0,
    )
    return spent


def loop(count: int, epochs: int, transforms: bool) -> list[float]:
    import torch
    from torch import nn

    pictures, labels = data(count)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    y = torch.from_numpy(labels)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(2304, 64), nn.ReLU(), nn.Linear(64, 10),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    spent = []
    for _ in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(count).split(64):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = network(
                    x[rows].float().div(255).contiguous(memory_format=torch.channels_last)
                )
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits.float(), y[rows]).backward()
            optimizer.step()
        spent.append(time.perf_counter() - start)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "keras", "loop"])
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transforms", action="store_true")
    chosen = parser.parse_args()
    if chosen.side:
        spent = globals()[chosen.side](chosen.examples, chosen.epochs, chosen.transforms)
        print(json.dumps({"seconds": min(spent[1:] or spent)}))
        return
    from peers import environment, run

    tensorflow = environment("tensorflow", ["tensorflow-cpu>=2.21", "keras>=3.15,<4"])
    rest = ["--examples", str(chosen.examples), "--epochs", str(chosen.epochs)]
    rest += ["--transforms"] if chosen.transforms else []
    sides = {
        "lepton": lambda: run(HERE, ["--side", "ours", *rest]),
        "keras-tensorflow": lambda: run(HERE, ["--side", "keras", *rest], python=tensorflow,
                                        KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3"),
        "keras-torch": lambda: run(HERE, ["--side", "keras", *rest], KERAS_BACKEND="torch"),
    }  # fmt: skip
    if not chosen.transforms:
        sides["plain torch loop"] = lambda: run(HERE, ["--side", "loop", *rest])
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(chosen.rounds):
        for name, side in sides.items():
            rates[name].append(chosen.examples / side()["seconds"])
        print(
            f"round {round_ + 1}: " + ", ".join(f"{n} {r[-1]:,.0f}/s" for n, r in rates.items()),
            flush=True,
        )
    medians = {name: statistics.median(found) for name, found in rates.items()}
    for name, median in medians.items():
        print(f"{name:<18} {median:>9,.0f} images/s   lepton is {medians['lepton'] / median:.2f}x")


if __name__ == "__main__":
    main()
