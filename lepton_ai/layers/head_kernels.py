"""How the kernels of attention heads lie in memory, and in Keras's layout."""

from __future__ import annotations

from torch import Tensor


def joined_heads(kernel: Tensor) -> Tensor:
    """Keras's [inputs, heads, width] to torch's [heads * width, inputs]."""
    return kernel.flatten(1).t().contiguous()


def joined_outputs(kernel: Tensor) -> Tensor:
    """Keras's [heads, width, outputs] to torch's [outputs, heads * width]."""
    return kernel.flatten(0, 1).t().contiguous()


def flat_bias(bias: Tensor) -> Tensor:
    """Keras's [heads, width] to torch's [heads * width]."""
    return bias.flatten()


class HeadsApart:
    """The way back from :func:`joined_heads`."""

    def __init__(self, heads: int) -> None:
        self.heads = heads

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.t().unflatten(1, (self.heads, -1)).contiguous()


class OutputsApart(HeadsApart):
    """The way back from :func:`joined_outputs`."""

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.t().unflatten(0, (self.heads, -1)).contiguous()


class BiasApart(HeadsApart):
    """A flat bias by heads."""

    def __call__(self, weight: Tensor) -> Tensor:
        return weight.unflatten(0, (self.heads, -1))
