"""Binding: a task meets data and a backbone, and a network with a head comes out."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.data.encoding import encode_inputs, encode_targets
from lepton_ai.data.field import Field, Spec
from lepton_ai.errors import ConfigError
from lepton_ai.heads.head import Head
from lepton_ai.models.backbones.backbone import Backbone
from lepton_ai.tasks.task import Task


def learn_specs(task: Task, data: Dataset, wishes: dict[str, dict[str, Any]]) -> dict[str, Spec]:
    """What every field of the task learns from the training data."""
    fields = {**task.inputs, **task.outputs}
    return {name: field.learn(data[name], wishes.get(name, {})) for name, field in fields.items()}


def backbone_class(name: str, task: Task) -> type[Backbone]:
    """The backbone of that name, if it fits the task.

    Raises:
        ConfigError: It reads other fields, or gives other features; the message names what fits.
    """
    kind = registry.lookup("backbones", name)
    why = unfit(kind, task)
    if why:
        fitting = [n for n in registry.names("backbones")
                   if not unfit(registry.lookup("backbones", n), task)]  # fmt: skip
        raise ConfigError(
            f"The backbone {name!r} does not fit {task!r}: {why}. These fit: {', '.join(fitting)}."
        )
    return kind


def unfit(kind: type[Backbone], task: Task) -> str:
    """Why a backbone does not fit a task, or nothing."""
    read = {registry.name_of("fields", type(field)) for field in task.inputs.values()}
    if "*" not in kind.expects and not read <= set(kind.expects):
        return (
            f"it reads {', '.join(kind.expects)}, the task's inputs are {', '.join(sorted(read))}"
        )
    if "*" not in kind.expects and len(task.inputs) > 1 and not getattr(kind, "many", False):
        return f"it reads one input, the task has {len(task.inputs)}"
    if task.needs() not in kind.gives:
        return f"it gives {', '.join(kind.gives)}, the task's head needs {task.needs()}"
    return ""


def make_head(task: Task, network: Backbone, specs: dict[str, Spec]) -> Head:
    """The task's default head for the features of a network."""
    if task.needs() == "members":
        return task.head(network.width, specs, members=network.members)
    return task.head(network.width, specs)


def begin(model: Any, data: Dataset) -> None:
    """What network and head learn before the first gradient step, from training data."""
    encoded = encode_inputs(model.task.inputs, model.specs, data.columns)
    model.network.adapt(encoded)
    if not model.network.plain:
        return
    chosen = np.arange(len(data))
    if len(data) > 20_000:
        chosen = np.sort(np.random.default_rng(0).choice(len(data), 20_000, replace=False))
    with torch.no_grad():
        features = model.network(model.prepared(encoded.batch(chosen)))
        targets = encode_targets(model.head, model.specs, data.columns).batch(chosen)
        model.head.begin(features, targets, model.network.plain)


class Whole(Backbone):
    """A network of the user's own, any ``nn.Module``, in the place of a backbone.

    A single input is handed over as it is; several as a dict by name.
    """

    expects = ("*",)
    gives = ("raw", "pooled", "sequence", "maps")

    def __init__(self, module: nn.Module, names: list[str], give: str = "raw") -> None:
        super().__init__()
        self.module, self.names, self.give = module, names, give

    def stem(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: inputs[name] for name in self.names}

    def features(self, stem: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        given = stem[self.names[0]] if len(self.names) == 1 else stem
        lengths = inputs.get(f"{self.names[0]}.lengths")
        if lengths is not None and "lengths" in signature(self.module.forward).parameters:
            out = self.module(given, lengths=lengths)
        else:
            out = self.module(given)
        features = {self.give: out}
        if self.give == "sequence":
            features["lengths"] = inputs[f"{self.names[0]}.lengths"]
        return features

    def measure(self, inputs: dict[str, Tensor]) -> None:
        """Find the width of its features by running it on some inputs."""
        was = self.module.training
        self.module.eval()
        with torch.no_grad():
            out = self.forward(inputs)[self.give]
        self.module.train(was)
        if not isinstance(out, Tensor):
            raise ConfigError(
                f"Expected {type(self.module).__name__} to return a tensor; received "
                f"{type(out).__name__}."
            )
        self.width = out.shape[1] if self.give == "maps" else out.shape[-1]


def field_names(fields: dict[str, Field]) -> str:
    """The fields in words, for messages."""
    return ", ".join(f"{name} ({type(field).__name__})" for name, field in fields.items())
