"""Numbers made ready: centred and scaled, or put into bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, NotReadyError, ShapeError
from lepton_ai.layers.adapting import MODES, Preparing, batches, encoded, encoded_shape
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, choice, from_written, sizes, to_written
from lepton_ai.layers.weight import Weight

variants = ("Normalization", "Discretization")

_EPSILON = 1e-7  # Keras's


class Normalization(Preparing):
    """``(x - mean) / sqrt(variance)`` with moments learned from data by :meth:`adapt`.

    ``axis`` names the axes that have moments of their own (written channels last, 0 is the batch);
    None takes one mean and one variance for all. With ``mean`` and ``variance`` given nothing is
    learned. ``invert`` goes the way back. The moments are saved with the weights.

    Raises:
        NotReadyError: Called before :meth:`adapt`.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt([[1.0], [3.0]])
        >>> layer(torch.tensor([[1.0], [2.0]]))
        tensor([[-1.],
                [ 0.]])
    """

    differentiable = True
    mean_: Tensor
    variance_: Tensor
    count_: Tensor

    def __init__(
        self,
        axis: int | tuple[int, ...] | list[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ConfigError(
                f"Normalization expected mean and variance, or neither; received mean={mean!r} and "
                f"variance={variance!r}."
            )
        if mean is not None and np.shape(mean) != np.shape(variance):
            raise ConfigError(
                f"mean and variance expected the same shape; received {np.shape(mean)} and "
                f"{np.shape(variance)}."
            )
        self.mean = None if mean is None else np.asarray(mean, dtype="float64").tolist()
        self.variance = None if variance is None else np.asarray(variance, dtype="float64").tolist()
        self.invert = bool(invert)

    def kept(self, rank: int) -> list[int]:
        """The axes with moments of their own, as written; ``rank`` counts the batch."""
        if self.axis is None:
            return []
        chosen = (self.axis,) if isinstance(self.axis, int) else self.axis
        if any(not -rank <= axis < rank for axis in chosen):
            raise ShapeError(
                f"{self.title} expected axes of an input with {rank} of them (0 is the batch), "
                f"received axis={self.axis}."
            )
        return sorted(axis % rank for axis in chosen)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        for axis in self.kept(len(shape) + 1):
            if axis == 0 or shape[axis - 1] is None:
                raise ShapeError(
                    f"{self.title} expected a known size along axis {axis}, received {shape}."
                )
        return shape

    def _size(self, shape: Shape) -> tuple[int, ...]:
        return tuple(shape[axis - 1] or 0 for axis in self.kept(len(shape) + 1))

    def declare(self, shape: Shape) -> list[Weight]:
        """The moments and how many values they are of, unless they were given."""
        if self.mean is not None:
            return []
        size = self._size(shape)
        return [
            Weight("mean_", size, "zeros", learned=False),
            Weight("variance_", size, "ones", learned=False),
            Weight("count_", (), "zeros", learned=False),
        ]

    def decisive(self, shape: Shape) -> Any:
        """The sizes of the moments."""
        return self._size(shape)

    def create(self, shape: Shape, generator: torch.Generator | None) -> None:
        """The moments, learned later or given."""
        super().create(shape, generator)
        if self.mean is not None:
            size, type_ = self._size(shape), self.weight_type()
            pairs: list[tuple[str, Any]] = [("mean_", self.mean), ("variance_", self.variance)]
            for name, given in pairs:
                try:
                    value = torch.tensor(given, dtype=type_).expand(size).clone()
                except RuntimeError:
                    raise ShapeError(
                        f"{self.title} expected {name[:-1]} of the shape {size} for inputs "
                        f"{shape}, received {np.shape(given)}."
                    ) from None
                self.register_buffer(name, value, persistent=False)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the moments, anew; ``data`` is an array, or an iterable of batches.

        ``steps`` ends an iterable after so many batches.

        Raises:
            ConfigError: The moments were given.
            EmptyDataError: No values.
        """
        if self.mean is not None:
            raise ConfigError(
                f"{self.title} expected no data, since mean and variance were given. Leave them "
                f"out to learn them."
            )
        total: tuple[int, Any, Any] = (0, 0.0, 0.0)
        for batch in batches(data, steps):
            if not self.built:
                self.build(tuple(batch.shape[1:]))
            kept = self.kept(batch.ndim)
            others = tuple(axis for axis in range(batch.ndim) if axis not in kept)
            values = batch.astype("float64")
            count = math.prod(values.shape[axis] for axis in others)
            total = _joined(total, (count, values.mean(others), values.var(others)))
        with torch.no_grad():
            for held, learned in zip((self.count_, self.mean_, self.variance_), total, strict=True):
                held.copy_(torch.as_tensor(learned))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input, as decimal numbers."""
        x = to_written(self.of_numbers(x))
        if self.dtype is not None or not x.is_floating_point():
            x = x.to(self.weight_type())
        adapted = self.mean is not None or torch.compiler.is_compiling() or bool(self.count_ > 0)
        if not adapted:
            raise NotReadyError(
                f"{self.title} has learned nothing yet. Type layer.adapt(data) first."
            )
        kept = self.kept(x.ndim)
        wide = [x.shape[axis] if axis in kept else 1 for axis in range(x.ndim)]
        mean, variance = self.mean_.to(x.dtype), self.variance_.to(x.dtype)
        deviation = variance.sqrt().clamp(min=_EPSILON).view(wide)
        if self.invert:
            return from_written(mean.view(wide) + x * deviation)
        return from_written((x - mean.view(wide)) / deviation)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three features with moments of their own."""
        return cls(mean=[0.5, 1.0, -1.0], variance=[1.0, 4.0, 0.25]), (3,)


def _joined(one: tuple[int, Any, Any], other: tuple[int, Any, Any]) -> tuple[int, Any, Any]:
    """Count, mean and variance of two sets together (Chan et al. 1979)."""
    count = one[0] + other[0]
    share = other[0] / count
    gap = other[1] - one[1]
    mean = one[1] + share * gap
    variance = (1 - share) * one[2] + share * other[2] + share * (1 - share) * gap**2
    return count, mean, variance


class Discretization(Preparing):
    """The number of the bin that each value falls into.

    Bin ``i`` holds ``boundaries[i - 1] <= x < boundaries[i]``; the first and the last are open.
    The boundaries are given, or learned by :meth:`adapt` so that ``num_bins`` bins hold about as
    many values each; then they are part of the arguments that are saved. ``output_mode`` is
    ``"int"``, ``"one_hot"``, ``"multi_hot"`` or ``"count"``.

    Args:
        epsilon: Share of the data by which a boundary may be off, for data of more than
            100,000 values.

    Example:
        >>> Discretization(bin_boundaries=[0.0, 1.0])(torch.tensor([[-1.5, 0.0, 3.4]]))
        tensor([[0, 1, 2]])
    """

    def __init__(
        self,
        bin_boundaries: list[float] | tuple[float, ...] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if bin_boundaries is None and num_bins is None:
            raise ConfigError(
                "Discretization expected bin_boundaries, or num_bins to learn them; received "
                "neither. Type Discretization(num_bins=10), then layer.adapt(data)."
            )
        self.num_bins = None if num_bins is None else sizes(num_bins, 1, "num_bins")[0]
        self.bin_boundaries = None if bin_boundaries is None else _ascending(bin_boundaries)
        self.epsilon = float(epsilon)
        self.output_mode = choice(output_mode, MODES, "output_mode")

    def depth(self) -> int | None:
        """How many bins there are."""
        return self.num_bins if self.bin_boundaries is None else len(self.bin_boundaries) + 1

    def infer(self, shape: Shape) -> Shape:
        """The same shape, or vectors of the bins."""
        return encoded_shape(shape, self.output_mode, self.depth())

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the boundaries, anew; ``data`` is an array, or an iterable of batches.

        ``steps`` ends an iterable after so many batches.

        Raises:
            ConfigError: Only boundaries were asked for.
            EmptyDataError: No values.
        """
        if self.num_bins is None:
            raise ConfigError(
                f"{self.title} expected no data, since bin_boundaries were given. Type "
                f"Discretization(num_bins=...) to learn them."
            )
        values, weights = np.empty(0), np.empty(0)
        most = max(100_000, math.ceil(10 / self.epsilon))
        for batch in batches(data, steps):
            values = np.concatenate([values, batch.reshape(-1).astype("float32")])
            weights = np.concatenate([weights, np.ones(batch.size)])
            if values.size > most:
                shares = np.linspace(0, 1, most + 1)[1:]
                total = weights.sum()
                values, weights = _quantiles(values, weights, shares), np.full(most, total / most)
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.bin_boundaries = _ascending(_quantiles(values, weights, shares).tolist())

    def forward(self, x: Tensor) -> Tensor:
        """The bins, as whole numbers or as vectors."""
        if self.bin_boundaries is None:
            raise NotReadyError(
                f"{self.title} has learned nothing yet. Type layer.adapt(data) first."
            )
        x = to_written(self.of_numbers(x))
        edges = torch.tensor(self.bin_boundaries, device=x.device, dtype=torch.float64)
        bins = torch.bucketize(x.double(), edges, right=True)
        return encoded(bins, self.output_mode, len(self.bin_boundaries) + 1, self.weight_type())

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three bins of four features, counted."""
        return cls([-0.5, 0.5], output_mode="count"), (4,)


def _quantiles(values: np.ndarray, weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The values below which these shares of the weights lie, between neighbours in a line."""
    order = np.argsort(values, kind="stable")
    reached = weights[order].cumsum()
    return np.interp(shares, reached / reached[-1], values[order])


def _ascending(boundaries: Any) -> list[float]:
    items = list(boundaries)
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in items) or any(
        a > b for a, b in zip(items, items[1:], strict=False)
    ):
        raise ConfigError(
            f"bin_boundaries expected numbers in ascending order; received {boundaries!r}. "
            f"Type for example bin_boundaries=[0.0, 1.0, 2.0]."
        )
    return [float(n) for n in items]
