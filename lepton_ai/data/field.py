"""Field: what one value is, and everything that stages need to know about it.

Read this first: an image, a text, a label or a mask is known to the rest of Lepton only through
this contract. One file in ``data/fields`` holds one field.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai import registry
from lepton_ai.data.column import Column, Ragged, as_column
from lepton_ai.errors import ArtifactError

Spec = dict[str, Any]
"""What a field learned about its encoding from training data; plain JSON values only."""


@dataclass(frozen=True)
class Part:
    """One part of a value that an explanation can point at: a patch, a word, a span, a column.

    Attributes:
        name: What a person reads: the word itself, ``"row 3, column 5"``.
        place: Where it is, as the field understands it: ``(top, left, height, width)`` of a patch,
            ``(start, stop)`` of a word in characters, ``(index, index + 1)`` of a token.
    """

    name: str
    place: tuple[int, ...] = ()


class Field(ABC):
    """What one value is: reading, limits, encoding, JSON, distance, parts and samples.

    Constructors only store their arguments, by the names they have; :meth:`learn` learns.
    """

    widget: ClassVar[str] = "text"
    """Which control of a page shows and edits the value."""

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def to_config(self) -> dict[str, Any]:
        """The field as JSON: its registered name and its arguments."""
        return {"field": registry.name_of("fields", type(self)), **self.config()}

    @staticmethod
    def from_config(config: dict[str, Any]) -> Field:
        """The field that :meth:`to_config` described; names resolve through the registry only."""
        arguments = dict(config)
        name = arguments.pop("field", None)
        if not isinstance(name, str):
            raise ArtifactError(f"Expected a field with its name; received {config!r}.")
        kind = registry.lookup("fields", name)
        try:
            return kind(**arguments)
        except TypeError as error:
            raise ArtifactError(f"The field {name!r} does not take these: {error}.") from error

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.config() == other.config()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), repr(self.config())))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={_short(v)}" for k, v in self.config().items() if v is not None)
        return f"{type(self).__name__}({arguments})"

    # -- reading ---------------------------------------------------------------------------

    def read(self, values: Any) -> Column:
        """A column of this field from what a user holds; only the container is changed."""
        return as_column(values)

    def is_single(self, value: Any) -> bool | None:
        """Whether a value is one value and not a column of them; ``None`` when it cannot tell."""
        return isinstance(value, (str, bytes, int, float)) or value is None or None

    @abstractmethod
    def check(self, values: Column) -> None:
        """Check type and limits of a whole column.

        Raises:
            DataError: Some value cannot be this field; the message says which and what to send.
        """

    @classmethod
    def recognises(cls, name: str, values: Column) -> float:
        """How sure the field is, from 0 to 1, that a column is of its kind. 0 means never."""
        return 0.0

    def adapt(self, column: Column) -> None:  # noqa: B027 - most fields have nothing to learn here
        """Learn what belongs to the question, such as classes, from training data only."""

    # -- encoding --------------------------------------------------------------------------

    def learn(self, column: Column, wish: dict[str, Any]) -> Spec:
        """Learn the encoding from training data only.

        Args:
            column: The column of the training data.
            wish: What the backbone would like (``size``, ``mean``, ``max_length`` ...).

        Returns:
            What :meth:`to_tensor` and :meth:`prepare` need; saved with the model.
        """
        return {}

    @abstractmethod
    def to_tensor(self, column: Column, spec: Spec) -> Tensor | Ragged:
        """Encode a whole column compactly (``uint8`` pictures, token numbers): kept in memory."""

    def companions(self, column: Column, spec: Spec) -> dict[str, Tensor]:
        """Further tensors ``[examples, ...]`` that belong to the value, by suffix (``"size"``)."""
        return {}

    def prepare(self, encoded: Tensor, spec: Spec) -> Tensor:
        """Turn an encoded batch into what the network reads (scaled floats). Runs in the graph."""
        return encoded

    def fill(self) -> float:
        """The number that fills up shorter values of a batch when they are of differing length."""
        return 0

    # -- JSON ------------------------------------------------------------------------------

    @abstractmethod
    def to_json(self, value: Any) -> Any:
        """One value as JSON."""

    @abstractmethod
    def from_json(self, data: Any) -> Any:
        """One value from JSON.

        Raises:
            DataError: The JSON cannot be this field; the message says what to send.
        """

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """JSON schema of the value, with an example."""

    def comparable(self, column: Column) -> Tensor:
        """A column as the flat tensor that metrics compare: class numbers or plain numbers."""
        encoded = self.to_tensor(self.read(column), {})
        return torch.as_tensor(encoded.values if isinstance(encoded, Ragged) else encoded)

    # -- comparing, explaining, showing ------------------------------------------------------

    @abstractmethod
    def distance(self, a: Any, b: Any) -> float:
        """How far two values are apart, 0 when equal; certificates and tests compare with it."""

    def parts(self, value: Any) -> list[Part]:
        """The parts of a value that an explanation can point at."""
        return [Part("value")]

    def without(self, value: Any, part: Part) -> Any:
        """The value with one part taken away: greyed, left out, or replaced by what is usual."""
        return value

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Any:
        """A plausible value; feeds contract tests, documentation and export."""

    def render(self, value: Any, weights: dict[Part, float] | None = None) -> str:
        """One value as safe HTML, its parts coloured by ``weights`` (-1 to 1) when given."""
        from html import escape

        return f"<span>{escape(str(self.to_json(value)))}</span>"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def float_tensor(column: Column) -> Tensor:
    """A column of plain numbers as a float32 tensor; missing values become NaN."""
    if isinstance(column, Tensor):
        return column.float()
    if isinstance(column, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(column)).float()
    import pyarrow.compute as pc

    array = np.array(pc.cast(column, "float64").to_numpy(zero_copy_only=False), dtype=np.float64)
    return torch.from_numpy(array).float()
