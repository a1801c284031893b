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

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai.errors import NotReadyError, ShapeError
from lepton_ai.layers.arguments import Configured
from lepton_ai.layers.constraints import Constraint, constrained
from lepton_ai.layers.layout import Shape, Shapes, as_shape, is_shapes, shape_of
from lepton_ai.layers.nonlinearity import activated
from lepton_ai.layers.regularizers import Activity, penalty_of
from lepton_ai.layers.symbol import record, symbolic
from lepton_ai.layers.weight import Weight


class Layer(Configured):
    """Base of all layers: arguments, shapes, weights and lengths.

    Args:
        input_shape: Shape of the input without the batch, channels last, so that a network which
            starts with this layer can be built at once.
        name: Name of the layer in its network.
        trainable: False keeps the weights as they are.
        dtype: Type of the weights, such as ``"float64"``; None is torch's default.
        activity_regularizer: Penalty on the output, a part of :func:`penalty` while training.

    Raises:
        ConfigError: An argument that the layer does not have.
    """

    takes_lengths: bool = False
    draws: bool = False
    uses_batch_statistics: bool = False

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.built = False
        self.input_shape_: Any = None
        self.output_shape_: Any = None
        self._expected: tuple[int, int | None, int] | None = None
        self._activity = Activity()

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
            self._expected = None if is_shapes(shape) else self._expectation(cast("Shape", shape))
        elif self.decisive(shape) != self.decisive(self.input_shape_):
            raise ShapeError(
                f"{self.title} expected inputs of shape {self.input_shape_}, for which it was "
                f"built; received {shape}. Make a new layer for the new shape: "
                f"{type(self).__name__}.from_config(layer.config())."
            )
        return output

    def _expectation(self, shape: Shape) -> tuple[int, int | None, int]:
        """The number of axes, where the channels lie if weights depend on them, and how many."""
        if not self.weighted or not shape or shape[-1] is None:
            return len(shape) + 1, None, 0
        return len(shape) + 1, (1 if len(shape) >= 3 else -1), shape[-1]

    def ready(self, x: Any) -> Any:
        """Check an input (build for it at the first call) and give it the type of the weights.

        Raises:
            ShapeError: The layer cannot take the shape of this input.
        """
        # What a built layer checks at each call was worked out once, since this runs for each
        # layer of each batch: two numbers are compared, and the type of one weight.
        if self._expected is not None and isinstance(x, Tensor):
            axes, place, channels = self._expected
            if not torch.jit.is_tracing() and (
                x.ndim != axes or (place is not None and x.size(place) != channels)
            ):
                self._turn_down(x)
        elif not self.built:
            device = x.device if isinstance(x, Tensor) else x[0].device
            self.build(shape_of(x) if isinstance(x, Tensor) else [shape_of(one) for one in x])
            self.to(device)
        for first in self._parameters.values():
            if first is None or not isinstance(x, Tensor) or x.dtype is first.dtype:
                return x
            return self._cast(x, first.dtype)
        return x

    def _turn_down(self, x: Tensor) -> None:
        """Say why a tensor is not what the layer was built for."""
        shape = shape_of(x)
        self.infer(shape)
        raise ShapeError(
            f"{self.title} expected inputs of shape {self.input_shape_}, for which it was built; "
            f"received {shape}."
        )

    def _cast(self, x: Tensor, type_: torch.dtype) -> Tensor:
        if x.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(x.device.type):
            return x  # mixed precision casts the weights itself
        return x.to(type_)

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

    @classmethod
    def sample(cls) -> tuple[Layer, Any]:
        """A small layer and an input shape for it: for tests, documentation and export."""
        raise NotImplementedError(f"{cls.__name__} shows no sample.")

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
        self._check_weights(weights)
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

    def _check_weights(self, weights: Sequence[np.ndarray]) -> None:
        self._require_built()
        expected = [array.shape for array in self.keras_weights()]
        received = [np.shape(array) for array in weights]
        if expected != received:
            raise ShapeError(
                f"{self.title} expected weights of shapes {expected}, received {received}."
            )

    def _inner(self) -> list[Layer]:
        return [child for child in self.children() if isinstance(child, Layer)]

    def _require_built(self) -> None:
        if not self.built:
            raise NotReadyError(
                f"{self.title} has no weights yet. Type layer.build(input_shape) first."
            )

    def penalty(self) -> Tensor | None:
        """The penalties on this layer's own weights and on its last output, or None."""
        terms = [penalty_of(getattr(self, w.name), w.penalty) for w in self._weights() if w.penalty]
        if self.activity_regularizer is not None:
            noted = self._activity.value
            own = next(self.parameters(), torch.zeros(()))
            terms.append(own.new_zeros(()) if noted is None else noted)
        return torch.stack(terms).sum() if terms else None

    @property
    def constraints(self) -> dict[str, Constraint]:
        """The constraint of each weight that has one, by the names of the weights."""
        given = {
            weight: getattr(self, a) for a, names in self.constrains.items() for weight in names
        }
        return {weight: rule for weight, rule in given.items() if rule is not None}

    @torch.no_grad()
    def constrain(self) -> int:
        """Bring the weights back to their constraints, in place; how many there are."""
        rules = self.constraints
        ruled = [w for w in self._weights() if w.name in rules] if rules else []
        for weight in ruled:
            held = getattr(self, weight.name)
            held.copy_(weight.inward(constrained(weight.outward(held), rules[weight.name])))
        return len(ruled)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Run the layer on tensors; on symbols, build it and give symbols."""
        if inputs and not isinstance(inputs[0], Tensor) and symbolic(inputs):
            return record(self, inputs, named)
        y = self._wrapped_call_impl(*inputs, **named)  # what a module's own __call__ is
        if self.activity_regularizer is not None and self.training and torch.is_grad_enabled():
            self._activity.note(y, self.activity_regularizer)
        return y


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

    Penalties on outputs are those of each layer's last call while training.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> layer = Dense(1, kernel_initializer="ones", kernel_regularizer={"l2": 0.5})
        >>> layer.build(4), penalty(layer).item()
        ((1,), 2.0)
    """
    found = [m.penalty() for m in network.modules() if isinstance(m, Layer)]
    terms = [term for term in found if term is not None]
    return torch.stack(terms).sum() if terms else None
