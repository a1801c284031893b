"""Models out of Keras's files, without running anything from them."""

from __future__ import annotations

import os

from lepton_ai.errors import ArtifactError
from lepton_ai.layers.layout import is_shapes
from lepton_ai.layers.symbol import Symbol
from lepton_ai.models.functional import Functional
from lepton_ai.models.interop.keras_archive import KerasArchive
from lepton_ai.models.interop.keras_graph import Outline, group_names, outline
from lepton_ai.models.interop.keras_weights import load_weights
from lepton_ai.models.model import Model
from lepton_ai.models.sequential import Sequential


def load_keras(path: str | os.PathLike[str]) -> Model:
    """Read a model that Keras saved, layers and weights, as a model of ``lai.layers``.

    Nothing in the file is run: its description is read as data, its classes are found on a list.
    The model predicts at once; ``compile`` and ``fit`` train it further.

    Args:
        path: A ``.keras`` file, or ``.h5`` with the whole model in it (of Keras 2 too).

    Raises:
        UnsafeFormatError: The file holds code (a Lambda, a function) or links to other files.
        IntegrityError: It is cut off, or a name in it leads out of it.
        LimitError: It unpacks to more than a model needs.
        ArtifactError: It is no Keras file, or a layer in it has no twin here.
        ShapeError: Its weights do not fit its layers.
    """
    with KerasArchive(path) as archive:
        found = outline(archive.description, lambda _, entries: group_names(entries))
        if any(is_shapes(symbol.shape) for symbol in found.outputs):
            raise ArtifactError("Expected single tensors as the outputs of the model.")
        load_weights(archive, found.pieces)
    name = str(archive.description["config"].get("name") or "model")
    if found.chain:
        return _chain(found, name)
    return Functional(found.inputs, found.outputs, name=name)


def _chain(found: Outline, name: str) -> Model:
    layers = [symbol.layer for symbol in _steps(found)]
    layers[0].input_shape = found.inputs[0].shape
    return Sequential(layers, name=name)


def _steps(found: Outline) -> list[Symbol]:
    """The calls of a chain, first to last."""
    steps: list[Symbol] = []
    symbol = found.outputs[0]
    while symbol.inputs:
        steps.append(symbol)
        symbol = symbol.inputs[0][0] if isinstance(symbol.inputs[0], list) else symbol.inputs[0]
    return steps[::-1]
