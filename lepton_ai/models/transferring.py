"""Transferring: a new model that begins with the layers and weights of another."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.field import Spec
from lepton_ai.errors import ConfigError
from lepton_ai.tasks.task import Task


@dataclass
class Inherited:
    """What a model takes over from another when it is built.

    Attributes:
        task: The other's task.
        specs: How its inputs are encoded.
        weights: Those of its backbone; ``None`` where the layers themselves are shared.
    """

    task: Task | None
    specs: dict[str, Spec]
    weights: dict[str, Tensor] | None = None

    def specs_for(self, task: Task) -> dict[str, Spec]:
        """The encodings of inputs that are of the same kind, in their order."""
        if self.task is None:
            return {}
        before = list(self.task.inputs.items())
        found = {}
        for (name, field), (other, kind) in zip(task.inputs.items(), before, strict=False):
            if type(field) is type(kind) and other in self.specs:
                found[name] = copy.deepcopy(self.specs[other])
        return found

    def put_into(self, network: nn.Module) -> None:
        """Load the weights.

        Raises:
            ConfigError: The network has other weights.
        """
        if self.weights is None:
            return
        expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
        received = {name: tuple(t.shape) for name, t in self.weights.items()}
        if expected != received:
            odd = sorted(set(expected.items()) ^ set(received.items()))[0][0]
            raise ConfigError(
                f"Expected a task whose inputs look like those of the first; {odd!r} differs. "
                "Name and order the inputs as there, or begin with fresh weights: "
                "lai.Model(network, task)."
            )
        network.load_state_dict(self.weights)


class Transferred:
    """A model's way into another; mixed into :class:`~lepton_ai.models.model.Model`."""

    def to_torch(self) -> nn.Module:
        """Plain PyTorch with the same weights; see :func:`lepton_ai.models.to_torch`."""
        from lepton_ai.models.interop import to_torch

        return to_torch(self)

    def to_keras(self) -> Any:
        """A Keras model with the same weights; see :func:`lepton_ai.models.to_keras`."""
        from lepton_ai.models.interop import to_keras

        return to_keras(self)

    def with_head(self, *head: Any, drop: int = 1) -> Any:
        """A new model that begins with this one's layers and weights (transfer learning).

        Args:
            head: A task (or its name), whose head is put on the features; or layers that come in
                the place of the last one, for a network of layers.
            drop: How many of the last layers of a network of layers are left away.

        Raises:
            ConfigError: The network gives no features that the task's head could use.

        Example:
            >>> from lepton_ai import layers
            >>> from lepton_ai.models import Sequential
            >>> base = Sequential([layers.Dense(8, input_shape=(4,)), layers.Dense(2)])
            >>> model = base.with_head(layers.Dense(3, activation="softmax"))
            >>> [layer.units for layer in model.layers]
            [8, 3]
        """
        model: Any = self
        if head and all(isinstance(one, nn.Module) for one in head):
            return _with_layers(model, list(head), drop)
        if len(head) != 1:
            raise ConfigError(
                "Expected a task, its name, or layers; received "
                f"{', '.join(type(one).__name__ for one in head) or 'nothing'}. Type: "
                "model.with_head('image_classification')."
            )
        task = registry.lookup("tasks", head[0])() if isinstance(head[0], str) else head[0]
        if not isinstance(task, Task):
            raise ConfigError(
                f"Expected a task or its name; received {type(task).__name__}. Known names: "
                f"{', '.join(registry.names('tasks'))}."
            )
        return (
            _on_graph(model, task, drop)
            if hasattr(model, "features_graph")
            else (_on_backbone(model, task))
        )


def _on_backbone(model: Any, task: Task) -> Any:
    """A backbone by its name, with its weights where it has some."""
    from lepton_ai.models.model import Model

    if model.backbone is None and model.given is None:
        raise ConfigError(
            f"Expected a model with a backbone, or a network of layers; {type(model).__name__} is "
            "neither. Make its features a module and type: lai.Model(module, task)."
        )
    if model.bound and model.task.needs() != task.needs():
        raise ConfigError(
            f"Expected a task whose head needs {model.task.needs()!r}, which this network gives; "
            f"that of {task!r} needs {task.needs()!r}."
        )
    if model.given is not None:
        made = Model(copy.deepcopy(model.given), task)
        made.inherited = Inherited(model._task, dict(model.specs))
        return made
    made = Model(model.backbone, task, **model.arguments)
    if model.bound:
        weights = {n: t.detach().clone() for n, t in model.network.state_dict().items()}
        made.inherited = Inherited(model.task, dict(model.specs), weights)
    return made


def _on_graph(model: Any, task: Task, drop: int) -> Any:
    """The layers of a network without the last ones, as features for a task's head."""
    from lepton_ai.models.model import Model

    made = Model(model.features_graph(drop), task)
    if model.bound:
        made.inherited = Inherited(model.task, dict(model.specs))
    return made


def _with_layers(model: Any, head: list[Any], drop: int) -> Any:
    if not hasattr(model, "extended_by"):
        raise ConfigError(
            f"Expected a network of layers to put layers on; {type(model).__name__} is none. Type: "
            "model.with_head(task), or lai.Model(inputs=..., outputs=...)."
        )
    return model.extended_by(head, drop)
