"""The demo's network and how it is trained: two convolutions, two poolings, ten classes, SGD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lepton_ai.models import Sequential

EPOCHS = 14
SETTINGS: dict[str, Any] = {"batch_size": 32, "schedule": "one_cycle"}


def network() -> Sequential:
    """Two 3x3 convolutions and two 2x2 poolings for grey pictures of 28 x 28, compiled with SGD.

    On 10,000 pictures half of the features are dropped while training, and weights decay: without
    either the last epochs only learn the training pictures by heart.
    """
    from lepton_ai import layers, models, optimizers

    model = models.Sequential(name="fashion_mnist")
    model.add(layers.Conv2D(32, (3, 3), padding="same", activation="relu", input_shape=(28, 28, 1)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), padding="same", activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-2),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
