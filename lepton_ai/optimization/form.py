"""Forms: copies of a model that answer in another way; the model itself stays as it is."""

from __future__ import annotations

import copy

from lepton_ai.models.engines.engine import Engine
from lepton_ai.models.model import Model


def twin(model: Model) -> Model:
    """A copy with weights of its own: training one does not change the other.

    The run that trained the model, its golden examples and its engine are shared; they are records.
    """
    shared = (model.run, model.golden, model.engine)
    memo = {id(thing): thing for thing in shared if thing is not None}
    return copy.deepcopy(model, memo)


def as_model(model: Model, form: Engine | Model) -> Model:
    """What a step made, as a model of the same task."""
    if isinstance(form, Model):
        return form
    answering = twin(model)
    answering.engine = form
    return answering


def megabytes(model: Model) -> float:
    """Size of what answers: the engine's form, else the weights."""
    if model.engine is not None:
        return float(model.engine.megabytes())
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(tensor.nbytes for tensor in tensors.values()) / 1e6
