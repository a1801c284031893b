"""Stepping: from gradients to new weights, at the rate that the schedule gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lepton_ai import optimizers
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers import schedules
from lepton_ai.training.settings import Settings


class Stepper:
    """The optimiser of a run with what is done around it: rates, clipping, constraints.

    Args:
        model: Whose parameters learn.
        settings: The run's.
        schedule: Share of the peak rate by progress.

    Raises:
        ConfigError: No parameter can learn.
    """

    def __init__(self, model: Any, settings: Settings, schedule: Any) -> None:
        chosen = _chosen(settings)
        groups = _groups(model, chosen)
        self.optimizer: torch.optim.Optimizer = chosen.make(groups)
        self.peaks: list[float] = [float(group["lr"]) for group in self.optimizer.param_groups]
        own = getattr(chosen, "schedule", None)
        self.schedule = schedule if own is None or settings.schedule is not None else own
        self.constant = self.schedule is schedules.constant
        self.rates: list[float] = []
        self.clip_norm = settings.clip_norm or getattr(chosen, "global_clipnorm", None)
        self.clip_value = settings.clip_value or getattr(chosen, "clipvalue", None)
        self.clip_each = getattr(chosen, "clipnorm", None)
        self.constrained = _constrained(model)

    def scale(self, factor: float) -> None:
        """Multiply the peak rates of all groups."""
        self.peaks = [peak * factor for peak in self.peaks]
        self.rates = []

    def set_rate(self, step: int, total: int) -> None:
        """Set the rates for the step that comes."""
        if self.constant and self.rates == self.peaks:
            return
        progress = min(step / max(total, 1), 1.0)
        at = getattr(self.schedule, "at", None)
        share = at(step, progress) if at is not None else self.schedule(progress)
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        self.rates = list(self.peaks)

    def step(self, parameters: Sequence[Tensor]) -> None:
        """Follow the gradients that ``parameters`` hold."""
        if self.clip_value:
            nn.utils.clip_grad_value_(parameters, self.clip_value, foreach=True)
        if self.clip_each:
            for parameter in parameters:
                nn.utils.clip_grad_norm_(parameter, self.clip_each)
        if self.clip_norm:
            nn.utils.clip_grad_norm_(parameters, self.clip_norm, foreach=True)
        self.optimizer.step()
        for layer in self.constrained:
            layer.constrain()

    def for_training(self) -> None:
        """Weights as they are trained, for optimisers that keep two kinds."""
        turn = getattr(self.optimizer, "train", None)
        if turn is not None:
            turn()

    def for_evaluation(self) -> None:
        """Weights as they are used."""
        turn = getattr(self.optimizer, "eval", None)
        if turn is not None:
            turn()

    def state(self) -> dict[str, Any]:
        """What the optimiser keeps, and the peak rates."""
        return {"optimizer": self.optimizer.state_dict(), "peaks": self.peaks}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.peaks = list(state["peaks"])
        self.rates = []


def resolved(settings: Settings) -> Settings:
    """The settings with what a Keras program says in its optimiser instead of in ``fit``."""
    chosen = _chosen(settings)
    changes: dict[str, Any] = {}
    together = getattr(chosen, "gradient_accumulation_steps", None)
    if settings.gradient_accumulation_steps == 1 and together:
        changes["gradient_accumulation_steps"] = int(together)
    if settings.average_decay is None and getattr(chosen, "use_ema", False):
        changes["average_decay"] = float(chosen.ema_momentum)
    return replace(settings, **changes) if changes else settings


def _chosen(settings: Settings) -> Any:
    rate = settings.learning_rate
    if rate is None and isinstance(settings.optimizer, str):
        rate = getattr(settings.schedule, "reference", None)
    return optimizers.get(settings.optimizer, rate, weight_decay=settings.weight_decay)


def _groups(model: Any, chosen: Any) -> list[Any]:
    """The parameters that learn, in groups where the model says so."""
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigError(
            "Expected parameters that can learn; all of them are frozen, or there are none. Type: "
            "model.unfreeze(), or add a layer with weights."
        )
    grouping = getattr(model, "parameter_groups", None)
    if grouping is None:
        return [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = grouping(
        getattr(chosen, "rate", None) or chosen.learning_rate,
        getattr(chosen, "weight_decay", None),
    )
    names = {id(p): name for name, p in model.named_parameters()}
    return [{**g, "params": [(names[id(p)], p) for p in g["params"]]} for g in groups]


def _constrained(model: nn.Module) -> list[Any]:
    """Layers whose weights are put back into bounds after each step."""
    return [m for m in model.modules() if getattr(m, "constraints", None)]
