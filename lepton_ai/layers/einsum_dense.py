"""Sums of products along any axes, written as an equation."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Activated, Layer
from lepton_ai.layers.layout import Shape, from_written, to_written
from lepton_ai.layers.weight import Weight

variants = ("EinsumDense",)

_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class EinsumDense(Activated):
    """``activation(einsum(equation, x, kernel) + bias)``.

    The equation names the axes of the input (the batch first, channels last), of the kernel and of
    the output: ``"abc,cde->abde"``. ``...`` at the start or the end of input and output stands for
    axes that are kept. ``output_shape`` gives the sizes of the output's axes without the batch (and
    without those of ``...``), None where the input has them. ``bias_axes`` names the axes of the
    output that have a bias.

    Example:
        >>> EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d").build((5, 4))
        (5, 8)
    """

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "kernel_constraint": ("kernel",),
        "bias_constraint": ("bias",),
    }
    kernel: Tensor
    bias: Tensor

    def __init__(
        self,
        equation: str,
        output_shape: int | tuple[int | None, ...],
        activation: str | None = None,
        bias_axes: str | None = None,
        kernel_initializer: str | dict = "glorot_uniform",
        bias_initializer: str | dict = "zeros",
        kernel_regularizer: str | dict | None = None,
        bias_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.equation = str(equation).replace(" ", "")
        found = _EQUATION.fullmatch(self.equation)
        if found is None:
            raise ConfigError(
                f"equation expected the axes of input, kernel and output; received {equation!r}. "
                f"Type for example equation='abc,cd->abd'."
            )
        ahead, self._given, behind, self._inner_axes, first, self._made, last = found.groups()
        if bool(ahead) != bool(first) or bool(behind) != bool(last) or (ahead and behind):
            raise ConfigError(
                f"equation expected '...' at the same end of input and output; received "
                f"{equation!r}."
            )
        self._ellipsis = "ahead" if ahead else "behind" if behind else ""
        items = (output_shape,) if isinstance(output_shape, int) else output_shape
        if not isinstance(items, list | tuple):
            raise ConfigError(
                f"output_shape expected the sizes of the output without the batch, None where the "
                f"input has them; received {output_shape!r}. Type for example output_shape=(None, "
                f"64)."
            )
        self.output_shape = tuple(items)
        self.bias_axes = bias_axes
        if bias_axes is not None and not set(bias_axes) <= set(self._made):
            raise ConfigError(
                f"bias_axes expected letters of the output {self._made!r}; received {bias_axes!r}."
            )
        self.keep(
            activation=activation, kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
        )  # fmt: skip

    def _sizes(self, shape: Shape) -> tuple[dict[str, int | None], Shape]:
        """The size of each letter, and those of the axes that ``...`` stands for."""
        whole: tuple[int | None, ...] = (None, *shape)
        count = len(self._given)
        if len(whole) < count or (len(whole) != count and not self._ellipsis):
            raise ShapeError(
                f"{self.title} expected {count - 1} axes for the equation {self.equation!r}, "
                f"received the shape {shape}."
            )
        named, kept = whole[:count], whole[count:]
        if self._ellipsis == "ahead":
            kept, named = whole[: len(whole) - count], whole[len(whole) - count :]
        known: dict[str, int | None] = dict(zip(self._given, named, strict=True))
        wanted = dict(zip(reversed(self._made), reversed(self.output_shape), strict=False))
        for letter, size in wanted.items():
            before = known.get(letter)
            if size is not None and before is not None and size != before:
                raise ShapeError(
                    f"{self.title} expected {size} along {letter!r}, as output_shape says; "
                    f"received {before} in {shape}."
                )
            known[letter] = before if size is None else size
        return known, kept

    def infer(self, shape: Shape) -> Shape:
        """The sizes of the output's axes."""
        known, kept = self._sizes(shape)
        made = tuple(known.get(letter) for letter in self._made)
        if self._ellipsis == "ahead":
            return (*kept[1:], *made)
        return (*made[1:], *kept)

    def declare(self, shape: Shape) -> list[Weight]:
        """The kernel, with the axes of the equation, and the bias."""
        known, _ = self._sizes(shape)
        size = [known.get(letter) for letter in self._inner_axes]
        if None in size:
            raise ShapeError(
                f"{self.title} expected known sizes for the kernel axes {self._inner_axes!r}, "
                f"received {shape}. Give them in output_shape."
            )
        kernel = Weight(
            "kernel", tuple(n or 0 for n in size), self.kernel_initializer,
            penalty=self.kernel_regularizer,
        )  # fmt: skip
        if not self.bias_axes:
            return [kernel]
        first = min(self._made.index(letter) for letter in self.bias_axes)
        wide = [
            (known.get(letter) or 0) if letter in self.bias_axes else 1
            for letter in self._made[first:]
        ]
        extra = [1] * (len(shape) + 1 - len(self._given)) if self._ellipsis == "behind" else []
        bias = Weight("bias", (*wide, *extra), self.bias_initializer, penalty=self.bias_regularizer)
        return [kernel, bias]

    def decisive(self, shape: Shape) -> Any:
        """The sizes of the weights."""
        return [weight.shape for weight in self.declare(shape)]

    def linear(self, x: Tensor) -> Tensor:
        """The sums before the activation."""
        y = torch.einsum(self.equation, to_written(self.ready(x)), self.kernel)
        return from_written(y + self.bias if self.bias_axes else y)

    def _expectation(self, shape: Shape) -> tuple[int, int | None, int]:
        return len(shape) + 1, None, 0

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sequences of five features to two heads of three."""
        return cls("abc,cd->abd", (None, 3), "tanh", "d"), (4, 5)
