"""Places of steps as angles: rotary positions for attention, and sines to be added."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape

variants = ("RotaryEmbedding", "SinePositionEncoding")


def as_wavelength(value: object, name: str) -> float:
    """A longest wavelength in steps, above 1.

    Raises:
        ConfigError: Anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 1:
        raise ConfigError(
            f"{name} expected a number of steps above 1; received {value!r}. Type {name}=10000."
        )
    return float(value)


def rotated(x: Tensor, start: int | Tensor, wavelength: float, scaling: float = 1.0) -> Tensor:
    """Pairs of features turned by angles that grow with the place of their step.

    Feature ``i`` of the first half and feature ``i`` of the second are a pair, turned by
    ``place / scaling * wavelength ** (-2 * i / features)``.

    Args:
        x: Values ``[..., steps, features]``, an even number of features.
        start: The place of the first step.
        wavelength: About how many steps the slowest pair takes for a turn, over 2 pi.
        scaling: Places are divided by it, to stretch what was learned over longer sequences.
    """
    half = x.shape[-1] // 2
    type_ = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(half, device=x.device, dtype=type_) / half
    places = torch.arange(x.shape[-2], device=x.device, dtype=type_) + start
    angles = (places / scaling).unsqueeze(-1) * wavelength**-exponents
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class RotaryEmbedding(Layer):
    """Turns pairs of features by the place of their step (Su et al. 2021), as in KerasHub.

    Takes and gives ``[batch, steps, features]`` or ``[batch, heads, steps, features]`` (written
    ``(steps, features)``, or ``(steps, features, heads)`` channels last), an even number of
    features. The product of two turned vectors depends on the distance of their steps alone.

    Example:
        >>> x = torch.ones(1, 3, 4)
        >>> torch.equal(RotaryEmbedding()(x)[:, 0], x[:, 0])
        True
    """

    def __init__(
        self, max_wavelength: float = 10000, scaling_factor: float = 1.0, **common: Any
    ) -> None:
        super().__init__(**common)
        self.max_wavelength = as_wavelength(max_wavelength, "max_wavelength")
        self.scaling_factor = float(scaling_factor)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        features = shape[1] if len(shape) >= 2 else None
        if len(shape) not in (2, 3) or features is None or features % 2:
            raise ShapeError(
                f"{self.title} expected (steps, features) with an even number of features, "
                f"received {shape}."
            )
        return shape

    def forward(self, x: Tensor, start_index: int = 0) -> Tensor:
        """The turned vectors; ``start_index`` is the place of the first step."""
        return rotated(self.ready(x), start_index, self.max_wavelength, self.scaling_factor)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Short sequences of four features."""
        return cls(), (5, 4)


class SinePositionEncoding(Layer):
    """Sines and cosines of the places of the steps (Vaswani et al. 2017), as in KerasHub.

    Gives ``sin(place * rate)`` in even features and ``cos(place * rate)`` in odd ones, with
    ``rate = max_wavelength ** (-(i // 2 * 2) / features)``, in the shape of the input
    ``[batch, steps, features]``; ``add_to_input=True`` adds them to it.

    Example:
        >>> SinePositionEncoding()(torch.zeros(1, 2, 2))[0]
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """

    def __init__(
        self, max_wavelength: float = 10000, *, add_to_input: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.max_wavelength = as_wavelength(max_wavelength, "max_wavelength")
        self.add_to_input = bool(add_to_input)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        if len(shape) != 2 or shape[-1] is None:
            raise ShapeError(
                f"{self.title} expected sequences (length, features), received {shape}. "
                f"Put an Embedding before it."
            )
        return shape

    def forward(self, x: Tensor, start_index: int = 0) -> Tensor:
        """The encoding of the places from ``start_index`` on, alone or added to the input."""
        x = self.ready(x)
        features = torch.arange(x.shape[-1], device=x.device)
        type_ = torch.promote_types(x.dtype, torch.float32)
        rates = self.max_wavelength ** -((features // 2 * 2).to(type_) / x.shape[-1])
        places = torch.arange(x.shape[1], device=x.device, dtype=type_) + start_index
        angles = places.unsqueeze(-1) * rates
        found = torch.where(features % 2 == 0, angles.sin(), angles.cos()).to(x.dtype)
        return x + found if self.add_to_input else found.expand_as(x)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Added to short sequences."""
        return cls(add_to_input=True), (5, 4)
