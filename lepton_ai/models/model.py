"""Model: a network bound to a task."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.field import Spec
from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.heads.head import Head
from lepton_ai.layers.symbol import symbolic
from lepton_ai.models import assembling, binding, subclassing
from lepton_ai.models.backbones.backbone import Backbone
from lepton_ai.models.compiling import Compiled
from lepton_ai.models.entry import Entry
from lepton_ai.models.fitting import Fitted
from lepton_ai.models.gathering import Given
from lepton_ai.models.layering import Layered, hold_still
from lepton_ai.models.predicting import Predicted
from lepton_ai.models.transferring import Inherited, Transferred
from lepton_ai.models.wiring import wire
from lepton_ai.tasks.supervised import Supervised
from lepton_ai.tasks.task import Task
from lepton_ai.training.run import Run

variants = {"model": "Model"}


class Model(Compiled, Fitted, Predicted, Layered, Transferred, nn.Module):
    """A network bound to a task; fit it, predict with it, save it.

    ``Model(inputs=..., outputs=...)`` makes a network of layers called on
    :func:`~lepton_ai.layers.symbol.Input` (see :class:`~lepton_ai.models.functional.Functional`).
    A class of your own with ``call(self, x)`` (or ``forward``) is a network itself; it is compiled,
    or handed a task by ``super().__init__(task=...)``.

    Args:
        network: Name of a backbone (``"convnet"``), an ``nn.Module`` of your own, or ``None`` for
            the task's usual one.
        task: What is asked: a task, or its name; ``None`` when it will be compiled.
        arguments: What the backbone takes (``filters=(32, 64)``).

    Raises:
        UnknownNameError: No backbone or task has that name; the near miss is offered.

    Example:
        >>> import numpy as np
        >>> from lepton_ai.tasks import ImageClassification
        >>> pictures = np.random.default_rng(0).integers(0, 255, (32, 16, 16, 3), dtype="uint8")
        >>> data = {"image": pictures, "label": ["cat", "dog"] * 16}
        >>> model = Model("convnet", ImageClassification(), filters=(8,))
        >>> run = model.fit(data, epochs=1, verbose=0)
        >>> sorted(model.predict({"image": pictures[:2]}))
        ['label', 'label.scores']
    """

    def __new__(cls, *args: Any, **named: Any) -> Any:
        """``Model(inputs=..., outputs=...)`` is a :class:`Functional`."""
        if cls is Model and ("inputs" in named or "outputs" in named or symbolic(args)):
            from lepton_ai.models.functional import Functional

            cls = Functional
        made = super().__new__(cls)
        if hasattr(cls, "call"):
            vars(made)["_made_with"] = (args, named)
        return made

    def __init_subclass__(cls, **named: Any) -> None:
        """``forward`` of a class of one's own is its ``call``: ours works on encoded columns."""
        super().__init_subclass__(**named)
        if "forward" in vars(cls):
            if "call" not in vars(cls):
                cls.call = vars(cls)["forward"]  # type: ignore[unresolved-attribute]
            delattr(cls, "forward")

    def __init__(
        self, network: str | nn.Module | None = None, task: Task | str | None = None,
        **arguments: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(task, str):
            task = registry.lookup("tasks", task)()
        if task is not None and not isinstance(task, Task):
            raise ConfigError(
                f"Expected a task or its name; received {type(task).__name__}. Known names: "
                f"{', '.join(registry.names('tasks'))}."
            )
        if isinstance(network, str):
            network = registry.canonical("backbones", network)
        elif network is not None and not isinstance(network, nn.Module):
            raise ConfigError(
                "Expected the name of a backbone or an nn.Module; received "
                f"{type(network).__name__}. Names: {', '.join(registry.names('backbones'))}."
            )
        self._task = task
        self.given = network if isinstance(network, nn.Module) else None
        self.backbone = network if isinstance(network, str) else None
        self.arguments = arguments
        self.name = type(self).__name__.lower()
        self.specs: dict[str, Spec] = {}
        self.network: Any = None
        self.head: Any = None
        self.compiled: dict[str, Any] | None = None
        self.learning_rates: dict[str, float] = {}
        self._wishes: list[Any] = []
        self._entries: dict[str, Entry] = {}
        self.inherited: Inherited | None = None
        self.run: Run | None = None
        self.seed = 0
        self.lineage: dict[str, Any] = {}
        self.golden: Dataset | None = None
        self.optimization: Any = None
        self.engine: Any = None
        """Answers in the place of the network where the model was optimised: a callable from
        encoded columns to outputs, with a ``name``."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("network", "head") and not isinstance(value, (Backbone, Head, type(None))):
            raise ConfigError(
                f"Expected another name for a layer than {name!r}, which models keep for "
                f"themselves. Type: self.{'body' if name == 'network' else 'top'} = ..."
            )
        super().__setattr__(name, value)

    # -- what it is ------------------------------------------------------------------------

    @property
    def task(self) -> Task:
        """What is asked.

        Raises:
            NotReadyError: The model has no task yet.
        """
        if self._task is None:
            raise NotReadyError(
                "Expected a model with a task; this one has none. Type: model.compile(optimizer="
                "'adam', loss='categorical_crossentropy'), or Model(network, task)."
            )
        return self._task

    @task.setter
    def task(self, task: Task) -> None:
        self._task = task

    @property
    def bound(self) -> bool:
        """Whether the network is there: after ``fit``, ``bind`` or ``load``."""
        return self.network is not None and self.head is not None

    def ready(self) -> Model:
        """Itself when it is bound.

        Raises:
            NotReadyError: It was not fitted yet.
        """
        if not self.bound:
            raise NotReadyError(
                "Expected a fitted model; this one has not met any data. Type: model.fit(data)."
            )
        return self

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    # -- what a network says of itself; Sequential and Functional say more -------------------

    def entries(self) -> dict[str, Entry]:
        """What the network reads, by the names of its inputs; empty when it does not say."""
        return dict(getattr(self.given, "entries", {}))

    def output_names(self) -> list[str]:
        """The names of what the network gives; empty when it does not say."""
        return list(getattr(self.given, "outputs", []))

    def ends(self) -> list[str]:
        """The last activation of each output, where it is left to the loss; empty: unknown."""
        return list(getattr(self.given, "activations", {}).values())

    def module(self) -> nn.Module | None:
        """The network where it is the user's own; ``None`` for a backbone by its name."""
        if self.given is None and hasattr(self, "call"):
            return subclassing.Called(self)
        return self.given

    # -- binding ---------------------------------------------------------------------------

    def meet(self, given: Given) -> None:
        """Let a compiled task see the first data: which columns go in, which come out."""
        task = self.task
        if isinstance(task, Supervised) and not task.wired and not self.bound:
            wire(task, given, self.entries(), self.output_names())

    def bind(self, data: Any, *, seed: int | None = None) -> Model:
        """Meet training data: learn encodings and classes, then build network and head.

        Args:
            data: Training data; only this is learned from.
            seed: Seed of the initial weights; ``None`` draws them from torch's generator.
        """
        self.meet(Given(data))
        typed = self._typed(as_dataset(data).require())
        state = torch.random.get_rng_state()
        if seed is not None:
            torch.manual_seed(seed)
            self.draw_again()
        try:
            self._learn(typed)
            self.build()
            binding.begin(self, typed)
        finally:
            if seed is not None:
                torch.random.set_rng_state(state)
        return self

    def draw_again(self) -> None:
        """Draw weights afresh that were drawn before there was a seed; others stay."""

    def unbind(self) -> None:
        """Forget the network and the head that a refused ``fit`` made."""
        self.network = self.head = None
        self.specs = {}

    def _typed(self, data: Dataset) -> Dataset:
        self.task.adapt(data)
        return self.task.typed(data)

    def _learn(self, data: Dataset) -> None:
        task = self.task
        wishes: dict[str, dict[str, Any]] = {}
        if self.module() is None:
            kind = binding.backbone_class(self.usual_backbone(data), task)
            wishes = {
                name: kind.wish(name, field, **self.arguments)
                for name, field in task.inputs.items()
            }
        else:
            entries = assembling.entries_of(self)
            wishes = {n: entries[n].wish(f) for n, f in task.inputs.items() if n in entries}
        self.specs = binding.learn_specs(task, data, wishes)
        if isinstance(task, Supervised):
            self.specs = task.learned(self.specs)
        if self.inherited is not None:
            self.specs |= self.inherited.specs_for(task)

    def usual_backbone(self, data: Dataset | None = None) -> str:
        """The backbone's name, the task's usual one when none was chosen."""
        if self.backbone is None:
            recipe = self.task.training_recipe(data) if data is not None else self.task.recipe
            if "backbone" not in recipe:
                raise ConfigError(
                    f"{self.task!r} has no usual backbone. Type: Model(network, task) with one of "
                    f"{', '.join(registry.names('backbones'))}."
                )
            self.backbone = recipe["backbone"]
            self.arguments = {**recipe.get("backbone_arguments", {}), **self.arguments}
        return self.backbone

    def build(self) -> None:
        """Make network and head from what was learned; weights are fresh."""
        assembling.assemble(self)
        self.settle()

    def settle(self) -> None:
        """Lay the weights out as they are fastest; a loaded model has them the same way."""
        assembling.lay_out(self)
        self.grant_wishes()
        self.eval()

    def check_answers(self) -> None:
        """Refuse a loss that does not fit what the network gives.

        Raises:
            ConfigError: The message says which loss, or which last layer, to type.
        """
        assembling.check_answers(self)

    def train(self, mode: bool = True) -> Model:
        """As in torch; frozen normalisations by the batch stay as they are used."""
        super().train(mode)
        hold_still(self)
        return self

    # -- forward ---------------------------------------------------------------------------

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Run on encoded columns; on symbols or plain tensors, run the network itself."""
        if args and subclassing.as_columns(args[0]):
            return super().__call__(*args, **named)
        return self.direct(*args, **named)

    def direct(self, *args: Any, **named: Any) -> Any:
        """The network itself on tensors, as they are; a class of one's own runs its ``call``."""
        if hasattr(self, "call"):
            return self.call(*args, **named)
        if self.given is not None:
            return self.given(*args, **named)
        raise ConfigError(
            f"Expected encoded columns; received {type(args[0]).__name__ if args else 'nothing'}. "
            "Type: model.predict(examples)."
        )

    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded inputs as the network reads them; companions go along."""
        inputs = {}
        for name, field in self.task.inputs.items():
            value = field.prepare(columns[name], self.specs[name])
            entry = self._entries.get(name)
            inputs[name] = value if entry is None else entry.value(field, value)
            for key, companion in columns.items():
                if key.startswith(f"{name}."):
                    inputs[key] = companion
        return inputs

    def forward(
        self, columns: dict[str, Tensor], targets: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Encoded inputs to outputs, companions of the inputs along with them."""
        inputs = self.prepared(columns)
        outputs = self.head(self.network(inputs), targets)
        return {**{k: v for k, v in inputs.items() if "." in k}, **outputs}

    def outputs(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by the engine that answers: the network itself, or its optimised form."""
        return self(columns) if self.engine is None else self.engine(columns)

    # -- what it looks like ------------------------------------------------------------------

    def summary(self) -> str:
        """Show a table of the layers: output shapes, parameters, operations, memory.

        Operations (FLOPs) are those of one example, a multiplication with its addition counted as
        two. The table is printed, and returned as text.
        """
        from lepton_ai.models.overview import show

        return show(self)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the layers and how they hang together; returns matplotlib's figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from lepton_ai.models.plotting import draw

        return draw(self, path)

    # -- saving ----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as a folder of JSON and safetensors, each file with its hash."""
        from lepton_ai.models.artifact import save

        save(self.ready(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Read a model that :meth:`save` wrote.

        Raises:
            ArtifactError: A file is missing, changed, of a foreign format, or names something
                that no registry holds; no weight was touched then.
        """
        from lepton_ai.models.artifact import load

        return load(path)

    def to_config(self) -> dict[str, Any]:
        """The architecture as JSON."""
        return assembling.architecture(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], task: Task) -> Model:
        """The model that :meth:`to_config` described, not built yet."""
        if hasattr(cls, "call"):
            model = cls(**config["arguments"])
            model.task = task
            return model
        if "network" in config:
            network = registry.lookup("networks", config["network"])(**config["arguments"])
            return cls(network, task)
        return cls(config["backbone"], task, **config["arguments"])

    def extra_repr(self) -> str:
        return repr(self._task) if self._task is not None else "no task"
