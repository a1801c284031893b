import lepton_ai as lai
import numpy as np
import pandas as pd
import matplotlib.pyplot as plt

train_data = lai.datasets.load_image_dataset("train", "CIFAR10")
test_data = lai.datasets.load_image_dataset("test", "CIFAR10")
train_data = train_data.apply_transforms(transforms=["random_horizontal_flip", "random_rotation"])
test_data = test_data.apply_transforms(transforms=["random_horizontal_flip", "random_rotation"])
model = lai.models.Sequential()
model.add(
    lai.layers.Conv2D(filters=32, kernel_size=(3, 3), activation="relu", input_shape=(32, 32, 3))
)
model.add(lai.layers.MaxPooling2D(pool_size=(2, 2)))
model.add(lai.layers.Conv2D(filters=64, kernel_size=(3, 3), activation="relu"))
model.add(lai.layers.MaxPooling2D(pool_size=(2, 2)))
model.add(lai.layers.Flatten())
model.add(lai.layers.Dense(units=64, activation="relu"))
model.add(lai.layers.Dense(units=10, activation="softmax"))
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit(train_data, epochs=10, batch_size=64, validation_data=test_data)
test_loss, test_accuracy = model.evaluate(test_data)
print(f"Test accuracy: {test_accuracy:.2f}")
plt.figure(figsize=(12, 4))
plt.subplot(1, 2, 1)
plt.plot(history.history["loss"], label="Training loss")
plt.plot(history.history["val_loss"], label="Validation loss")
plt.legend()
plt.subplot(1, 2, 2)
plt.plot(history.history["accuracy"], label="Training accuracy")
plt.plot(history.history["val_accuracy"], label="Validation accuracy")
plt.legend()
plt.show()
