"""The networks of ``training.py``: the same ones for lepton-ai, Keras and plain PyTorch loops."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

VOCABULARY, TOKENS = 5000, 100


@dataclass(frozen=True)
class Network:
    """What is measured: how many examples, in which batches, and what is in them."""

    title: str
    examples: int
    batch_size: int
    classes: int
    loss: str


NETWORKS = {
    "cnn": Network("article's CNN, 32-pixel pictures", 16_000, 64, 10, "categorical"),
    "lstm": Network("LSTM text classifier, 100 tokens", 8_000, 64, 2, "categorical"),
    "transformer": Network("Transformer encoder, 2 blocks", 3_000, 64, 2, "categorical"),
    "mlp": Network("MLP 50-128-128-1", 100_000, 256, 1, "mse"),
    "resnet18": Network("ResNet-18, 32-pixel pictures", 640, 64, 10, "categorical"),
}


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets that can be learned, the same for all sides."""
    network, rng = NETWORKS[name], np.random.default_rng(0)
    count = network.examples
    if name == "mlp":
        x = rng.normal(size=(count, 50)).astype("float32")
        return x, (x @ rng.normal(size=50)).astype("float32")
    labels = rng.integers(0, network.classes, count)
    if name in ("lstm", "transformer"):
        tokens = rng.integers(10, VOCABULARY, (count, TOKENS))
        tokens[:, ::7] = labels[:, None] + 1
        return tokens.astype("int64"), labels
    pictures = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    pictures[:, :4, :4, 0] = (labels * 25)[:, None, None]
    return pictures, labels


# -- lepton-ai -------------------------------------------------------------------------------------


def lepton(name: str, epochs: int) -> list[float]:
    """Seconds of each epoch through ``fit``."""
    import lepton_ai as lai

    spent: list[float] = []

    class Clock(lai.callbacks.Callback):
        def on_epoch_begin(self, trainer: Any, epoch: int) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, trainer: Any, epoch: int, logs: dict[str, float]) -> None:
            spent.append(time.perf_counter() - self.start)

    network = NETWORKS[name]
    x, y = data(name)
    options = {"epochs": epochs, "batch_size": network.batch_size, "verbose": 2,
               "callbacks": [Clock()]}  # fmt: skip
    if name in ("cnn", "resnet18"):
        columns = lai.Dataset({"image": x, "label": y.astype(str)})
        if name == "cnn":
            model = lai.models.Sequential(_lepton_layers(lai.layers, name))
            model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
        else:
            model = lai.Model(resnet18(), lai.tasks.ImageClassification())
            options |= {"optimizer": "adam", "transforms": (), "precision": "bfloat16"}
        model.fit(columns, **options)
        return spent
    model = lai.models.Sequential(_lepton_layers(lai.layers, name))
    loss, metrics = ("mse", ["mae"]) if name == "mlp" else (
        "sparse_categorical_crossentropy", ["accuracy"])  # fmt: skip
    model.compile("adam", loss=loss, metrics=metrics)
    model.fit(x, y, **options)
    return spent


def _lepton_layers(layers: Any, name: str) -> list[Any]:
    if name == "cnn":
        return [
            layers.Conv2D(32, 3, activation="relu", input_shape=(32, 32, 3)),
            layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(), layers.Flatten(), layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]  # fmt: skip
    if name == "mlp":
        return [
            layers.Dense(128, activation="relu", input_shape=(50,)),
            layers.Dense(128, activation="relu"), layers.Dense(1),
        ]  # fmt: skip
    if name == "lstm":
        return [
            layers.Embedding(VOCABULARY, 64, input_shape=(TOKENS,)), layers.LSTM(64),
            layers.Dense(2, activation="softmax"),
        ]  # fmt: skip
    return [
        layers.TokenAndPositionEmbedding(VOCABULARY, TOKENS, 64, input_shape=(TOKENS,)),
        layers.TransformerEncoder(128, 4), layers.TransformerEncoder(128, 4),
        layers.GlobalAveragePooling1D(), layers.Dense(2, activation="softmax"),
    ]  # fmt: skip


# -- Keras -----------------------------------------------------------------------------------------


def keras(name: str, epochs: int) -> list[float]:
    """Seconds of each epoch of the same network in Keras."""
    import keras as k

    spent: list[float] = []

    class Clock(k.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            spent.append(time.perf_counter() - self.start)

    network = NETWORKS[name]
    x, y = data(name)
    if x.dtype == np.uint8:
        x = x.astype("float32")
    model = _keras_model(k, name)
    if name == "mlp":
        model.compile("adam", loss="mse", metrics=["mae"])
    else:
        model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=network.batch_size, verbose=2, callbacks=[Clock()])
    return spent


def _keras_model(k: Any, name: str) -> Any:
    layers = k.layers
    if name == "cnn":
        return k.Sequential([
            layers.Input((32, 32, 3)), layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten(),
            layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax"),
        ])  # fmt: skip
    if name == "mlp":
        return k.Sequential([
            layers.Input((50,)), layers.Dense(128, activation="relu"),
            layers.Dense(128, activation="relu"), layers.Dense(1),
        ])  # fmt: skip
    if name == "lstm":
        return k.Sequential([
            layers.Input((TOKENS,), dtype="int64"), layers.Embedding(VOCABULARY, 64),
            layers.LSTM(64), layers.Dense(2, activation="softmax"),
        ])  # fmt: skip
    if name == "resnet18":
        return _keras_resnet(k)
    given = layers.Input((TOKENS,), dtype="int64")
    places = layers.Embedding(TOKENS, 64)(k.ops.arange(TOKENS)[None])
    x = layers.Embedding(VOCABULARY, 64)(given) + places
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 16)(x, x)
        x = layers.LayerNormalization()(x + attended)
        dense = layers.Dense(64)(layers.Dense(128, activation="relu")(x))
        x = layers.LayerNormalization()(x + dense)
    x = layers.GlobalAveragePooling1D()(x)
    return k.Model(given, layers.Dense(2, activation="softmax")(x))


def _keras_resnet(k: Any) -> Any:
    layers = k.layers

    def block(x: Any, filters: int, stride: int) -> Any:
        short = x
        y = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same",
                                                      use_bias=False)(y))  # fmt: skip
        if stride != 1 or short.shape[-1] != filters:
            short = layers.Conv2D(filters, 1, stride, use_bias=False)(short)
            short = layers.BatchNormalization()(short)
        return layers.ReLU()(y + short)

    given = layers.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(given)
    x = layers.Conv2D(64, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for filters, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
                            (512, 1)):  # fmt: skip
        x = block(x, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    return k.Model(given, layers.Dense(10, activation="softmax")(x))


# -- plain PyTorch ---------------------------------------------------------------------------------


def resnet18() -> Any:
    """ResNet-18 for pictures of 32 pixels: a 3x3 stem, no first pooling; gives 10 logits."""
    from torch import nn
    from torchvision.models import resnet18 as whole

    network = whole(weights=None, num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def torch_network(name: str) -> Any:
    """The network of a hand-written loop."""
    import torch
    from torch import nn

    if name == "cnn":
        return nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Flatten(),
            nn.Linear(2304, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    if name == "mlp":
        return nn.Sequential(nn.Linear(50, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
                             nn.Linear(128, 1))  # fmt: skip
    if name == "resnet18":
        return resnet18()

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(VOCABULARY, 64)
            self.lstm = nn.LSTM(64, 64, batch_first=True)
            self.out = nn.Linear(64, 2)

        def forward(self, x: Any) -> Any:
            return self.out(self.lstm(self.embedding(x))[0][:, -1])

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.places = nn.Embedding(VOCABULARY, 64), nn.Embedding(TOKENS, 64)
            one = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(one, 2, enable_nested_tensor=False)
            self.out = nn.Linear(64, 2)

        def forward(self, x: Any) -> Any:
            x = self.embedding(x) + self.places(torch.arange(x.shape[1]))
            return self.out(self.encoder(x).mean(1))

    return Recurrent() if name == "lstm" else Encoder()


def loop(name: str, epochs: int, *, bfloat16: bool) -> list[float]:
    """Seconds of each epoch of a hand-written loop, in float32 or with bfloat16 autocast."""
    import torch
    from torch import nn

    chosen, (x, y) = NETWORKS[name], data(name)
    network = torch_network(name).to(memory_format=torch.channels_last)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    prepare: Callable[[Any], Any] = lambda rows: rows  # noqa: E731
    if x.dtype == np.uint8:
        inputs = inputs.permute(0, 3, 1, 2)
        prepare = lambda rows: rows.float().div(255)  # noqa: E731
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    spent = []
    for _ in range(epochs):
        start, seen, right = time.perf_counter(), 0.0, 0
        for rows in torch.randperm(len(inputs)).split(chosen.batch_size):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                out = network(prepare(inputs[rows])).float()
            optimizer.zero_grad()
            if name == "mlp":
                loss = nn.functional.mse_loss(out[:, 0], targets[rows])
            else:
                loss = nn.functional.cross_entropy(out, targets[rows])
                right += int((out.detach().argmax(-1) == targets[rows]).sum())
            loss.backward()
            optimizer.step()
            seen += float(loss.detach())
        spent.append(time.perf_counter() - start)
    return spent
