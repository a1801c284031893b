"""Categories made ready: as vectors, or put into bins by their fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai.errors import ConfigError, DataError, ShapeError
from lepton_ai.layers.adapting import MODES, Preparing, encoded, encoded_shape, words_of
from lepton_ai.layers.fingerprints import crossed, each, farm, sip
from lepton_ai.layers.layer import Layer
from lepton_ai.layers.layout import Shape, Shapes, choice, is_shapes, sizes, to_written

variants = ("CategoryEncoding", "Hashing", "HashedCrossing")


class CategoryEncoding(Preparing):
    """Whole numbers below ``num_tokens`` as vectors.

    ``output_mode="one_hot"`` gives a vector for each number, ``"multi_hot"`` one for all numbers of
    an example with 1 for those that occur, ``"count"`` how often each does.

    Raises:
        DataError: A number outside of 0 to ``num_tokens - 1``.

    Example:
        >>> CategoryEncoding(4)(torch.tensor([[0, 2, 2]]))
        tensor([[1., 0., 1., 0.]])
    """

    reads: ClassVar[str] = "whole_numbers"

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **common: Any) -> None:
        super().__init__(**common)
        self.num_tokens = sizes(num_tokens, 1, "num_tokens")[0]
        self.output_mode = choice(output_mode, MODES[1:], "output_mode")

    def infer(self, shape: Shape) -> Shape:
        """Vectors of ``num_tokens`` numbers."""
        return encoded_shape(shape, self.output_mode, self.num_tokens)

    def forward(self, x: Any, count_weights: Any = None) -> Tensor:
        """The vectors; ``count_weights`` are added up where ``"count"`` would add ones."""
        x = to_written(self.of_numbers(x)).long()
        if count_weights is not None and self.output_mode != "count":
            raise ConfigError(
                f"count_weights expected output_mode='count'; received {self.output_mode!r}."
            )
        weights = None if count_weights is None else to_written(torch.as_tensor(count_weights))
        return encoded(x, self.output_mode, self.num_tokens, self.weight_type(), weights)

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Five numbers below twelve, counted."""
        return cls(12, "count"), (5,)


class Hashing(Preparing):
    """A bin for each word or whole number, without a vocabulary (Weinberger et al. 2009).

    The bins are those of Keras: FarmHash, or SipHash with a ``salt`` (one number or two).
    ``mask_value`` gets bin 0 for itself. Text is given as a list or an array of strings.

    Example:
        >>> Hashing(num_bins=3)([["A"], ["B"], ["C"], ["D"], ["E"]]).flatten().tolist()
        [1, 0, 1, 1, 2]
    """

    reads: ClassVar[str] = "words"

    def __init__(
        self,
        num_bins: int,
        mask_value: str | int | None = None,
        salt: int | tuple[int, int] | list[int] | None = None,
        output_mode: str = "int",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.num_bins = sizes(num_bins, 1, "num_bins")[0]
        self.mask_value = mask_value
        both = (salt, salt) if isinstance(salt, int) else salt
        self.salt = None if both is None else sizes(tuple(both), 2, "salt", least=0)
        self.output_mode = choice(output_mode, MODES, "output_mode")

    def infer(self, shape: Shape) -> Shape:
        """The same shape, or vectors of the bins."""
        return encoded_shape(shape, self.output_mode, self.num_bins)

    def ready(self, x: np.ndarray) -> np.ndarray:
        """Build at the first call."""
        if not self.built:
            self.build(tuple(x.shape[1:]))
        return x

    def forward(self, x: Any) -> Tensor:
        """The bins, as whole numbers or as vectors."""
        words = self.ready(words_of(_whole(x)))
        masked = self.mask_value is not None and self.num_bins > 1
        bins = self.num_bins - masked
        found = each(words, farm if self.salt is None else partial(sip, key=self.salt), bins)
        if masked:
            found = np.where(words == str(self.mask_value), 0, found + 1)
        device = x.device if isinstance(x, Tensor) else None
        numbers = torch.as_tensor(found, device=device)
        return encoded(numbers, self.output_mode, self.num_bins, self.weight_type())

    @classmethod
    def sample(cls) -> tuple[Layer, Shape]:
        """Five words in eight bins, marked."""
        return cls(8, output_mode="multi_hot"), (5,)


class HashedCrossing(Preparing):
    """One bin for several categories together, such as a city and a weekday; bins as in Keras.

    Called on a list of inputs ``[batch]`` or ``[batch, 1]``, strings or whole numbers.

    Example:
        >>> HashedCrossing(num_bins=5)([["A", "B", "A"], [101, 101, 102]]).tolist()
        [1, 4, 3]
    """

    reads: ClassVar[str] = "words"

    def __init__(self, num_bins: int, output_mode: str = "int", **common: Any) -> None:
        super().__init__(**common)
        self.num_bins = sizes(num_bins, 1, "num_bins")[0]
        self.output_mode = choice(output_mode, MODES[:2], "output_mode")

    def infer(self, shape: Any) -> Shape:
        """One number or one vector for each example."""
        shapes: Shapes = tuple(shape) if is_shapes(shape) or shape == ((), ()) else ()
        if len(shapes) < 2 or len(set(shapes)) != 1 or tuple(shapes[0]) not in ((), (1,)):
            raise ShapeError(
                f"{self.title} expected several inputs of one category an example, of shape () or "
                f"(1,); received {shape}. Call it on a list: layer([first, second])."
            )
        return encoded_shape(tuple(shapes[0]), self.output_mode, self.num_bins)

    def ready(self, x: list[np.ndarray]) -> list[np.ndarray]:
        """Check the inputs, and build at the first call."""
        shapes = tuple(tuple(one.shape[1:]) for one in x)
        self.infer(shapes)
        if not self.built:
            self.build(shapes)
        return x

    def forward(self, inputs: Sequence[Any], *more: Any) -> Tensor:
        """The bins, as whole numbers or as vectors."""
        given = [inputs, *more] if more or isinstance(inputs, Tensor) else list(inputs)
        columns = self.ready([_values(one) for one in given])
        joined = np.stack([column.reshape(-1).astype(object) for column in columns], 1)
        known: dict[tuple, int] = {}
        for row in map(tuple, joined):
            if row not in known:
                known[row] = crossed(row) % self.num_bins
        found = [known[tuple(row)] for row in joined]
        numbers = torch.tensor(found, dtype=torch.int64).view(columns[0].shape)
        return encoded(numbers, self.output_mode, self.num_bins, self.weight_type())

    @classmethod
    def sample(cls) -> tuple[Layer, Shapes]:
        """Two words an example."""
        return cls(7, "one_hot"), ((1,), (1,))


def _whole(x: Any) -> Any:
    """Decimal numbers cut to whole ones, as Keras does before it hashes them."""
    array = x if isinstance(x, Tensor | np.ndarray) else np.asarray(x)
    if isinstance(array, Tensor):
        return array.long() if array.is_floating_point() else array
    return array.astype("int64") if array.dtype.kind == "f" else array


def _values(x: Any) -> np.ndarray:
    """Strings, or whole numbers that stand for themselves."""
    array = x.cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.kind in "iub":
        return array
    if array.dtype.kind == "f":
        raise DataError(f"Expected strings or whole numbers; received {array.dtype}.")
    return words_of(array)
