"""Transform: changes whole examples, so that boxes and masks follow their image.

A transform draws one parameter per sample, for a whole epoch at once, from (seed, epoch, sample
index) only: order, batch size, worker count and resuming do not change what a sample gets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai import registry
from lepton_ai.data.field import Field
from lepton_ai.errors import ConfigError

Parameters = dict[str, Tensor]


class Transform(ABC):
    """Changes encoded examples; constructors only store their arguments."""

    random: ClassVar[bool] = True
    """Whether it draws: a transform that does not is applied alike to every sample."""
    family: ClassVar[str] = ""
    """Transforms of one family that follow one another are applied together."""

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return dict(vars(self))

    def to_config(self) -> dict[str, Any]:
        """The transform as JSON: its registered name and its arguments."""
        return {"transform": registry.name_of("transforms", type(self)), **self.config()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> Parameters:
        """One parameter per sample, as columns whose first axis has ``count`` entries."""

    @abstractmethod
    def apply(
        self, columns: dict[str, Tensor], parameters: Parameters, fields: dict[str, Field]
    ) -> dict[str, Tensor]:
        """Change a batch of encoded columns by the parameters of its samples, all at once."""

    @classmethod
    def apply_together(
        cls, steps: Sequence[tuple[Transform, Parameters]], columns: dict[str, Tensor],
        fields: dict[str, Field],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Apply transforms of one family that follow one another."""
        for transform, parameters in steps:
            columns = transform.apply(columns, parameters, fields)
        return columns


def resolve(transforms: Sequence[str | Transform]) -> tuple[Transform, ...]:
    """Transforms from names, objects, or a mixture of both.

    Raises:
        UnknownNameError: A name that is not a transform; the near miss is offered.
    """
    if isinstance(transforms, (str, Transform)):
        transforms = [transforms]
    resolved = []
    for transform in transforms:
        if isinstance(transform, str):
            transform = registry.lookup("transforms", transform)()
        if not isinstance(transform, Transform):
            raise ConfigError(
                "Expected the name of a transform or a Transform; received "
                f"{type(transform).__name__}. Names: {', '.join(registry.names('transforms'))}."
            )
        resolved.append(transform)
    return tuple(resolved)


class EpochTransforms:
    """The transforms of one data set with the parameters of one epoch drawn for every sample.

    Args:
        transforms: In the order in which they are applied.
        fields: The fields of the columns that they meet.
        count: How many samples the data set holds.
        seed: The seed of the run.
        epoch: Which epoch; evaluation uses -1 every time.
    """

    def __init__(
        self, transforms: Sequence[Transform], fields: dict[str, Field], *, count: int, seed: int,
        epoch: int,
    ) -> None:  # fmt: skip
        self.transforms = transforms
        self.fields = fields
        self.parameters = [
            transform.draw(np.random.default_rng([seed & 0xFFFFFFFF, epoch + 1, place]), count)
            for place, transform in enumerate(transforms)
        ]

    def __call__(self, columns: dict[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
        """Apply them to the batch of the samples at ``indices``."""
        steps = [
            (transform, {name: values[indices] for name, values in drawn.items()})
            for transform, drawn in zip(self.transforms, self.parameters, strict=True)
        ]
        for _, run in groupby(enumerate(steps), key=lambda pair: pair[1][0].family or pair[0]):
            together = [step for _, step in run]
            columns = together[0][0].apply_together(together, columns, self.fields)
        return columns


def spatial(columns: dict[str, Tensor], fields: dict[str, Field]) -> list[tuple[str, bool]]:
    """The columns that lie in the plane of the picture: ``(name, is a mask of classes)``.

    They are the tensors of four axes (pictures, ``[N, C, H, W]``) and the masks, ``[N, H, W]``.
    """
    found = []
    for name, values in columns.items():
        field = fields.get(name)
        plane = getattr(field, "plane", None)
        if plane in ("picture", "mask") and isinstance(values, torch.Tensor):
            found.append((name, plane == "mask"))
    return found
