"""Compiling: the choice of optimiser, losses and metrics, as in Keras."""

from __future__ import annotations

from typing import Any

import torch

from lepton_ai import optimizers, registry
from lepton_ai.data.dataset import Dataset
from lepton_ai.errors import ConfigError
from lepton_ai.losses.loss import activate
from lepton_ai.tasks.supervised import Supervised
from lepton_ai.training.settings import Settings

ALIASES = {
    "clipnorm": "clip_norm", "global_clipnorm": "clip_norm", "clipvalue": "clip_value",
    "ema": "average_decay", "use_ema": "average_decay", "ema_momentum": "average_decay",
    "jit_compile": "compile",
}  # fmt: skip
"""What Keras calls some of the settings."""
_HINTS = ("run_eagerly", "steps_per_execution", "auto_scale_loss", "workers",
          "use_multiprocessing", "max_queue_size")  # fmt: skip


class Compiled:
    """``compile`` of models; mixed into :class:`~lepton_ai.models.model.Model`."""

    compiled: dict[str, Any] | None

    def compile(  # type: ignore[override]
        self, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = (), *,
        loss_weights: Any = None, weighted_metrics: Any = (), **settings: Any,
    ) -> None:  # fmt: skip
        """Choose optimiser, losses and metrics.

        With several outputs, losses, weights and metrics are one for all, a list in the order of
        the outputs, or a dict by their names.

        Args:
            optimizer: Name or one of ``lai.optimizers``.
            loss: Name, one of ``lai.losses``, or a function ``(expected, predicted)``. A model with
                a task has the loss of its task: leave it out.
            metrics: Names or objects of ``lai.metrics``.
            loss_weights: How much the loss of each output counts in the sum.
            weighted_metrics: Metrics that count examples by their ``sample_weight``.
            settings: Defaults of ``fit``'s further settings (``precision``, ``schedule``).

        Raises:
            ConfigError: There is no loss, or one does not fit the network's end.
            UnknownNameError: A name is not known; the near miss is offered.
        """
        model: Any = self
        chosen = settings_of(settings)
        made = optimizers.get(optimizer)
        told = {"optimizer": optimizer if isinstance(optimizer, str) else made, **chosen}
        if model._task is not None and not isinstance(model._task, Supervised):
            if loss is not None or metrics or weighted_metrics or loss_weights:
                raise ConfigError(
                    f"Expected compile() without loss and metrics for {model._task!r}, which has "
                    "its own. Type: model.compile(optimizer='adam')."
                )
            self.compiled = told
            return
        if loss is None:
            raise ConfigError(
                "Expected a loss. Type: model.compile(optimizer='adam', "
                "loss='categorical_crossentropy'), or another of "
                f"{', '.join(registry.names('losses'))}."
            )
        if model.backbone is not None:
            raise ConfigError(
                f"Expected a task for the backbone {model.backbone!r}, which gives features and no "
                f"outputs. Type: lai.Model({model.backbone!r}, 'image_classification')."
            )
        task = Supervised(
            loss, metrics, loss_weights=loss_weights, weighted_metrics=weighted_metrics
        )
        task.plain = None  # known once data is seen
        self._take_task(task)
        self.compiled = told

    def _take_task(self, task: Supervised) -> None:
        model: Any = self
        names, ends = model.output_names(), model.ends()
        before: Any = model._task
        if model.bound:
            names = list(before.outputs)
        if names:
            task.judge(names)
        if ends and (names or len(ends) == 1):
            task.end(ends, names or ["y"])
            task.judges = {}
        if model.bound:
            task.wire(before.inputs, before.outputs, plain=bool(before.plain), form=before.form)
            task.end(ends or ["linear"] * len(names))
            model.head = task.head(0, model.specs)
            model.check_answers()
        model.task = task

    def _recipe(self, data: Dataset) -> dict[str, Any]:
        """Defaults of ``fit``: those of the task's recipe, and what was compiled."""
        model: Any = self
        if isinstance(model.task, Supervised):
            return dict(self.compiled or {"epochs": 1})
        recipe = model.task.training_recipe(data)
        kept = ("backbone", "backbone_arguments", "transforms")
        chosen = {k: v for k, v in recipe.items() if k not in kept}
        if self.compiled:
            chosen.pop("learning_rate", None)
        return {**chosen, **(self.compiled or {})}


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """Settings by our names, from ours and Keras's.

    Raises:
        ConfigError: A name that is no setting; the near miss is offered.

    Example:
        >>> settings_of({"clipnorm": 1.0, "ema": True})
        {'clip_norm': 1.0, 'average_decay': 0.999}
    """
    known = Settings.__dataclass_fields__
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if name in _HINTS:
            continue
        key = ALIASES.get(name, name)
        if key not in known:
            if name in ALIASES:
                continue  # a hint that this version has no use for
            raise ConfigError(
                f"fit() does not take {name!r}.{registry.near_miss(name, known)} "
                f"It takes: {', '.join(known)}."
            )
        if key == "average_decay" and isinstance(value, bool):
            value = 0.999 if value else None
        chosen[key] = value
    return chosen


def check_probabilities(task: Supervised, outputs: dict[str, torch.Tensor]) -> None:
    """Refuse losses of classes over outputs that are no probabilities, and the other way round.

    Args:
        task: What was compiled, its ends known.
        outputs: What the network gave for some examples, by name.

    Raises:
        ConfigError: A network that ends without an activation, and a loss that expects one.
    """
    for name, judge in task.judge().items():
        if judge.activation != "linear" or not judge.loss.classes or name not in outputs:
            continue
        values = outputs[name].float()
        shares = bool((values >= 0).all() and (values <= 1).all())
        sums = values.sum(-1)
        whole = values.shape[-1] > 1 and bool(torch.allclose(sums, torch.ones_like(sums)))
        kind = type(judge.loss).__name__
        takes = "from_logits" in vars(judge.loss)
        if takes and not judge.loss.from_logits and not shares:
            raise ConfigError(
                f"Expected probabilities for {kind}; the network ends without an activation and "
                f"gave {float(values.min()):.3g} to {float(values.max()):.3g} for {name!r}. Type: "
                f"loss=lai.losses.{kind}(from_logits=True), or end in "
                f"Activation({'softmax' if values.shape[-1] > 1 else 'sigmoid'!r})."
            )
        if takes and judge.loss.from_logits and shares and whole:
            raise ConfigError(
                f"Expected outputs without an activation, as from_logits=True says; those of "
                f"{name!r} are probabilities already, so softmax would be applied twice. Type: "
                f"loss=lai.losses.{kind}()."
            )


def activated_ends(task: Supervised, outputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Outputs after their last activation, by name."""
    return {name: activate(outputs[name], judge.activation) for name, judge in task.judge().items()}
