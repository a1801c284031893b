"""Writes models with TensorFlow into a folder: run in an environment that has it."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

L = tf.keras.layers


def write(folder: Path) -> None:
    tf.keras.utils.set_random_seed(0)
    network = tf.keras.Sequential([
        tf.keras.Input((6, 6, 2)), L.Conv2D(3, 3, activation="relu"), L.MaxPooling2D(),
        L.Flatten(), L.Dense(3, activation="softmax"),
    ])  # fmt: skip
    network.export(str(folder / "network"), verbose=False)
    network.save(folder / "network.keras")
    network.save(folder / "network.h5")
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    (folder / "network.tflite").write_bytes(converter.convert())
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 2)).astype("float32")
    np.savez(folder / "network.npz", x=x, y=network.predict(x, verbose=0))

    left, right = tf.keras.Input((4,), name="left"), tf.keras.Input((2,), name="right")
    both = L.Concatenate()([left, right])
    two = tf.keras.Model([left, right], {"sum": L.Dense(2)(both), "other": L.Dense(1)(left)})
    two.export(str(folder / "two"), verbose=False)
    a = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    b = np.random.default_rng(2).normal(size=(3, 2)).astype("float32")
    answers = two.predict([a, b], verbose=0)
    np.savez(folder / "two.npz", left=a, right=b, sum=answers["sum"], other=answers["other"])

    class Fixed(tf.Module):
        def __init__(self):
            self.weight = tf.Variable(tf.ones((3, 2)))

        @tf.function(input_signature=[tf.TensorSpec((2, 3), tf.float32, name="x")])
        def run(self, x):
            return {"y": x @ self.weight}

    fixed = Fixed()
    tf.saved_model.save(fixed, str(folder / "fixed"), signatures=fixed.run)


write(Path(sys.argv[1]))
