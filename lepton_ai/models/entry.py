"""Entry: what one input of a network of layers has to look like, and how a field gets there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.data.field import Field, Spec
from lepton_ai.data.fields.array import Array
from lepton_ai.data.fields.image import Image
from lepton_ai.data.fields.label import Label
from lepton_ai.data.fields.number import Number
from lepton_ai.data.fields.text import Text
from lepton_ai.errors import ConfigError, ShapeError
from lepton_ai.layers.layout import Shape, from_written

_NUMBERS = ("Embedding", "TokenAndPositionEmbedding")


@dataclass(frozen=True)
class Entry:
    """What one input of a network has to look like.

    Attributes:
        shape: Its shape without the batch, channels last; ``None`` takes any.
        whole: Whether it reads whole numbers; ``None`` leaves numbers of type int64 as they are.
        vocabulary: How many different whole numbers it can tell apart, where that is known.
        written: Whether arrays come channels last and are turned; else they are fed as they are.
    """

    shape: Shape | None = None
    whole: bool | None = None
    vocabulary: int | None = None
    written: bool = True

    @classmethod
    def of(
        cls, shape: Shape | None, readers: Sequence[Any] = (), *, dtype: str | None = None
    ) -> Entry:
        """The entry before some layers.

        Example:
            >>> from lepton_ai.layers.embedding import Embedding
            >>> Entry.of((None,), [Embedding(100, 8)]).vocabulary
            100
        """
        tokens = [layer for layer in readers if type(layer).__name__ in _NUMBERS]
        sizes = [getattr(layer, "input_dim", getattr(layer, "vocabulary_size", None))
                 for layer in tokens]  # fmt: skip
        known = [int(size) for size in sizes if size]
        declared = dtype is not None and ("int" in dtype or dtype == "bool")
        return cls(shape, bool(tokens) or declared, min(known) if known else None)

    # -- encoding --------------------------------------------------------------------------

    def wish(self, field: Field) -> dict[str, Any]:
        """How the network would like a field to be encoded."""
        if isinstance(field, Image):
            # Pictures go in as Keras programs feed them: 0 to 1, nothing else.
            wish: dict[str, Any] = {"mean": [0.0], "deviation": [1.0]}
            if self.shape is not None and len(self.shape) == 3:
                height, width, channels = self.shape
                if height and width:
                    wish["size"] = (height, width)
                if channels:
                    wish |= {"channels": int(channels), "mean": [0.0] * channels,
                             "deviation": [1.0] * channels}  # fmt: skip
            return wish
        if isinstance(field, Text):
            wish = {}
            if self.vocabulary:
                wish["vocabulary_size"] = self.vocabulary
            if self.shape and self.shape[0]:
                wish["max_length"] = int(self.shape[0])
            return wish
        return {}

    def fields_shape(self, field: Field, spec: Spec) -> Shape:
        """The shape that a field comes in, channels last."""
        if isinstance(field, Image):
            return (*spec["size"], spec["channels"])
        if isinstance(field, Text):
            return (self.shape[0] if self.shape else None,)
        if isinstance(field, (Number, Label)):
            return () if self.shape == () else (1,)
        shape = tuple(spec.get("shape", ()))
        return (1,) if shape == () and self.shape in (None, (1,)) else shape

    def check(self, name: str, field: Field, spec: Spec, where: str) -> Shape:
        """The shape of what comes in, if the network takes it.

        Raises:
            ShapeError: It does not; the message says where the shape was given.
            ConfigError: The field knows more tokens than the embedding.
        """
        shape = self.fields_shape(field, spec)
        if self.shape is not None and (
            len(self.shape) != len(shape)
            or any(None not in (a, b) and a != b for a, b in zip(self.shape, shape, strict=True))
        ):
            raise ShapeError(
                f"Expected inputs of the shape {tuple(self.shape)} ({where}); received {shape} in "
                f"{name!r}. Type: {where.split(' ')[0]}={shape}, or reshape the data."
                f"{_channels_hint(self.shape, shape)}"
            )
        words = len(spec.get("vocabulary", ())) + 2
        if self.vocabulary and isinstance(field, Text) and words > self.vocabulary:
            raise ConfigError(
                f"Expected at most {self.vocabulary} tokens in {name!r} (input_dim of the "
                f"Embedding); the texts have {words}. Type: Embedding({words}, ...), or leave "
                "vocabulary_size of the field out."
            )
        return shape

    def value(self, field: Field, value: Tensor) -> Tensor:
        """A prepared batch of a field as the layers read it."""
        if isinstance(field, (Number, Label)) and value.ndim == 1:
            value = torch.nan_to_num(value) if value.is_floating_point() else value.clamp_min(0)
            value = value if self.shape == () else value.unsqueeze(-1)
        elif isinstance(field, Text) and self.shape and self.shape[0]:
            value = F.pad(value, [0, int(self.shape[0]) - value.shape[1]])
        elif isinstance(field, Array) and value.ndim == 1 and self.shape in (None, (1,)):
            value = value.unsqueeze(-1)
        small = value.dtype in (torch.uint8, torch.bool)
        if self.whole:
            value = value.long() if small else value
        elif self.whole is False and not isinstance(field, Text) or small:
            value = value.float()
        return from_written(value) if isinstance(field, Array) and self.written else value

    def placeholder(self, count: int = 1) -> Tensor:
        """A batch of nothing in this shape, as the layers read it; open sizes become 16.

        Raises:
            ConfigError: The shape is not known.
        """
        if self.shape is None:
            raise ConfigError(
                "Expected a known shape of the input. Type: input_shape=(...) on the first layer, "
                "or fit the model first."
            )
        sizes = [count, *(size or 16 for size in self.shape)]
        return from_written(torch.zeros(sizes, dtype=torch.int64 if self.whole else torch.float32))


def _channels_hint(expected: Shape, received: Shape) -> str:
    if len(expected) == 3 and (expected[2], expected[0], expected[1]) == received:
        return " These look channels first: use x.transpose(0, 2, 3, 1)."
    return ""
