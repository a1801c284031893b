"""Weights of a Keras file for our layers: compared first, read afterwards."""

from __future__ import annotations

from typing import Any

import torch

from lepton_ai.errors import ShapeError
from lepton_ai.layers.attention import MultiHeadAttention
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.recurrent import Recurrent
from lepton_ai.layers.weight import Weight
from lepton_ai.layers.wrapping import Bidirectional, TimeDistributed
from lepton_ai.models.interop.keras_archive import KerasArchive, child, values
from lepton_ai.models.interop.keras_graph import Piece

Slot = tuple[Layer, Weight]
_PROJECTIONS = ("query", "key", "value", "output")


def load_weights(archive: KerasArchive, pieces: list[Piece]) -> None:
    """Give layers that were built without memory the weights of a file.

    Raises:
        ShapeError: The file holds other weights than the layers need; no memory was taken then.
    """
    found = _by_name(archive, pieces) if archive.legacy else _by_group(archive, pieces)
    for piece, slots, arrays in found:
        expected = [tuple(weight.shape) for _, weight in slots]
        received = [tuple(array.shape) for array in arrays]
        if expected != received:
            raise ShapeError(
                f"{piece.layer.title} expected weights of shapes {expected}; the file "
                f"{archive.path} holds {received}."
            )
    for piece in pieces:
        piece.layer.to_empty(device="cpu")
    with torch.no_grad():
        for _, slots, arrays in found:
            for (layer, weight), array in zip(slots, arrays, strict=True):
                held = getattr(layer, weight.name)
                held.copy_(weight.inward(torch.from_numpy(values(array)).to(held.dtype)))


def slots_of(layer: Layer) -> list[Slot]:
    """The weights of a layer and of the layers inside, in Keras's order."""
    own = [(layer, weight) for weight in layer._weights()]
    return own + [slot for inner in layer._inner() for slot in slots_of(inner)]


def _by_group(archive: KerasArchive, pieces: list[Piece]) -> list[tuple[Piece, list[Slot], Any]]:
    return [
        (piece, slots_of(piece.layer), _arrays(archive, piece.layer, _group(archive, piece.path)))
        for piece in pieces
    ]


def _group(archive: KerasArchive, path: str) -> Any:
    return child(archive.file, path.strip("/"))


def _arrays(archive: KerasArchive, layer: Layer, group: Any) -> list[Any]:
    """The data sets of a layer in a ``.keras`` file, in the order of its slots."""
    if group is None:
        return []
    if isinstance(layer, Bidirectional):
        pairs = (("forward_layer", layer.forward_layer), ("backward_layer", layer.backward_layer))
        return [a for name, one in pairs for a in _arrays(archive, one, child(group, name))]
    if isinstance(layer, TimeDistributed):
        return _arrays(archive, layer.layer, child(group, "layer"))
    if isinstance(layer, Recurrent):
        cell = child(group, "cell")
        return archive.arrays(group if cell is None else cell)
    if isinstance(layer, MultiHeadAttention):
        parts = [
            child(group, f"{name}_dense") or child(group, f"_{name}_dense") for name in _PROJECTIONS
        ]
        return [a for part in parts if part is not None for a in archive.arrays(part)]
    return archive.arrays(group)


def _by_name(archive: KerasArchive, pieces: list[Piece]) -> list[tuple[Piece, list[Slot], Any]]:
    """``.h5`` files: learned weights of an outermost layer first, then its statistics."""
    tops: dict[str, list[Piece]] = {}
    for piece in pieces:
        tops.setdefault(piece.top, []).append(piece)
    found = []
    for name, inside in tops.items():
        slots = [slot for piece in inside for slot in slots_of(piece.layer)]
        slots.sort(key=lambda slot: not (slot[0].trainable and slot[1].learned))
        found.append((inside[0], slots, archive.named_arrays(name)))
    return found
