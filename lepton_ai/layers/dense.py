"""Fully connected layers."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ShapeError
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import Shape, sizes
from lepton_ai.layers.nonlinearity import activated, as_activation
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = ("Dense",)


def transposed(tensor: Tensor) -> Tensor:
    """A matrix with its axes swapped: Keras keeps [inputs, outputs], torch [outputs, inputs]."""
    return tensor.transpose(-1, -2).contiguous()


class Dense(Activated):
    """Every output is a weighted sum of all inputs: ``activation(x @ kernel + bias)``.

    Takes vectors ``[batch, features]``, and sequences ``[batch, length, features]`` step by step.

    Raises:
        ShapeError: The input is a map; the message says what to put before the layer.

    Example:
        >>> import torch
        >>> Dense(10, activation="softmax")(torch.zeros(2, 64)).shape
        torch.Size([2, 10])
    """

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": ("kernel",),
        "bias_constraint": ("bias",),
    }
    kernel: Tensor
    bias: Tensor

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units = sizes(units, 1, "units")[0]
        self.activation = as_activation(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = as_initializer(kernel_initializer, "kernel_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self.kernel_regularizer = as_penalty(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = as_penalty(bias_regularizer, "bias_regularizer")

    def infer(self, shape: Shape) -> Shape:
        """The features replaced by ``units``."""
        if len(shape) not in (1, 2):
            kind = "maps" if len(shape) == 3 else f"{len(shape)} axes" if shape else "single values"
            hint = (
                f"Put Flatten() before it, or GlobalAveragePooling{len(shape) - 1}D(); "
                f"for a sum at every place type Conv{len(shape) - 1}D({self.units}, 1)."
                if len(shape) in (3, 4)
                else "Put Flatten() before it."
            )
            raise ShapeError(
                f"{self.title} expected vectors (features,) or sequences (length, features), "
                f"received {kind} of shape {shape}. {hint}"
            )
        if shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected a known number of features, received {shape}. "
                f"Give its last number, for example input_shape=(784,)."
            )
        return (*shape[:-1], self.units)

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel [features, units] and the bias."""
        found = [
            Weight(
                "kernel", (shape[-1] or 0, self.units), self.kernel_initializer, transposed,
                transposed, self.kernel_regularizer,
            )
        ]  # fmt: skip
        if self.use_bias:
            found.append(
                Weight("bias", (self.units,), self.bias_initializer, penalty=self.bias_regularizer)
            )
        return found

    def linear(self, x: Tensor) -> Tensor:
        """The weighted sums before the activation."""
        x = self.ready(x)
        return F.linear(x, self.kernel, self.bias if self.use_bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of :meth:`linear`; the steps of sequences as one long list of vectors."""
        if self.activation != "relu" or x.ndim != 3:
            return activated(self.activation, self.linear(x), fresh=True)
        x = self.ready(x)
        flat = F.linear(x.flatten(0, 1), self.kernel, self.bias if self.use_bias else None)
        return flat.relu_().unflatten(0, x.shape[:2])

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Five features to three units."""
        return cls(3, activation="tanh"), (5,)
