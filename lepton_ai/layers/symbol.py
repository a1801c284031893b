"""Symbols: layers called on shapes instead of data, for networks that are no chain.

``Input((28, 28, 1))`` gives a symbol; a layer called on symbols builds itself and gives a symbol
that remembers the layer and its inputs. Whoever makes a network of it walks back from the outputs.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from lepton_ai.errors import ConfigError
from lepton_ai.layers.layout import Shape, as_shape


@dataclass(frozen=True, eq=False)
class Symbol:
    """A value that is not there yet.

    Symbols can be added, subtracted and multiplied: ``a + b`` is ``Add()([a, b])``.

    Args:
        shape: Its shape as users write it, without the batch.
        layer: The layer that gives it.
        inputs: What the layer was called on (symbols, or lists of them).
        named: Keyword arguments of that call.
        position: Which of several outputs it is; None when the layer gives one.
        call: Shared by the outputs of one call, so that it is made once.
    """

    shape: Shape
    layer: Any
    inputs: tuple = ()
    named: dict[str, Any] = field(default_factory=dict)
    position: int | None = None
    call: object = field(default_factory=object)

    @property
    def name(self) -> str | None:
        """The name of the layer that gives it, where it has one."""
        return getattr(self.layer, "name", None)

    def _merged(self, kind: str, other: Any) -> Any:
        if not isinstance(other, Symbol):
            raise ConfigError(
                f"Expected another symbol; received {other!r}. For numbers use a layer: "
                "Rescaling(scale, offset)(x)."
            )
        from lepton_ai.layers import merging

        return getattr(merging, kind)()([self, other])

    def __add__(self, other: Any) -> Any:
        return self._merged("Add", other)

    def __sub__(self, other: Any) -> Any:
        return self._merged("Subtract", other)

    def __mul__(self, other: Any) -> Any:
        return self._merged("Multiply", other)

    def __bool__(self) -> bool:
        raise ConfigError(
            "A symbol has no value yet, so a condition cannot ask for it. Decide in a model of "
            "your own: class MyModel(lai.Model) with call(self, x)."
        )

    def __repr__(self) -> str:
        of = f" of {self.name!r}" if self.name else f" of {type(self.layer).__name__}"
        return f"Symbol{self.shape}{of}"


def symbols_in(value: Any) -> Iterator[Symbol]:
    """The symbols in nested lists, tuples and dicts, in order.

    Example:
        >>> a, b = Input(3), Input(4)
        >>> [s.shape for s in symbols_in({"x": [a, 1], "y": b})]
        [(3,), (4,)]
    """
    if isinstance(value, Symbol):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from symbols_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from symbols_in(inner)


def symbolic(inputs: Any) -> bool:
    """Whether a layer is called on symbols."""
    return next(symbols_in(inputs), None) is not None


def record(layer: Any, inputs: tuple, named: dict[str, Any]) -> Any:
    """Build a layer for the shapes of symbols and give the symbols of its outputs."""
    several = [*inputs] if len(inputs) > 1 else inputs[0]
    given = list(symbols_in(several))
    shape: Any = [s.shape for s in given] if isinstance(several, list | tuple) else given[0].shape
    new = not layer.built
    output = layer.build(shape)
    if new:
        note_start(layer)
    call = object()
    if output and isinstance(output[0], tuple):
        return [
            Symbol(one, layer, inputs, named, position, call) for position, one in enumerate(output)
        ]
    return Symbol(output, layer, inputs, named, None, call)


# Weights that were drawn before there was a seed: a model draws them again with its own, unless
# somebody has set them since.
_drawn: weakref.WeakKeyDictionary[Any, list[int]] = weakref.WeakKeyDictionary()


def _marks(layer: Any) -> list[int]:
    # Checksums, since fused optimisers change weights without counting it in their version.
    tensors = [*layer.parameters(), *layer.buffers()]
    plain = [tensor.detach().cpu().contiguous().reshape(-1) for tensor in tensors]
    return [zlib.crc32(one.view(torch.uint8).numpy()) if one.numel() else 0 for one in plain]


def note_start(layer: Any) -> None:
    """Remember that the weights of a layer have just been drawn."""
    if not any(tensor.is_meta for tensor in layer.parameters()):  # those are shapes only
        _drawn[layer] = _marks(layer)


def untouched(layer: Any) -> bool:
    """Whether the weights of a layer are as they were drawn: neither trained, set nor loaded."""
    return layer in _drawn and _drawn[layer] == _marks(layer)


def draw_again(layer: Any, generator: Any = None) -> None:
    """Draw the weights of a layer afresh, if they are as they were drawn.

    Example:
        >>> import torch
        >>> from lepton_ai.layers.dense import Dense
        >>> dense = Dense(4)
        >>> symbol, first = dense(Input(3)), dense.kernel.clone()
        >>> draw_again(dense)
        >>> torch.equal(first, dense.kernel), untouched(dense)
        (False, True)
    """
    if not untouched(layer):
        return
    for part in layer.modules():
        if getattr(part, "built", False):
            part.built = False
    layer.build(layer.input_shape_, generator)
    note_start(layer)


def Input(  # noqa: N802
    shape: Shape | int | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    *,
    name: str | None = None,
) -> Symbol:
    """The symbol of an input of a network, shape written channels last.

    Example:
        >>> from lepton_ai.layers.dense import Dense
        >>> Dense(10)(Input((784,))).shape
        (10,)
    """
    from lepton_ai.layers.reshaping import InputLayer

    written = () if shape is None else as_shape(shape, "Input's shape")
    return Symbol(written, InputLayer(written, batch_size, dtype, name=name))
