"""Symbols: layers called on shapes instead of data, for networks that are no chain.

``Input((28, 28, 1))`` gives a symbol; a layer called on symbols builds itself and gives a symbol
that remembers the layer and its inputs. Whoever makes a network of it walks back from the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lepton_ai.layers.layout import Shape, as_shape


@dataclass(frozen=True, eq=False)
class Symbol:
    """A value that is not there yet.

    Args:
        shape: Its shape as users write it, without the batch.
        layer: The layer that gives it.
        inputs: What the layer was called on (symbols, or lists of them).
        named: Keyword arguments of that call.
        position: Which of several outputs it is; None when the layer gives one.
        calls: Shared by the outputs of one call, so that it is made once.
    """

    shape: Shape
    layer: Any
    inputs: tuple = ()
    named: dict[str, Any] = field(default_factory=dict)
    position: int | None = None
    call: object = field(default_factory=object)


def symbolic(inputs: tuple) -> bool:
    """Whether a layer is called on symbols."""
    if not inputs:
        return False
    first = inputs[0]
    if isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, Symbol)


def record(layer: Any, inputs: tuple, named: dict[str, Any]) -> Symbol | list[Symbol]:
    """Build a layer for the shapes of symbols and give the symbols of its outputs."""
    several = [*inputs] if len(inputs) > 1 else inputs[0]
    shape = [s.shape for s in several] if isinstance(several, list | tuple) else several.shape
    output = layer.build(shape)
    call = object()
    if output and isinstance(output[0], tuple):
        return [
            Symbol(one, layer, inputs, named, position, call) for position, one in enumerate(output)
        ]
    return Symbol(output, layer, inputs, named, None, call)


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
