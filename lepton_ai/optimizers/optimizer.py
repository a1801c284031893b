"""The contract of optimisers: Keras's names and arguments in front, a ``torch.optim`` one behind.

An :class:`Optimizer` is a recipe. It stores its arguments, checks them, and ``make(parameters)``
gives the ``torch.optim.Optimizer`` that trains. What concerns the gradient before the step
(clipping, accumulation) and the weights after it (their running mean) are arguments here as in
Keras, and are done by the trainer, which reads these attributes.

Weight decay is apart from the gradient in every optimiser, as in Keras (Loshchilov and Hutter
2019): a step first takes ``learning_rate * weight_decay`` of each matrix away. Biases, scales and
other vectors do not decay, unless a group of parameters says its own ``"weight_decay"``.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, TypedDict, Unpack

import torch

from lepton_ai import registry
from lepton_ai.errors import ConfigError
from lepton_ai.optimizers.groups import Group, read_groups, split
from lepton_ai.optimizers.schedule_objects import LearningRateSchedule


class Common(TypedDict, total=False):
    """Keras's arguments that every optimiser has besides ``learning_rate`` and ``weight_decay``."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: None
    loss_scale_factor: None
    gradient_accumulation_steps: int | None
    name: str | None


_COMMON: dict[str, Any] = {
    "clipnorm": None, "clipvalue": None, "global_clipnorm": None, "use_ema": False,
    "ema_momentum": 0.99, "gradient_accumulation_steps": None, "name": None,
}  # fmt: skip
_UNUSED = {
    "ema_overwrite_frequency": "The mean takes the place of the weights once, after the last step",
    "loss_scale_factor": "float32 and bfloat16, in which models are trained, need no scaling",
}
_USUAL: dict[str, Any] = {
    "learning_rate": 0.001, "weight_decay": 0.01, "clipnorm": 1.0, "clipvalue": 0.5,
    "global_clipnorm": 1.0, "gradient_accumulation_steps": 4,
}  # fmt: skip


class Optimizer(ABC):
    """How parameters follow their gradients.

    Args:
        learning_rate: Size of the steps, above 0, or an object of
            :mod:`lepton_ai.optimizers.schedules`, which gives it for each step.
        weight_decay: Share of each matrix, times the learning rate, that a step takes away.
        clipnorm: Largest norm of the gradient of each parameter.
        clipvalue: Largest size of each number in the gradient.
        global_clipnorm: Largest norm of the whole gradient. At most one of the three is given.
        use_ema: Whether a running mean of the weights takes their place after training.
        ema_momentum: How much of that mean stays in each step.
        gradient_accumulation_steps: Batches whose mean gradient makes one step.
        name: A name of your own; changes nothing.

    Raises:
        ConfigError: An argument that cannot be, or that the optimiser does not have.
    """

    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    gradient_accumulation_steps: int | None = None
    name: str | None = None

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        given: dict[str, Any] = dict(common)
        self._refuse(given)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        for name, usual in _COMMON.items():
            setattr(self, name, given.get(name, usual))
        self._check()

    def _refuse(self, given: dict[str, Any]) -> None:
        """Refuse arguments that are unknown, or that have no effect here."""
        for name, value in given.items():
            if name in _UNUSED and value is not None:
                raise ConfigError(
                    f"Expected {name}=None; received {value!r}. {_UNUSED[name]}. Leave it out."
                )
            if name not in _COMMON and name not in _UNUSED:
                known = [*self._own(), *_COMMON]
                raise ConfigError(
                    f"Expected arguments of {type(self).__name__} ({', '.join(known)}); received "
                    f"{name!r}.{registry.near_miss(name, known)}"
                )

    def _own(self) -> list[str]:
        """The names of the constructor's own arguments, in their order."""
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        parameters = inspect.signature(type(self)).parameters.values()
        return [p.name for p in parameters if p.kind in kinds]

    # -- checks ------------------------------------------------------------------------------

    def _check(self) -> None:
        """Refuse what cannot be among the arguments that all optimisers have."""
        if not isinstance(self.learning_rate, LearningRateSchedule):
            usual = "or a schedule. Usual values are between 0.0001 and 0.1"
            self._demand(lambda v: v > 0, f"above 0, {usual}", "learning_rate", article="a ")
        self._expect_at_least_0("weight_decay")
        clips = ("clipnorm", "clipvalue", "global_clipnorm")
        self._expect_above_0(*clips)
        given = [name for name in clips if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(
                f"Expected at most one of {', '.join(clips)}; received {' and '.join(given)}. "
                f"Type {given[0]}={getattr(self, given[0])!r} alone."
            )
        self._expect_share("ema_momentum")
        if not isinstance(self.use_ema, bool):
            raise ConfigError(f"Expected use_ema=True or use_ema=False; received {self.use_ema!r}.")
        steps = self.gradient_accumulation_steps
        whole = isinstance(steps, int) and not isinstance(steps, bool)
        if steps is not None and not (whole and steps >= 1):
            raise ConfigError(
                "Expected gradient_accumulation_steps as a whole number above 0, or None; received "
                f"{steps!r}. Type gradient_accumulation_steps=4, for example."
            )

    def _expect_share(self, *names: str) -> None:
        """These arguments are from 0 to below 1."""
        self._demand(lambda value: 0 <= value < 1, "from 0 to below 1", *names)

    def _expect_above_0(self, *names: str) -> None:
        """These arguments are above 0."""
        self._demand(lambda value: value > 0, "above 0", *names)

    def _expect_at_least_0(self, *names: str) -> None:
        """These arguments are 0 or above."""
        self._demand(lambda value: value >= 0, "of at least 0", *names)

    def _demand(
        self, fits: Callable[[Any], bool], wanted: str, *names: str, article: str = ""
    ) -> None:
        """These arguments are finite numbers that fit; None stands where Keras has None."""
        parameters = inspect.signature(type(self)).parameters
        for name in names:
            value = getattr(self, name)
            usual = parameters[name].default if name in parameters else _COMMON.get(name)
            if value is None and usual is None:
                continue
            number = isinstance(value, Real) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and fits(value)):
                example = usual if isinstance(usual, float) and fits(usual) else _USUAL.get(name, 0)
                raise ConfigError(
                    f"Expected {article}{name} {wanted}; received {value!r}. "
                    f"Type {name}={example!r}, for example."
                )
            setattr(self, name, int(value) if isinstance(value, int) else float(value))

    # -- what it is --------------------------------------------------------------------------

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule that was given as the learning rate, if one was."""
        rate = self.learning_rate
        return rate if isinstance(rate, LearningRateSchedule) else None

    @property
    def rate(self) -> float:
        """The learning rate as a number: what a share of 1 of the schedule stands for."""
        rate = self.learning_rate
        return rate.reference if isinstance(rate, LearningRateSchedule) else float(rate)

    @abstractmethod
    def make(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """PyTorch's optimiser over these parameters.

        Args:
            parameters: Tensors; or pairs of a name and a tensor, as ``named_parameters()`` gives
                them; or groups, ``{"params": [...]}``, each with its own ``"lr"`` and
                ``"weight_decay"`` if wished. What a group says of its decay holds for all in it.

        Raises:
            ConfigError: There is no parameter, one is there twice, or a group cannot be.
        """

    def _groups(self, parameters: Iterable[Any]) -> list[dict[str, Any]]:
        """The groups for PyTorch: each with its rate, and matrices apart where they decay."""
        decay = self.weight_decay or 0.0
        return [part for group in self._read(parameters) for part in split(group, decay)]

    def _read(self, parameters: Iterable[Any]) -> list[Group]:
        return read_groups(parameters, self.rate)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values; of the common ones, those in use."""
        arguments = self._arguments()
        if isinstance(self.learning_rate, LearningRateSchedule):
            arguments["learning_rate"] = self.learning_rate.to_config()
        return arguments

    def _arguments(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self._own() if hasattr(self, name)}
        common = {name: getattr(self, name) for name in _COMMON}
        return own | {name: value for name, value in common.items() if value != _COMMON[name]}

    def to_config(self) -> dict[str, Any]:
        """The optimiser as JSON: its registered name and its arguments."""
        return {"optimizer": registry.name_of("optimizers", type(self)), **self.config()}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"
