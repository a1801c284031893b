"""The contract of layers.

A layer is a ``torch.nn.Module`` that

- stores its constructor's arguments under their names (``config`` gives them back as JSON, and
  ``from_config`` makes the same layer again);
- infers the shape of its output from the shape of its input without running data (``infer``);
- declares its weights for an input shape (``declare``), made by ``build`` or by the first call;
- computes in ``forward``, which starts with ``x = self.ready(x)``.

A layer that has several inputs takes a list of shapes and a list of tensors.

Sequences of different lengths are padded on the right. A layer with ``takes_lengths = True`` has
the keyword ``lengths``, whole numbers ``[batch]``; values beyond a sequence's length mean nothing.
:func:`lepton_ai.layers.lengths.call` runs any module and hands the lengths on.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai.errors import ConfigError, NotReadyError, ShapeError
from lepton_ai.layers.layout import Shape, Shapes, as_shape, is_shapes, shape_of
from lepton_ai.layers.nonlinearity import activated
from lepton_ai.layers.regularizers import penalty_of
from lepton_ai.layers.symbol import record, symbolic
from lepton_ai.layers.weight import Weight
from lepton_ai.registry import lookup, name_of, near_miss

_COMMON = ("input_shape", "name", "trainable", "dtype")

# Arguments of Keras that change nothing here (hints), or that are accepted only when unused.
_HINTS = ("unroll", "use_cudnn", "flash_attention", "synchronized", "batch_size")
_UNUSED = (
    "activity_regularizer", "kernel_constraint", "bias_constraint", "recurrent_constraint",
    "embeddings_constraint", "beta_constraint", "gamma_constraint", "alpha_constraint",
    "depthwise_constraint", "pointwise_constraint", "lora_rank", "lora_alpha",
    "quantization_config", "attention_axes", "sliding_window", "use_gate", "stateful", "renorm",
    "sparse", "ragged", "optional", "autocast",
)  # fmt: skip


class Layer(nn.Module):
    """Base of all layers: arguments, shapes, weights and lengths.

    Args:
        input_shape: Shape of the input without the batch, channels last, so that a network which
            starts with this layer can be built at once.
        name: Name of the layer in its network.
        trainable: False keeps the weights as they are.
        dtype: Type of the weights, such as ``"float64"``; None is torch's default.

    Raises:
        ConfigError: An argument that the layer does not have.
    """

    takes_lengths: ClassVar[bool] = False
    draws: bool = False
    uses_batch_statistics: bool = False

    def __init__(
        self,
        *,
        input_shape: Shape | int | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | torch.dtype | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        self._refuse(unknown)
        self.input_shape = None if input_shape is None else as_shape(input_shape)
        self.name = name
        self.trainable = bool(trainable)
        self.dtype = _type_name(dtype)
        self.built = False
        self.input_shape_: Any = None
        self.output_shape_: Any = None

    # Shapes and weights

    def infer(self, shape: Any) -> Any:
        """The shape of the output for the shape of the input, both without the batch.

        Raises:
            ShapeError: The layer cannot take this shape.
        """
        return shape

    def declare(self, shape: Any) -> list[Weight]:
        """The weights for an input shape, in Keras's order."""
        return []

    def decisive(self, shape: Any) -> Any:
        """The part of the input shape on which the weights depend: the channels."""
        return shape[-1:] if self.weighted else ()

    def create(self, shape: Any, generator: torch.Generator | None) -> None:
        """Make the weights; a layer that holds layers builds them here."""
        declared = self.declare(shape)
        self.weighted = bool(declared)
        type_ = self.weight_type()
        for weight in declared:
            value = weight.first_value(generator, type_)
            if weight.learned:
                learned = self.trainable and value.is_floating_point()
                setattr(self, weight.name, nn.Parameter(value, requires_grad=learned))
            else:
                self.register_buffer(weight.name, value)

    weighted = False

    def weight_type(self) -> torch.dtype:
        """The type of the weights: ``dtype``, else torch's default."""
        return torch.get_default_dtype() if self.dtype is None else getattr(torch, self.dtype)

    def _weights(self) -> list[Weight]:
        # Declared again and not kept, since functions in attributes could not be sent to a process.
        return self.declare(self.input_shape_) if self.weighted else []

    def build(self, input_shape: Any, generator: torch.Generator | None = None) -> Any:
        """Make the weights for an input shape, once, and give the shape of the output.

        Args:
            input_shape: Shape without the batch, channels last; a list of them for a layer with
                several inputs.
            generator: Where initial weights are drawn from; None is torch's global one.

        Raises:
            ShapeError: The layer cannot take this shape, or was built for another.
        """
        shape: Shape | Shapes
        if is_shapes(input_shape):
            shape = tuple(as_shape(one) for one in input_shape)
        else:
            shape = as_shape(input_shape, f"The input shape of {self.title}")
        output = self.infer(shape)
        if not self.built:
            self.create(shape, generator)
            self.input_shape_, self.output_shape_, self.built = shape, output, True
        elif self.decisive(shape) != self.decisive(self.input_shape_):
            raise ShapeError(
                f"{self.title} expected inputs of shape {self.input_shape_}, for which it was "
                f"built; received {shape}. Make a new layer for the new shape: "
                f"{type(self).__name__}.from_config(layer.config())."
            )
        return output

    def ready(self, x: Any) -> Any:
        """Check an input (build for it at the first call) and give it the type of the weights.

        Raises:
            ShapeError: The layer cannot take the shape of this input.
        """
        if not self.built:
            device = x.device if isinstance(x, Tensor) else x[0].device
            self.build(shape_of(x) if isinstance(x, Tensor) else [shape_of(one) for one in x])
            self.to(device)
        elif not torch.jit.is_tracing() and isinstance(x, Tensor):
            self._check(x)
        return self._cast(x)

    def _check(self, x: Tensor) -> None:
        """Refuse a tensor whose number of axes or of channels is not what was built for."""
        built = self.input_shape_
        if x.ndim != len(built) + 1 or (
            self.weighted and x.shape[1 if x.ndim >= 4 else -1] != built[-1]
        ):
            shape = shape_of(x)
            self.infer(shape)
            raise ShapeError(
                f"{self.title} expected inputs of shape {built}, for which it was built; received "
                f"{shape}."
            )

    def _cast(self, x: Any) -> Any:
        first = next(iter(self._parameters.values()), None)
        if first is None or not isinstance(x, Tensor) or x.dtype == first.dtype:
            return x
        if x.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(x.device.type):
            return x  # mixed precision casts the weights itself
        return x.to(first.dtype)

    @property
    def title(self) -> str:
        """How messages speak of the layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    # Sequences of different lengths

    def find_lengths(self, x: Tensor) -> Tensor | None:
        """The lengths that this layer can tell from its input (Embedding with ``mask_zero``)."""
        return None

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """The lengths of the output's sequences, or None when it holds no sequences."""
        before, after = self.input_shape_, self.output_shape_
        if lengths is None or not before or not after or is_shapes(after):
            return None
        if is_shapes(before):
            before = before[0]
        return lengths if len(after) >= 2 and after[0] == before[0] else None

    # Arguments

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values.

        Example:
            >>> from lepton_ai.layers.dense import Dense
            >>> Dense.from_config(Dense(3, "relu").config()).units
            3
        """
        return {name: _as_json(getattr(self, name)) for name in (*self._arguments(), *_COMMON)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer with these arguments, not yet built."""
        return cls(**{name: _from_json(value) for name, value in config.items()})

    @classmethod
    def sample(cls) -> tuple[Layer, Any]:
        """A small layer and an input shape for it: for tests, documentation and export."""
        raise NotImplementedError(f"{cls.__name__} shows no sample.")

    @classmethod
    def _arguments(cls) -> list[str]:
        found = inspect.signature(cls.__init__).parameters.values()
        return [p.name for p in found if p.name != "self" and p.kind is not p.VAR_KEYWORD]

    def _refuse(self, unknown: dict[str, Any]) -> None:
        for name, value in unknown.items():
            if name in _HINTS or (name in _UNUSED and value in (None, False)):
                continue
            kind, known = type(self).__name__, [*self._arguments(), *_COMMON]
            if name in _UNUSED:
                raise ConfigError(
                    f"{kind} does not support {name}={value!r}. Leave {name} out; {kind} takes "
                    f"{', '.join(known)}."
                )
            raise ConfigError(
                f"{kind} has no argument {name!r}.{near_miss(name, known)} "
                f"It takes {', '.join(known)}."
            )

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        parts = []
        for p in inspect.signature(type(self).__init__).parameters.values():
            value = getattr(self, p.name, p.default)
            same = value == (p.default,) * len(value) if isinstance(value, tuple) else False
            if p.name in ("self", "data_format") or isinstance(value, nn.Module):
                continue
            if p.kind is not p.VAR_KEYWORD and not same and value not in (p.default, "linear"):
                parts.append(f"{p.name}={value!r}")
        return ", ".join(parts)

    # Weights in Keras's layout

    def keras_weights(self) -> list[np.ndarray]:
        """The weights in Keras's order and layout: what ``keras_layer.get_weights()`` gives.

        Raises:
            NotReadyError: The layer is not built.
        """
        self._require_built()
        own = [w.outward(getattr(self, w.name).detach()).cpu().numpy() for w in self._weights()]
        return own + [a for child in self._inner() for a in child.keras_weights()]

    def load_keras_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Take weights in Keras's order and layout, as ``keras_layer.get_weights()`` gives them.

        Raises:
            NotReadyError: The layer is not built.
            ShapeError: Not the right number of arrays, or one of the wrong shape.
        """
        self._require_built()
        expected = [array.shape for array in self.keras_weights()]
        received = [np.shape(array) for array in weights]
        if expected != received:
            raise ShapeError(
                f"{self.title} expected weights of shapes {expected}, received {received}."
            )
        left = list(weights)
        with torch.no_grad():
            for weight in self._weights():
                held = getattr(self, weight.name)
                given = torch.as_tensor(np.array(left.pop(0)), dtype=held.dtype)
                held.copy_(weight.inward(given))
        for child in self._inner():
            count = len(child.keras_weights())
            child.load_keras_weights(left[:count])
            left = left[count:]

    def _inner(self) -> list[Layer]:
        return [child for child in self.children() if isinstance(child, Layer)]

    def _require_built(self) -> None:
        if not self.built:
            raise NotReadyError(
                f"{self.title} has no weights yet. Type layer.build(input_shape) first."
            )

    def penalty(self) -> Tensor | None:
        """The regularisation penalty on this layer's own weights, or None."""
        terms = [penalty_of(getattr(self, w.name), w.penalty) for w in self._weights() if w.penalty]
        return torch.stack(terms).sum() if terms else None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Run the layer on tensors; on symbols, build it and give symbols."""
        if symbolic(inputs):
            return record(self, inputs, named)
        return super().__call__(*inputs, **named)


class Activated(Layer):
    """A layer that ends in an activation with a name, whose input ``linear`` gives.

    A cross-entropy is computed from ``linear(x)``, stably; a pooling may come between ``linear``
    and ``activate``, when both orders give the same values.
    """

    activation: str = "linear"

    def linear(self, x: Tensor) -> Tensor:
        """The output before the activation."""
        raise NotImplementedError

    def activate(self, x: Tensor) -> Tensor:
        """The activation alone."""
        return activated(self.activation, x)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of :meth:`linear`."""
        return activated(self.activation, self.linear(x), fresh=True)


def penalty(network: nn.Module) -> Tensor | None:
    """The sum of the regularisation penalties of all layers inside, to add to the loss, or None.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> layer = Dense(1, kernel_initializer="ones", kernel_regularizer={"l2": 0.5})
        >>> layer.build(4), penalty(layer).item()
        ((1,), 2.0)
    """
    found = [m.penalty() for m in network.modules() if isinstance(m, Layer)]
    terms = [term for term in found if term is not None]
    return torch.stack(terms).sum() if terms else None


def _type_name(dtype: str | torch.dtype | None) -> str | None:
    if dtype is None:
        return None
    word = str(dtype).removeprefix("torch.")
    if not isinstance(getattr(torch, word, None), torch.dtype):
        known = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8")
        raise ConfigError(
            f"dtype expected a type such as 'float32'; received {dtype!r}.{near_miss(word, known)}"
        )
    return word


def _as_json(value: Any) -> Any:
    if isinstance(value, Layer):
        return {"layer": name_of("layers", type(value)), "config": value.config()}
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"layer", "config"}:
        return lookup("layers", value["layer"]).from_config(value["config"])
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    return value
