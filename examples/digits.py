"""The article's network on handwritten digits: 4,000 to learn from, 1,000 to be judged on.

The article reports 92 %. Run it with LEPTON_DATA_HOME set, or with a network once.
"""

import sys

import lepton_ai as lai


def main(epochs: int = 12, seed: int = 0) -> float:
    train = lai.datasets.load("mnist_5k", "train")
    test = lai.datasets.load("mnist_5k", "test")
    model = lai.models.Sequential([
        lai.layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
        lai.layers.MaxPooling2D((2, 2)),
        lai.layers.Conv2D(64, (3, 3), activation="relu"),
        lai.layers.MaxPooling2D((2, 2)),
        lai.layers.Flatten(),
        lai.layers.Dense(64, activation="relu"),
        lai.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(
        optimizer=lai.optimizers.SGD(learning_rate=0.05, momentum=0.9),
        loss="categorical_crossentropy", metrics=["accuracy"],
    )  # fmt: skip
    model.fit(train, epochs=epochs, batch_size=64, schedule="one_cycle", seed=seed, verbose=2)
    loss, accuracy = model.evaluate(test)
    print(f"digits: loss {loss:.3f}, accuracy {accuracy:.3f} (the article: 0.92)")
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
