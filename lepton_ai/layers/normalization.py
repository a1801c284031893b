"""Normalisation over the batch, over features, over groups of channels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.initializers import as_initializer
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, dimension, from_written, to_written
from lepton_ai.layers.lengths import within
from lepton_ai.layers.regularizers import as_penalty
from lepton_ai.layers.weight import Weight

variants = ("BatchNormalization", "LayerNormalization", "GroupNormalization")


class _Scaled(Layer):
    """What normalisations share: a learned scale ``gamma`` and a learned shift ``beta``."""

    constrains: ClassVar[dict[str, tuple[str, ...]]] = {
        "beta_constraint": ("beta",),
        "gamma_constraint": ("gamma",),
    }
    gamma: Tensor
    beta: Tensor

    def __init__(
        self,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | dict = "zeros",
        gamma_initializer: str | dict = "ones",
        beta_regularizer: str | dict | None = None,
        gamma_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.epsilon = float(epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = as_initializer(beta_initializer, "beta_initializer")
        self.gamma_initializer = as_initializer(gamma_initializer, "gamma_initializer")
        self.beta_regularizer = as_penalty(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = as_penalty(gamma_regularizer, "gamma_regularizer")

    def affine(self, size: tuple[int, ...]) -> list[Weight]:
        """The scale and the shift, where the layer has them."""
        gamma = Weight("gamma", size, self.gamma_initializer, penalty=self.gamma_regularizer)
        beta = Weight("beta", size, self.beta_initializer, penalty=self.beta_regularizer)
        return [gamma] * self.scale + [beta] * self.center

    def pair(self) -> tuple[Tensor | None, Tensor | None]:
        """The scale and the shift, or None."""
        return (self.gamma if self.scale else None), (self.beta if self.center else None)

    def size_along(self, shape: Shape, axis: int) -> int:
        """The known size of an axis (0 is the batch, -1 the channels).

        Raises:
            ShapeError: No such axis, or a size that varies.
        """
        rank = len(shape) + 1
        if not -rank <= axis < rank or axis % rank == 0:
            raise ShapeError(
                f"{self.title} expected an axis of the input shape {shape} (1 is its first, -1 its "
                f"last), received axis={axis}."
            )
        size = shape[axis % rank - 1]
        if size is None:
            raise ShapeError(
                f"{self.title} expected a known size along axis {axis}, received {shape}."
            )
        return size

    def decisive(self, shape: Shape) -> Any:
        """The sizes of the weights."""
        return [weight.shape for weight in self.declare(shape)]


class BatchNormalization(_Scaled):
    """Shifts and scales each channel to mean 0 and variance 1 (Ioffe & Szegedy 2015).

    While training the moments are those of the batch; else the moving averages, whose variance is
    Keras's biased one. With ``lengths``, padded steps count for nothing. ``trainable=False`` uses
    the moving averages always.

    Example:
        >>> BatchNormalization().train()(torch.tensor([[1.0], [3.0]])).round()
        tensor([[-1.],
                [ 1.]], grad_fn=<RoundBackward0>)
    """

    takes_lengths = True
    uses_batch_statistics = True
    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | dict = "zeros",
        gamma_initializer: str | dict = "ones",
        moving_mean_initializer: str | dict = "zeros",
        moving_variance_initializer: str | dict = "ones",
        beta_regularizer: str | dict | None = None,
        gamma_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, **common,
        )  # fmt: skip
        if not isinstance(axis, int):
            raise ConfigError(f"axis expected one whole number; received {axis!r}. Type axis=-1.")
        self.axis = axis
        self.momentum = float(momentum)
        self.moving_mean_initializer = as_initializer(
            moving_mean_initializer, "moving_mean_initializer"
        )
        self.moving_variance_initializer = as_initializer(
            moving_variance_initializer, "moving_variance_initializer"
        )

    def declare(self, shape: Shape) -> list[Weight]:
        """Scale, shift and the moving averages, one number a channel."""
        size = (self.size_along(shape, self.axis),)
        mean = Weight("moving_mean", size, self.moving_mean_initializer, learned=False)
        variance = Weight("moving_variance", size, self.moving_variance_initializer, learned=False)
        return [*self.affine(size), mean, variance]

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        self.size_along(shape, self.axis)
        return shape

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The normalised input."""
        x = self.ready(x)
        channel = dimension(self.axis, x.ndim)
        if channel == 1:
            return self._normalize(x, lengths)
        # Steps are examples like any other: one flat list of vectors is the fastest to normalise.
        moved = x.movedim(channel, -1)
        if lengths is None:
            y = self._normalize(moved.flatten(0, -2), None)
            return y.view(moved.shape).movedim(-1, channel)
        return self._normalize(moved.movedim(-1, 1), lengths).movedim(1, channel)

    def _normalize(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        gamma, beta = self.pair()
        if not (self.training and self.trainable):
            return F.batch_norm(
                x, self.moving_mean, self.moving_variance, gamma, beta, False, 0.0, self.epsilon
            )
        count = x.numel() // x.shape[1]
        if lengths is not None or count == 1:
            return self._normalize_by_hand(x, lengths)
        # The kernel writes the moments of the batch here; it keeps them for the way back, so that
        # the averages themselves must not be handed to it.
        mean, variance = torch.zeros_like(self.moving_mean), torch.zeros_like(self.moving_variance)
        y = F.batch_norm(x, mean, variance, gamma, beta, True, 1.0, self.epsilon)
        with torch.no_grad():
            self.moving_mean.lerp_(mean, 1 - self.momentum)
            # torch gives the unbiased variance, Keras averages the biased one.
            self.moving_variance.lerp_(variance * ((count - 1) / count), 1 - self.momentum)
        return y

    def _normalize_by_hand(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """With moments over the steps inside the sequences; ``x`` is [N, channels, steps...]."""
        axes = [0, *range(2, x.ndim)]
        inside = torch.ones_like(x[:, :1])
        if lengths is not None:
            inside = within(lengths, x.shape[2]).to(x.dtype).unsqueeze(1)
            inside = inside.reshape(*inside.shape, *(1,) * (x.ndim - 3)).expand_as(x[:, :1])
        count = inside.sum().clamp(min=1)
        mean = (x * inside).sum(axes, keepdim=True) / count
        variance = ((x - mean).square() * inside).sum(axes, keepdim=True) / count
        with torch.no_grad():
            self.moving_mean.lerp_(mean.flatten(), 1 - self.momentum)
            self.moving_variance.lerp_(variance.flatten(), 1 - self.momentum)
        y = (x - mean) * torch.rsqrt(variance + self.epsilon)
        gamma, beta = self.pair()
        wide = (-1, *(1,) * (x.ndim - 2))
        if gamma is not None:
            y = y * gamma.view(wide)
        return y if beta is None else y + beta.view(wide)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Three channels of small maps."""
        return cls(), (4, 5, 3)


class LayerNormalization(_Scaled):
    """Shifts and scales each example over its features to mean 0, variance 1 (Ba et al. 2016).

    ``axis`` is one axis or several, written channels last (-1: the features).

    Example:
        >>> LayerNormalization(epsilon=1e-5).build((10, 64))
        (10, 64)
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] | list[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | dict = "zeros",
        gamma_initializer: str | dict = "ones",
        beta_regularizer: str | dict | None = None,
        gamma_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, **common,
        )  # fmt: skip
        self.axis = axis if isinstance(axis, int) else tuple(axis)

    def axes(self, rank: int) -> list[int]:
        """The axes as written, from 1 on, in order."""
        chosen = (self.axis,) if isinstance(self.axis, int) else self.axis
        return sorted(axis % rank for axis in chosen)

    def declare(self, shape: Shape) -> list[Weight]:
        """Scale and shift, one number for each normalised value."""
        size = tuple(self.size_along(shape, axis) for axis in self.axes(len(shape) + 1))
        return self.affine(size)

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        for axis in (self.axis,) if isinstance(self.axis, int) else self.axis:
            self.size_along(shape, axis)
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input."""
        x = to_written(self.ready(x))
        axes = self.axes(x.ndim)
        last = list(range(x.ndim - len(axes), x.ndim))
        moved = x if axes == last else x.movedim(axes, last)
        gamma, beta = self.pair()
        size = [self.input_shape_[axis - 1] for axis in axes]
        y = F.layer_norm(moved, size, gamma, beta, self.epsilon)
        return from_written(y if axes == last else y.movedim(last, axes))

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Sequences of six features."""
        return cls(), (5, 6)


class GroupNormalization(_Scaled):
    """Normalises groups of channels together with their places (Wu & He 2018).

    ``groups=-1`` makes each channel its own group (instance normalisation).
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | dict = "zeros",
        gamma_initializer: str | dict = "ones",
        beta_regularizer: str | dict | None = None,
        gamma_regularizer: str | dict | None = None,
        **common: Any,
    ) -> None:
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, **common,
        )  # fmt: skip
        self.groups = groups
        self.axis = axis

    def declare(self, shape: Shape) -> list[Weight]:
        """Scale and shift, one number a channel."""
        return self.affine((self.size_along(shape, self.axis),))

    def infer(self, shape: Shape) -> Shape:
        """The same shape."""
        size = self.size_along(shape, self.axis)
        if self.groups != -1 and (self.groups < 1 or size % self.groups):
            raise ShapeError(
                f"{self.title} expected channels that groups={self.groups} divides, received "
                f"{shape}. Type for example groups=1."
            )
        return shape

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input."""
        x = self.ready(x)
        channel = dimension(self.axis, x.ndim)
        groups = x.shape[channel] if self.groups == -1 else self.groups
        gamma, beta = self.pair()
        if channel == 1:
            return F.group_norm(x, groups, gamma, beta, self.epsilon)
        y = F.group_norm(x.movedim(channel, 1), groups, gamma, beta, self.epsilon)
        return y.movedim(1, channel)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Six channels of small maps in two groups."""
        return cls(2), (4, 5, 6)
