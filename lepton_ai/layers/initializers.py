"""How weights start: Keras's initialisers by name, drawn from a given generator.

Named by a word (``"he_normal"``) or, with arguments, by a dict
(``{"name": "random_normal", "stddev": 0.02}``). Shapes are in Keras's layout, since the fan of a
kernel is read from it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, UnknownNameError
from lepton_ai.registry import near_miss

Initializer = str | dict
_TRUNCATION = 0.87962566103423978  # the deviation of a unit normal cut at two deviations


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs and outputs a weight of this shape connects (channels are its last axes)."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _scaled(
    shape: Sequence[int], source: torch.Generator | None, scale: float, mode: str, normal: bool
) -> Tensor:
    """Glorot & Bengio 2010, He et al. 2015, LeCun et al. 1998, as one family."""
    fan_in, fan_out = fans(shape)
    scale /= max(1.0, {"in": fan_in, "average": (fan_in + fan_out) / 2}[mode])
    if normal:
        return truncated_normal(shape, source, stddev=math.sqrt(scale) / _TRUNCATION)
    limit = math.sqrt(3 * scale)
    return torch.empty(tuple(shape)).uniform_(-limit, limit, generator=source)


def zeros(shape: Sequence[int], source: torch.Generator | None) -> Tensor:
    """All 0."""
    return torch.zeros(tuple(shape))


def ones(shape: Sequence[int], source: torch.Generator | None) -> Tensor:
    """All 1."""
    return torch.ones(tuple(shape))


def constant(shape: Sequence[int], source: torch.Generator | None, value: float = 0.0) -> Tensor:
    """All the same value."""
    return torch.full(tuple(shape), float(value))


def random_uniform(
    shape: Sequence[int],
    source: torch.Generator | None,
    minval: float = -0.05,
    maxval: float = 0.05,
) -> Tensor:
    """Evenly between two bounds."""
    return torch.empty(tuple(shape)).uniform_(minval, maxval, generator=source)


def random_normal(
    shape: Sequence[int], source: torch.Generator | None, mean: float = 0.0, stddev: float = 0.05
) -> Tensor:
    """A normal distribution."""
    return torch.empty(tuple(shape)).normal_(mean, stddev, generator=source)


def truncated_normal(
    shape: Sequence[int], source: torch.Generator | None, mean: float = 0.0, stddev: float = 0.05
) -> Tensor:
    """A normal distribution without what lies beyond two deviations."""
    return torch.nn.init.trunc_normal_(
        torch.empty(tuple(shape)), mean, stddev, mean - 2 * stddev, mean + 2 * stddev, source
    )


def orthogonal(shape: Sequence[int], source: torch.Generator | None, gain: float = 1.0) -> Tensor:
    """Orthogonal rows or columns (Saxe et al. 2014); all axes but the last are taken as one."""
    flat = torch.empty(math.prod(shape[:-1]), shape[-1])
    return torch.nn.init.orthogonal_(flat, gain, generator=source).reshape(tuple(shape))


def identity(shape: Sequence[int], source: torch.Generator | None, gain: float = 1.0) -> Tensor:
    """Ones on the diagonal of a matrix."""
    return torch.eye(*shape) * gain


INITIALIZERS: dict[str, Callable[..., Tensor]] = {
    "zeros": zeros,
    "ones": ones,
    "constant": constant,
    "uniform": random_uniform,
    "random_uniform": random_uniform,
    "normal": random_normal,
    "random_normal": random_normal,
    "truncated_normal": truncated_normal,
    "orthogonal": orthogonal,
    "identity": identity,
    "glorot_uniform": lambda shape, source: _scaled(shape, source, 1, "average", False),
    "glorot_normal": lambda shape, source: _scaled(shape, source, 1, "average", True),
    "he_uniform": lambda shape, source: _scaled(shape, source, 2, "in", False),
    "he_normal": lambda shape, source: _scaled(shape, source, 2, "in", True),
    "lecun_uniform": lambda shape, source: _scaled(shape, source, 1, "in", False),
    "lecun_normal": lambda shape, source: _scaled(shape, source, 1, "in", True),
}


def as_initializer(value: object, name: str) -> Initializer:
    """What a layer stores for an argument such as ``kernel_initializer``.

    Raises:
        UnknownNameError: No initialiser has this name.
        ConfigError: Not a name, or arguments that the initialiser does not have.

    Example:
        >>> as_initializer("GlorotUniform", "kernel_initializer")
        'glorot_uniform'
    """
    word = value.get("name") if isinstance(value, dict) else value
    if not isinstance(word, str):
        raise ConfigError(
            f"{name} expected the name of an initialiser, or a dict with its name and arguments; "
            f"received {value!r}. Type for example {name}='he_normal'."
        )
    plain = {key.replace("_", ""): key for key in INITIALIZERS}
    key = plain.get(word.lower().replace("_", ""))
    if key is None:
        raise UnknownNameError(
            f"{name} expected the name of an initialiser; received {word!r}."
            f"{near_miss(word, INITIALIZERS)} Known: {', '.join(INITIALIZERS)}."
        )
    if not isinstance(value, dict):
        return key
    arguments = {k: v for k, v in value.items() if k != "name"}
    allowed = list(inspect.signature(INITIALIZERS[key]).parameters)[2:]
    for argument in arguments:
        if argument not in allowed:
            raise ConfigError(
                f"The initialiser {key!r} expected the arguments {allowed}; received {argument!r}."
                f"{near_miss(argument, allowed)}"
            )
    return {"name": key, **arguments}


def start(initializer: Initializer, shape: Sequence[int], source: torch.Generator | None) -> Tensor:
    """The first value of a weight, in Keras's layout."""
    if isinstance(initializer, str):
        return INITIALIZERS[initializer](shape, source)
    arguments = {k: v for k, v in initializer.items() if k != "name"}
    return INITIALIZERS[initializer["name"]](shape, source, **arguments)
