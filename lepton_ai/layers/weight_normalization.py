"""Wrappers that hold the weights of another layer to a size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import ConfigError
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import sizes
from lepton_ai.layers.weight import Weight

variants = ("SpectralNormalization", "WeightNormalization")

_KERNELS = ("kernel", "embeddings", "depthwise_kernel")


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp(min=1e-12)


class _AroundKernel(Layer):
    """Runs a layer whose kernel it looks after; shapes and lengths are that layer's."""

    def __init__(self, layer: Layer, **common: Any) -> None:
        super().__init__(**common)
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"{type(self).__name__} expected a layer, received {layer!r}. "
                f"Type for example {type(self).__name__}(Conv2D(32, 3))."
            )
        self.layer = layer
        self.draws = layer.draws
        self.takes_lengths = layer.takes_lengths

    def infer(self, shape: Any) -> Any:
        """What the layer gives."""
        return self.layer.infer(shape)

    def decisive(self, shape: Any) -> Any:
        """What decides the weights of the layer."""
        return self.layer.decisive(shape)

    def kernel_weight(self) -> Weight:
        """What the built layer says of its kernel.

        Raises:
            ConfigError: It has none.
        """
        for weight in self.layer._weights():
            if weight.name in _KERNELS:
                return weight
        raise ConfigError(
            f"{self.title} expected a layer with a kernel or with embeddings, received "
            f"{type(self.layer).__name__}. Put it around Dense, a convolution or Embedding."
        )

    def create(self, shape: Any, generator: torch.Generator | None) -> None:
        """The layer, then the weights of this one."""
        self.layer.build(shape, generator)
        self._kernel = self.kernel_weight().name
        super().create(shape, generator)

    def _units(self) -> int:
        return self.kernel_weight().shape[-1]

    def find_lengths(self, x: Tensor) -> Tensor | None:
        """Those that the layer tells."""
        return self.layer.find_lengths(x)

    def lengths_after(self, lengths: Tensor | None) -> Tensor | None:
        """Those that the layer tells."""
        return self.layer.lengths_after(lengths)

    @classmethod
    def sample(cls) -> tuple[Layer, Any]:
        """Around a convolution of small maps."""
        from lepton_ai.layers.convolution import Conv2D

        make: Any = cls
        return make(Conv2D(4, 3, padding="same")), (5, 4, 3)


class SpectralNormalization(_AroundKernel):
    """Divides the kernel of a layer by its largest singular value (Miyato et al. 2018).

    While training, each call improves an estimate of the value by ``power_iterations`` steps and
    writes the divided kernel back, as Keras does; else the kernel stays as it is. It steadies the
    discriminator of a generative network.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> layer = SpectralNormalization(Dense(4), power_iterations=20)
        >>> layer.train()(torch.zeros(1, 8)).shape
        torch.Size([1, 4])
        >>> round(torch.linalg.matrix_norm(layer.layer.kernel, 2).item(), 2)
        1.0
    """

    uses_batch_statistics = True  # training changes weights in place, so that it is not split
    vector_u: Tensor

    def __init__(self, layer: Layer, power_iterations: int = 1, **common: Any) -> None:
        super().__init__(layer, **common)
        self.power_iterations = sizes(power_iterations, 1, "power_iterations")[0]

    def keras_weights(self) -> list[np.ndarray]:
        """The kernel, the estimate, then the other weights of the layer: Keras's order."""
        found = super().keras_weights()
        place = self._place() if self.built else 0
        return [found[1 + place], found[0], *found[1 : 1 + place], *found[2 + place :]]

    def load_keras_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Take weights in the order of :meth:`keras_weights`."""
        self._check_weights(weights)
        place, (kernel, vector, *rest) = self._place(), weights
        with torch.no_grad():
            self.vector_u.copy_(torch.as_tensor(np.array(vector)))
        self.layer.load_keras_weights([*rest[:place], kernel, *rest[place:]])

    def _place(self) -> int:
        """Which of the layer's weights the kernel is."""
        return [weight.name for weight in self.layer._weights()].index(self._kernel)

    def declare(self, shape: Any) -> list[Weight]:
        """The estimate of a singular vector."""
        start = {"name": "truncated_normal", "stddev": 0.02}
        return [Weight("vector_u", (1, self._units()), start, learned=False)]

    @torch.no_grad()
    def normalise(self) -> None:
        """Divide the kernel by the estimate of its largest singular value, in place."""
        weight = self.kernel_weight()
        held = getattr(self.layer, weight.name)
        kernel = weight.outward(held)
        flat = kernel.reshape(-1, kernel.shape[-1])
        if not bool(flat.any()):
            return
        u = self.vector_u
        v = u
        for _ in range(self.power_iterations):
            v = _unit(u @ flat.t())
            u = _unit(v @ flat)
        self.vector_u.copy_(u)
        held.copy_(weight.inward(kernel / (v @ flat @ u.t())))

    def forward(self, x: Any, **named: Any) -> Any:
        """The output of the layer."""
        if self.training and self.built:
            self.normalise()
        elif self.training:
            self.ready(x)
            self.normalise()
        return self.layer(x, **named)


class WeightNormalization(_AroundKernel):
    """Learns the length and the direction of a kernel apart (Salimans & Kingma 2016).

    The layer runs with ``magnitude * kernel / norm(kernel)``, the norm taken for each output unit
    over all that leads to it. ``magnitude`` starts as that norm, so that the first outputs are
    those of the layer alone.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> layer = WeightNormalization(Dense(4))
        >>> layer.build((8,)), [tuple(p.shape) for p in layer.parameters()]
        ((4,), [(4,), (4, 8), (4,)])
    """

    magnitude: Tensor

    def declare(self, shape: Any) -> list[Weight]:
        """A length for each unit."""
        return [Weight("magnitude", (self._units(),), "ones")]

    def create(self, shape: Any, generator: torch.Generator | None) -> None:
        """The layer, and the lengths that its kernel has."""
        super().create(shape, generator)
        with torch.no_grad():
            weight = self.kernel_weight()
            kernel = weight.outward(getattr(self.layer, weight.name))
            norms = torch.linalg.vector_norm(kernel.reshape(-1, kernel.shape[-1]), dim=0)
            self.magnitude.copy_(norms)

    def kernel(self) -> Tensor:
        """The kernel that the layer runs with, as it is stored."""
        weight = self.kernel_weight()
        held = weight.outward(getattr(self.layer, weight.name))
        norms = torch.linalg.vector_norm(held.reshape(-1, held.shape[-1]), dim=0)
        return weight.inward(held * (self.magnitude / norms.clamp(min=1e-12)))

    def forward(self, x: Any, **named: Any) -> Any:
        """The output of the layer with its kernel made anew."""
        x = self.ready(x)
        weights = {self._kernel: self.kernel()}
        return torch.func.functional_call(self.layer, weights, (x,), named)
