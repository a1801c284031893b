"""Sequential: layers one after the other, written as in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.field import Spec
from lepton_ai.data.fields.array import Array
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.label import Label
from lepton_ai.errors import ConfigError, NotReadyError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.lengths import call
from lepton_ai.layers.symbol import Symbol
from lepton_ai.models.binding import Whole
from lepton_ai.models.model import Model
from lepton_ai.tasks.supervised import Supervised
from lepton_ai.tasks.task import Task

variants = {"sequential": "Sequential"}


class Stack(nn.Module):
    """Layers one after the other; the last one's activation is left to the head.

    Args:
        layers: Built layers.
        linear_end: Whether the last layer gives its output before its activation.
    """

    def __init__(self, layers: Sequence[nn.Module], *, linear_end: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.linear_end = linear_end and hasattr(layers[-1], "linear")
        self.plan = _plan(layers)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):
            if (place == last and self.linear_end) or self.plan[place] == "linear":
                x = cast("Any", layer).linear(x)
            elif self.plan[place] == "activate":
                x = F.relu(layer(x), inplace=not x.is_leaf)
            else:
                x, lengths = call(layer, x, lengths)
        return x


def _plan(layers: Sequence[nn.Module]) -> list[str]:
    """Pool before ReLU: the values are the same and ReLU meets a quarter of them."""
    plan = ["whole"] * len(layers)
    for place in range(len(layers) - 1):
        first, second = type(layers[place]).__name__, type(layers[place + 1]).__name__
        relu = getattr(layers[place], "activation", None) == "relu"
        if first in ("Conv2D", "Conv3D") and second.startswith("MaxPool") and relu:
            plan[place], plan[place + 1] = "linear", "activate"
    return plan


class Sequential(Model):
    """Layers one after the other, with Keras's ``compile``, ``fit`` and ``evaluate``.

    Args:
        layers: Layers; more can be added with :meth:`add`.
        name: What to call it.

    Example:
        >>> import numpy as np
        >>> from lepton_ai import layers
        >>> model = Sequential([layers.Dense(1, input_shape=(3,))])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
        >>> run = model.fit(x, x.sum(axis=1), epochs=2, verbose=0)
        >>> model.predict(x[:2]).shape
        (2, 1)
    """

    def __init__(self, layers: Sequence[Any] = (), *, name: str = "sequential") -> None:
        super().__init__(None, None)
        self.name = name
        self.stack: list[Layer] = []
        self.compiled: dict[str, Any] | None = None
        for layer in layers:
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self.stack)

    def add(self, layer: Any) -> None:
        """Put a layer at the end."""
        if self.bound:
            raise NotReadyError(
                "Expected layers to be added before the model is fitted. Build a new Sequential "
                "from model.layers and add to that."
            )
        if isinstance(layer, Symbol):
            layer = layer.layer  # lai.layers.Input((28, 28, 1)) at the beginning
        if not isinstance(layer, nn.Module):
            hint = registry.near_miss(str(layer), registry.names("layers"))
            raise ConfigError(
                f"Expected a layer; received {layer!r}.{hint} "
                "Type: model.add(lai.layers.Dense(units=64, activation='relu'))"
            )
        self.stack.append(layer)  # type: ignore[arg-type]

    def pop(self) -> None:
        """Take the last layer away."""
        self.stack.pop()

    def compile(  # type: ignore[override]
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = (), **settings: Any
    ) -> None:
        """Choose optimiser, loss and metrics.

        Args:
            optimizer: Name or one of ``lai.optimizers``.
            loss: Name or one of ``lai.losses``.
            metrics: Names or objects of ``lai.metrics``.
            settings: Defaults of ``fit``'s further settings (``precision``, ``schedule``).
        """
        if loss is None:
            raise ConfigError(
                "Expected a loss. Type: model.compile(optimizer='adam', "
                "loss='categorical_crossentropy'), or another of "
                f"{', '.join(registry.names('losses'))}."
            )
        from lepton_ai import optimizers

        chosen = [metrics] if isinstance(metrics, str) else list(metrics or ())
        self.compiled = {"optimizer": optimizers.get(optimizer), **settings}
        task = Supervised(loss, chosen, activation=self._last_activation())
        task.plain = None  # known once data is seen
        if self.bound:
            before: Any = self.task
            task.inputs, task.outputs, task.plain = before.inputs, before.outputs, before.plain
            self.head = task.head(0, self.specs)
        self.task = task

    def _last_activation(self) -> str:
        last = self.stack[-1] if self.stack else None
        if last is None or not hasattr(last, "linear"):
            return "linear"
        return str(getattr(last, "activation", "linear") or "linear")

    # -- binding ---------------------------------------------------------------------------

    def _recipe(self, data: Dataset) -> dict[str, Any]:
        return dict(self.compiled or {"epochs": 1})

    def fit(self, data: Any, targets: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Train; see :meth:`Model.fit`. Plain arrays stay arrays, as in Keras."""
        task = self.task
        if isinstance(task, Supervised) and task.plain is None:
            task.plain = targets is not None
            if task.plain and self.stack and self.stack[0].input_shape is not None:
                task.inputs = {"x": Array(_known(self.stack[0].input_shape))}
        return super().fit(data, targets, **options)

    def usual_backbone(self, data: Dataset | None = None) -> str:
        return "sequential"

    def _learn(self, data: Dataset) -> None:
        wishes: dict[str, dict[str, Any]] = {}
        first = self.stack[0].input_shape if self.stack else None
        for name, field in self.task.inputs.items():
            if isinstance(field, Image) and first is not None and len(first) == 3:
                # Pictures go in as Keras programs feed them: 0 to 1, nothing else.
                channels = int(first[2] or 3)
                wishes[name] = {
                    "size": first[:2],
                    "channels": channels,
                    "mean": [0.0] * channels,
                    "deviation": [1.0] * channels,
                }
        self.specs = {
            name: field.learn(data[name], wishes.get(name, {}))
            for name, field in {**self.task.inputs, **self.task.outputs}.items()
        }

    def build(self) -> None:
        """Build the layers from the shape of the inputs."""
        if not self.stack:
            raise ConfigError("Expected at least one layer. Type: model.add(lai.layers.Dense(10)).")
        if len(self.task.inputs) != 1:
            raise ShapeError(
                f"Sequential reads one input; the data has {', '.join(self.task.inputs)}. Select "
                "one with data.select([...])."
            )
        shape = self._input_shape()
        for place, layer in enumerate(self.stack):
            if not isinstance(layer, Layer):
                continue
            try:
                shape = layer.build(shape)
            except ShapeError as error:
                raise ShapeError(f"Layer {place + 1}, {type(layer).__name__}: {error}") from error
        whole = Whole(Stack(self.stack, linear_end=True), list(self.task.inputs))
        whole.prefers_bfloat16 = any(
            type(layer).__name__.startswith(("Conv", "LSTM", "GRU")) for layer in self.stack
        )
        self.network = whole
        if isinstance(self.task, Supervised):
            self.task.activation = self._last_activation()
        self.head = self.task.head(0, self.specs)
        self.settle()

    def _input_shape(self) -> tuple[int, ...]:
        name, field = next(iter(self.task.inputs.items()))
        spec: Spec = self.specs[name]
        if isinstance(field, Image):
            shape = (*spec["size"], spec["channels"])
        else:
            shape = tuple(spec.get("shape", ()))
        given = self.stack[0].input_shape
        if (
            given is not None
            and any(g is not None and g != s for g, s in zip(given, shape, strict=False))
            or (given is not None and len(given) != len(shape))
        ):
            raise ShapeError(
                f"Expected inputs of the shape {tuple(given)} (input_shape of the first layer); "
                f"received {shape}. Type: input_shape={shape}, or reshape the data."
            )
        return shape

    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = super().prepared(columns)
        for name, field in self.task.inputs.items():
            if isinstance(field, Array):
                value = inputs[name]
                if value.dtype.is_floating_point or not self._reads_integers():
                    value = value.float()
                inputs[name] = _channels_first(value)
        return inputs

    def _reads_integers(self) -> bool:
        return type(self.stack[0]).__name__ == "Embedding"

    # -- predicting ------------------------------------------------------------------------

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """As :meth:`Model.predict`; fitted on plain arrays it returns a plain array."""
        plain = isinstance(self.task, Supervised) and self.task.plain
        columns = super().predict(examples, batch_size=batch_size, **options)
        if plain and not isinstance(examples, (dict, Dataset)):
            target = self.task.target
            if isinstance(self.task.outputs[target], Label):
                return columns[f"{target}.scores"]
            return columns[target]
        return columns

    def summary(self) -> str:
        """A table of the layers: output shapes and parameters."""
        rows = ["Layer                      Parameters", "-" * 38]
        for layer in self.stack:
            count = sum(p.numel() for p in layer.parameters())
            rows.append(f"{type(layer).__name__:<26}{count:>12,}")
        rows.append("-" * 38)
        rows.append(f"{'Total':<26}{sum(p.numel() for p in self.parameters()):>12,}")
        return "\n".join(rows)

    # -- saving ----------------------------------------------------------------------------

    def to_config(self) -> dict[str, Any]:
        layers = [
            {"layer": registry.name_of("layers", type(layer)), **layer.config()}
            for layer in self.stack
        ]
        return {"kind": "sequential", "name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any], task: Task) -> Sequential:
        layers = []
        for entry in config["layers"]:
            arguments = dict(entry)
            kind = registry.lookup("layers", arguments.pop("layer"))
            layers.append(kind.from_config(arguments))
        model = cls(layers, name=config["name"])
        model.task = task
        return model


def _known(shape: Any) -> list[int] | None:
    """A shape without open sizes, else nothing."""
    return None if any(size is None for size in shape) else [int(size) for size in shape]


def _channels_first(value: Tensor) -> Tensor:
    """Maps as the layers read them: channels before height and width, memory channels last."""
    if value.ndim == 4:
        return value.permute(0, 3, 1, 2)
    if value.ndim == 5:
        return value.permute(0, 4, 1, 2, 3)
    return value
