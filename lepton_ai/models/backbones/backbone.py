"""Backbone: the network that turns encoded inputs into features.

``forward`` has two steps so that explanations can enter between them: :meth:`Backbone.stem` leads
to the first point at which gradients exist (the prepared picture, the embedded words), and
:meth:`Backbone.features` goes on from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from lepton_ai.data.encoding import Encoded
from lepton_ai.data.field import Field
from lepton_ai.errors import ConfigError

Inputs = dict[str, Tensor]
"""Prepared inputs by name; those of differing length come with ``"<name>.lengths"`` [N]."""


class Backbone(nn.Module, ABC):
    """Inputs to features.

    Subclasses take ``(specs, fields, give, **arguments)``: what the fields learned, the fields
    themselves, and which kind of features is wanted.

    Attributes:
        width: Numbers in one feature vector of the kind that was asked for.
    """

    expects: ClassVar[tuple[str, ...]] = ()
    """Names of the fields it can read (``"image"``, ``"text"`` ...); ``"*"`` any mixture."""
    gives: ClassVar[tuple[str, ...]] = ("pooled",)
    prefers_bfloat16: bool = False
    """Whether training in bfloat16 was measured to be faster where the processor has it."""
    width: int = 0
    plain: int = 0
    """How many of its features, counted from the first, are the input itself."""
    members: int = 1

    @classmethod
    def wish(cls, name: str, field: Field, **arguments: Any) -> dict[str, Any]:
        """How it would like an input to be encoded (``size``, ``max_length`` ...)."""
        return {}

    def adapt(self, encoded: Encoded) -> None:  # noqa: B027 - most learn nothing before training
        """Learn what does not come from gradient steps, once, from encoded training data."""

    @abstractmethod
    def stem(self, inputs: Inputs) -> dict[str, Tensor]:
        """Inputs by name as floats: the first point at which gradients exist, ``[N, ...]``."""

    @abstractmethod
    def features(self, stem: dict[str, Tensor], inputs: Inputs) -> dict[str, Tensor]:
        """From the stem to features: ``{"pooled": [N, width]}`` or what was asked for."""

    def forward(self, inputs: Inputs) -> dict[str, Tensor]:
        return self.features(self.stem(inputs), inputs)

    def single(self, inputs: dict[str, Any]) -> str:
        """The name of the only input.

        Raises:
            ConfigError: There are several.
        """
        names = [name for name in inputs if "." not in name]
        if len(names) != 1:
            raise ConfigError(
                f"{type(self).__name__} reads one input; received {', '.join(names) or 'none'}."
            )
        return names[0]
