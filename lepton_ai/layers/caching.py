"""Keys and values of steps that were read before, for decoding one step at a time."""

from __future__ import annotations

from torch import Tensor

from lepton_ai.errors import ShapeError


class KeyValueCache:
    """What one attention layer keeps of earlier steps.

    Attention to the sequence itself appends the new steps and looks at all of them; the memory
    doubles when it is full, so that ``n`` steps cost ``n`` copies and not ``n * n``. With
    ``fixed=True`` the sequence attended to is projected once and used again: attention of a decoder
    to its encoder's output.

    Example:
        >>> import torch
        >>> from lepton_ai.layers.attention import MultiHeadAttention
        >>> layer, x, cache = MultiHeadAttention(2, 4), torch.randn(1, 3, 8), KeyValueCache()
        >>> steps = [layer(x[:, [i]], cache=cache) for i in range(3)]
        >>> torch.allclose(torch.cat(steps, 1), layer(x, use_causal_mask=True), atol=1e-6)
        True
    """

    def __init__(self, *, fixed: bool = False) -> None:
        self.fixed = fixed
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    @property
    def filled(self) -> bool:
        """Whether there is something to look at."""
        return self.length > 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add steps ``[batch, heads, steps, width]``; gives those of all steps.

        Raises:
            ShapeError: Another batch or other heads than before.
        """
        end = self.length + keys.shape[2]
        if self._keys is None or self._values is None:
            self._keys, self._values = keys, values
        elif keys.shape[:2] != self._keys.shape[:2]:
            raise ShapeError(
                f"The cache expected {tuple(self._keys.shape[:2])} examples and heads, received "
                f"{tuple(keys.shape[:2])}. Type cache.clear(), or take a new KeyValueCache()."
            )
        else:
            if end > self._keys.shape[2]:
                self._keys = _wider(self._keys, self.length, 2 * end)
                self._values = _wider(self._values, self.length, 2 * end)
            self._keys[:, :, self.length : end] = keys
            self._values[:, :, self.length : end] = values
        self.length = end
        return self.all()

    def all(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all steps.

        Raises:
            ShapeError: Nothing was read yet.
        """
        if self._keys is None or self._values is None:
            raise ShapeError("The cache expected steps to be appended first; it is empty.")
        return self._keys[:, :, : self.length], self._values[:, :, : self.length]

    def choose(self, places: Tensor) -> None:
        """Keep the examples at these places, in this order: what a beam search goes on with."""
        keys, values = self.all()
        self._keys, self._values = keys.index_select(0, places), values.index_select(0, places)

    def cut(self, length: int) -> None:
        """Forget the steps from ``length`` on."""
        self.length = min(self.length, max(length, 0))

    def clear(self) -> None:
        """Forget everything."""
        self.length, self._keys, self._values = 0, None, None


def _wider(held: Tensor, length: int, capacity: int) -> Tensor:
    grown = held.new_empty(*held.shape[:2], capacity, held.shape[3])
    grown[:, :, :length] = held[:, :, :length]
    return grown
