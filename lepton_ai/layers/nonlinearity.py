"""Activation functions by their Keras names."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.registry import near_miss

_POINTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "log_sigmoid": F.logsigmoid,
    "tanh": torch.tanh,
    "hard_tanh": F.hardtanh,
    "tanh_shrink": F.tanhshrink,
    "hard_shrink": F.hardshrink,
    "soft_shrink": F.softshrink,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "squareplus": lambda x: (x + torch.sqrt(x * x + 4)) / 2,
    "exponential": torch.exp,
    "sparse_sigmoid": lambda x: (0.5 * (x + 1)).clamp(0, 1),
    "sparse_plus": lambda x: torch.where(x < 1, 0.25 * (x.clamp(min=-1) + 1).square(), x),
}


def sparsemax(x: Tensor, dim: int) -> Tensor:
    """The nearest point whose values are at least 0 and sum to 1 (Martins & Astudillo 2016).

    Example:
        >>> sparsemax(torch.tensor([1.0, 0.5, -1.0]), 0)
        tensor([0.7500, 0.2500, 0.0000])
    """
    ranked = x.movedim(dim, -1).sort(-1, descending=True).values
    places = torch.arange(1, ranked.shape[-1] + 1, device=x.device)
    sums = ranked.cumsum(-1)
    kept = (1 + places * ranked > sums).sum(-1, keepdim=True)
    threshold = (sums.gather(-1, kept - 1) - 1) / kept
    return (x - threshold.movedim(-1, dim)).clamp(min=0)


_ALONG_CHANNELS: dict[str, Callable[..., Tensor]] = {
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "sparsemax": sparsemax,
}
_ALSO = {"swish": "silu", "hard_swish": "hard_silu"}
ACTIVATIONS = (*_POINTWISE, *_ALONG_CHANNELS, *_ALSO)
"""Every name that ``activation=`` takes."""


def as_activation(value: object, name: str = "activation") -> str:
    """The name of an activation; None is ``"linear"``, a torch function goes by its own name.

    Raises:
        UnknownNameError: No activation has this name.
        ConfigError: Neither a name nor a function that has one.

    Example:
        >>> as_activation(None), as_activation("ReLU"), as_activation(torch.tanh)
        ('linear', 'relu', 'tanh')
    """
    if value is None:
        return "linear"
    word = value if isinstance(value, str) else getattr(value, "__name__", None)
    if not isinstance(word, str):
        raise ConfigError(
            f"{name} expected the name of an activation; received {value!r}. "
            f"Type for example {name}='relu'."
        )
    plain = {key.replace("_", ""): key for key in ACTIVATIONS}
    key = plain.get(word.lower().replace("_", ""))
    if key is None:
        raise UnknownNameError(
            f"{name} expected the name of an activation; received {word!r}."
            f"{near_miss(word, ACTIVATIONS)} Known: {', '.join(ACTIVATIONS)}."
        )
    return _ALSO.get(key, key)


def activated(name: str, x: Tensor, *, fresh: bool = False) -> Tensor:
    """An activation of a tensor; ``fresh`` says that nobody else holds it, so it may be reused."""
    if name == "linear":
        return x
    if name in _ALONG_CHANNELS:
        return _ALONG_CHANNELS[name](x, dim=1 if x.ndim >= 4 else -1)
    if name == "relu" and fresh and not (x.requires_grad and x._is_view()):
        return x.relu_()  # in place on a view, the way back would copy the whole three times
    return _POINTWISE[name](x)
