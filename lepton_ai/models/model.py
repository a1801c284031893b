"""Model: a network bound to a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lepton_ai import registry
from lepton_ai.callbacks.callback import Callback
from lepton_ai.data.column import item
from lepton_ai.data.dataset import Dataset, as_dataset
from lepton_ai.data.encoding import encode_inputs
from lepton_ai.data.field import Spec
from lepton_ai.errors import ConfigError, NotReadyError
from lepton_ai.models import binding, intake
from lepton_ai.models.backbones.backbone import Backbone
from lepton_ai.models.predicting import predict_columns
from lepton_ai.tasks.task import Task
from lepton_ai.training.run import Run, start_run
from lepton_ai.training.trainer import Settings, Trainer

variants = {"model": "Model"}


class Model(nn.Module):
    """A network bound to a task; fit it, predict with it, save it.

    Args:
        network: Name of a backbone (``"convnet"``), an ``nn.Module`` of your own, or ``None`` for
            the task's usual one.
        task: What is asked: a task, or its name.
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
        self.specs: dict[str, Spec] = {}
        self.network: Any = None
        self.head: Any = None
        self.run: Run | None = None
        self.seed = 0
        self.lineage: dict[str, Any] = {}
        self.golden: Dataset | None = None
        self.optimization: Any = None
        self.engine: Any = None
        """Answers in the place of the network where the model was optimised: a callable from
        encoded columns to outputs, with a ``name``."""

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

    def bind(self, data: Any, *, seed: int | None = None) -> Model:
        """Meet training data: learn encodings and classes, then build network and head.

        Args:
            data: Training data; only this is learned from.
            seed: Seed of the initial weights; ``None`` draws them from torch's generator.
        """
        typed = self._typed(as_dataset(data).require())
        state = torch.random.get_rng_state()
        if seed is not None:
            torch.manual_seed(seed)
        try:
            self._learn(typed)
            self.build()
            binding.begin(self, typed)
        finally:
            if seed is not None:
                torch.random.set_rng_state(state)
        return self

    def _typed(self, data: Dataset) -> Dataset:
        self.task.adapt(data)
        return self.task.typed(data)

    def _learn(self, data: Dataset) -> None:
        task = self.task
        wishes: dict[str, dict[str, Any]] = {}
        if self.given is None:
            kind = binding.backbone_class(self.usual_backbone(data), task)
            wishes = {
                name: kind.wish(name, field, **self.arguments)
                for name, field in task.inputs.items()
            }
        self.specs = binding.learn_specs(task, data, wishes)

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
        task = self.task
        if self.given is not None:
            self.network = self._wrap(self.given)
        else:
            kind = binding.backbone_class(self.usual_backbone(), task)
            try:
                self.network = kind(self.specs, task.inputs, task.needs(), **self.arguments)
            except TypeError as error:
                raise ConfigError(f"The backbone {self.backbone!r}: {error}.") from error
        self.head = binding.make_head(task, self.network, self.specs)
        self.settle()

    def settle(self) -> None:
        """Lay the weights out as they are fastest; a loaded model has them the same way."""
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.eval()

    def _wrap(self, module: nn.Module) -> Backbone:
        if isinstance(module, Backbone):
            return module
        whole = binding.Whole(module, list(self.task.inputs), self.task.needs())
        if self.task.needs() != "raw":
            rng = np.random.default_rng(0)
            columns = {
                name: field.read([field.sample(rng) for _ in range(2)])
                for name, field in self.task.inputs.items()
            }
            encoded = encode_inputs(self.task.inputs, self.specs, columns)
            whole.measure(self.prepared(encoded.slice(0, 2)))
        return whole

    # -- forward ---------------------------------------------------------------------------

    def prepared(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded inputs as the network reads them; companions go along."""
        inputs = {}
        for name, field in self.task.inputs.items():
            inputs[name] = field.prepare(columns[name], self.specs[name])
            for key, value in columns.items():
                if key.startswith(f"{name}."):
                    inputs[key] = value
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

    # -- fit and predict -------------------------------------------------------------------

    def fit(
        self, data: Any, targets: Any = None, *, validation_data: Any = None,
        validation_split: float = 0.0, epochs: int | None = None, batch_size: int | None = None,
        callbacks: Sequence[Callback] = (), transforms: Sequence[Any] | None = None,
        seed: int | None = None, verbose: int | str = "auto", workspace: Any = None,
        **settings: Any,
    ) -> Run:  # fmt: skip
        """Train on data; returns the run, whose ``history`` is as in Keras.

        Args:
            data: A data set, a mapping of columns, a path, or plain inputs.
            targets: Expected outputs, where ``data`` holds plain inputs only.
            validation_data: What to judge each epoch on, in the same forms (``(x, y)`` too).
            validation_split: Share of ``data`` taken for that instead.
            epochs: Rounds over the data; the task's recipe says how many when ``None``.
            batch_size: Examples in a step; likewise.
            callbacks: Objects of ``lai.callbacks``.
            transforms: Random changes of the training examples; ``None`` takes the recipe's
                unless the data has its own, ``()`` takes none.
            seed: All draws follow from it; ``None`` takes 0.
            verbose: 0 silent, 1 live line, 2 one line per epoch.
            workspace: Where the run is kept.
            settings: Further fields of :class:`~lepton_ai.training.Settings` (``optimizer``,
                ``learning_rate``, ``schedule``, ``precision``, ``clip_norm`` ...).

        Raises:
            LeptonError: Something does not fit; nothing of the model is changed then.
        """
        training = intake.training_data(self.task, data, targets)
        validation = intake.validation_data(self.task, validation_data)
        if validation is None and validation_split:
            training, validation = training.split(validation_split, seed=seed or 0)
        self.seed = 0 if seed is None else int(seed)
        recipe = self._recipe(training)
        chosen = {**recipe, **settings}
        if epochs is not None:
            chosen["epochs"] = epochs
        if batch_size is not None:
            chosen["batch_size"] = batch_size
        resolved = _settings(chosen, verbose=verbose, callbacks=callbacks)
        resolved.check()
        if transforms is None and not training.transforms:
            transforms = self.task.training_recipe(training).get("transforms")
        typed = self._typed(training.apply_transforms(transforms or ()))
        checked = self.task.typed(validation.require()) if validation is not None else None
        if not self.bound:
            self.bind(training, seed=self.seed)
        run = start_run(
            workspace, seed=self.seed, parent=self.run.id if self.run else None,
            config=self._described(resolved), data={"digest": training.digest(),
            "examples": len(training), "name": training.name},
        )  # fmt: skip
        self.engine = None
        self.run = Trainer(self, typed, checked, resolved, run).train()
        self.lineage = {"run": run.id, "data": run.data, "seed": run.seed}
        self.golden = typed.take(np.arange(min(8, len(typed))))
        return run

    def _recipe(self, data: Dataset) -> dict[str, Any]:
        recipe = self.task.training_recipe(data)
        kept = ("backbone", "backbone_arguments", "transforms")
        return {k: v for k, v in recipe.items() if k not in kept}

    def _described(self, settings: Settings) -> dict[str, Any]:
        told = {k: v for k, v in vars(settings).items() if k not in ("callbacks", "verbose")}
        told = {k: v if _plain(v) else repr(v) for k, v in told.items()}
        return {**told, "task": repr(self.task), "network": self.backbone or repr(type(self.given))}

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """Predict examples: columns named as in the data set, with scores beside them.

        Args:
            examples: A data set, a mapping of columns, one example, a list of them, or plain
                values where the task has a single input.
            batch_size: Examples worked on at once, 256 when ``None``.
            options: What the head offers (a confidence, a beam width).

        Raises:
            NotReadyError: The model was not fitted.
            DataError: The examples are not what the task's fields expect.
        """
        self.ready()
        data, single = intake.examples(self.task, examples)
        columns = predict_columns(self, data, batch_size or 256, options)
        if single:
            return {name: item(column, 0) for name, column in columns.items()}
        return columns

    def evaluate(self, data: Any, targets: Any = None, *, return_dict: bool = False,
                 batch_size: int = 256) -> Any:  # fmt: skip
        """Loss and metrics, in order as Keras gives them; ``return_dict=True`` for a dict."""
        from lepton_ai.training.evaluation import evaluate

        taken = intake.training_data(self.task, data, targets)
        figures = evaluate(self.ready(), taken, batch_size=batch_size)
        return figures if return_dict else tuple(figures.values())

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
        if self.given is not None:
            return {"kind": "model", "network": registry.name_of("networks", type(self.given)),
                    "arguments": getattr(self.given, "config", dict)()}  # fmt: skip
        return {"kind": "model", "backbone": self.backbone, "arguments": self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any], task: Task) -> Model:
        """The model that :meth:`to_config` described, not built yet."""
        if "network" in config:
            network = registry.lookup("networks", config["network"])(**config["arguments"])
            return cls(network, task)
        return cls(config["backbone"], task, **config["arguments"])

    def extra_repr(self) -> str:
        return repr(self._task) if self._task is not None else "no task"


def _settings(
    chosen: dict[str, Any], *, verbose: int | str, callbacks: Sequence[Callback]
) -> Settings:
    known = Settings.__dataclass_fields__
    for name in chosen:
        if name not in known:
            raise ConfigError(
                f"fit() does not take {name!r}.{registry.near_miss(name, known)} "
                f"It takes: {', '.join(known)}."
            )
    told: dict[str, Any] = {**chosen, "verbose": verbose, "callbacks": tuple(callbacks)}
    return Settings(**told)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))
