"""``predict`` on 10,000 Fashion-MNIST pictures against the bare network in batches, in turn."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

import lepton_ai as lai


def main(rounds: int = 9) -> float:
    rng = np.random.default_rng(0)
    try:
        pictures = lai.datasets.load("fashion_mnist", "full_test")["image"]
    except lai.LeptonError:
        pictures = rng.integers(0, 256, (10_000, 28, 28), dtype=np.uint8)
    layers = lai.layers
    model = lai.models.Sequential([
        layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)), layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
        layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=["accuracy"])
    labels = rng.integers(0, 10, 512).astype(str)
    data = lai.Dataset({"image": pictures, "label": np.resize(labels, len(pictures))})
    model.fit(data[:512], epochs=1, verbose=0)
    examples = data.select(["image"])
    encoded = torch.from_numpy(np.array(pictures)).view(len(pictures), 1, 28, 28)
    network = model.network.module

    def bare() -> None:
        with torch.inference_mode():
            for start in range(0, len(encoded), 256):
                logits = network(encoded[start : start + 256].float() * (1 / 255))
                logits.softmax(-1).argmax(-1)

    def public() -> None:
        model.predict(examples, batch_size=256)

    public(), bare()
    ratios, times = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        bare()
        middle = time.perf_counter()
        public()
        end = time.perf_counter()
        ratios.append((end - middle) / (middle - start))
        times.append((middle - start, end - middle))
    bare_time, public_time = (statistics.median(t) for t in zip(*times, strict=True))
    print(f"bare network {bare_time:.3f} s, predict {public_time:.3f} s")
    print(
        f"predict takes {statistics.median(ratios):.3f}x the time of the bare network (aim: 1.1x)"
    )
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
