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

    Args:
        module: The network.
        names: The inputs of the task, in order.
        give: What kind of features it gives.
        reads: What the module calls its inputs, in the same order; ``None``: as the task does.
        outputs: The outputs of the task, where the module gives them all.
    """

    expects = ("*",)
    gives = ("raw", "pooled", "sequence", "maps")

    def __init__(
        self, module: nn.Module, names: list[str], give: str = "raw", *,
        reads: list[str] | None = None, outputs: list[str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.module, self.names, self.give = module, names, give
        self.reads = dict(zip(names, reads or names, strict=True))
        self.outputs = outputs or []
        self.takes_lengths = "lengths" in signature(module.forward).parameters

    def stem(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: inputs[name] for name in self.names}

    def features(self, stem: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        given: Any = {self.reads[name]: stem[name] for name in self.names}
        lengths: Any = {
            self.reads[name]: inputs[f"{name}.lengths"]
            for name in self.names if f"{name}.lengths" in inputs
        }  # fmt: skip
        if len(self.names) == 1:
            given, lengths = stem[self.names[0]], next(iter(lengths.values()), None)
        if self.takes_lengths and lengths is not None and len(lengths):
            out = self.module(given, lengths=lengths)
        else:
            out = self.module(given)
        if len(self.outputs) > 1:
            return self._by_name(out)
        features = {self.give: out}
        if self.give == "sequence":
            features["lengths"] = inputs[f"{self.names[0]}.lengths"]
        return features

    def _by_name(self, out: Any) -> dict[str, Tensor]:
        """Several outputs by the names of the task; a list comes in their order."""
        kind, names = type(self.module).__name__, self.outputs
        if isinstance(out, (list, tuple)) and len(out) == len(names):
            return dict(zip(names, out, strict=True))
        if isinstance(out, dict) and set(names) <= set(out):
            return {name: out[name] for name in names}
        if isinstance(out, dict) and len(out) == len(names):
            return dict(zip(names, out.values(), strict=True))
        count = len(out) if isinstance(out, (list, tuple, dict)) else 1
        raise ConfigError(
            f"Expected {kind} to give the {len(names)} outputs {', '.join(names)}; it gives "
            f"{count}. Return a dict by these names."
        )

    def measure(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Find the width of its features by running it on some inputs; gives what came out.

        Raises:
            ConfigError: It cannot run on them, or does not return tensors.
        """
        was = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():
                found = self.forward(inputs)
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            shapes = ", ".join(f"{name} {list(inputs[name].shape)}" for name in self.names)
            raise ConfigError(
                f"Expected {type(self.module).__name__} to run on {shapes}; it stopped with: "
                f"{str(error).splitlines()[0] if str(error) else repr(error)}."
            ) from error
        finally:
            self.module.train(was)
        for out in found.values():
            if not isinstance(out, Tensor):
                raise ConfigError(
                    f"Expected {type(self.module).__name__} to return a tensor; received "
                    f"{type(out).__name__}."
                )
        if self.give in found and found[self.give].ndim > 1:
            out = found[self.give]
            self.width = out.shape[1] if self.give == "maps" else out.shape[-1]
        return found


def field_names(fields: dict[str, Field]) -> str:
    """The fields in words, for messages."""
    return ", ".join(f"{name} ({type(field).__name__})" for name, field in fields.items())
