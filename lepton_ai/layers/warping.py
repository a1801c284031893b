"""Images resampled along a map of their own: one affine map for each image of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("bilinear", "nearest")


def warped(
    images: Tensor, maps: Tensor, interpolation: str = "bilinear", fill_mode: str = "reflect",
    fill_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Each image with every place filled from where its map says.

    Args:
        images: ``[batch, channels, height, width]``.
        maps: ``[batch, 2, 3]``: place ``(x, y)`` is read at ``map @ (x, y, 1)``, in pixels.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode: What lies outside: mirrored with the edge repeated (``"reflect"``), repeated
            (``"wrap"``), ``fill_value`` (``"constant"``), or the edge (``"nearest"``).
        fill_value: The value outside with ``"constant"``.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, dtype=maps.dtype, device=images.device)
    columns = torch.arange(width, dtype=maps.dtype, device=images.device)
    x = maps[:, :, 0, None, None] * columns + maps[:, :, 1, None, None] * rows[:, None]
    x, y = (x + maps[:, :, 2, None, None]).unbind(1)
    if interpolation == "nearest":
        return _taken(images, y.round(), x.round(), fill_mode, fill_value)
    top, left = y.floor(), x.floor()
    below, right = (y - top).unsqueeze(1), (x - left).unsqueeze(1)
    parts = [
        (top, left, (1 - below) * (1 - right)), (top, left + 1, (1 - below) * right),
        (top + 1, left, below * (1 - right)), (top + 1, left + 1, below * right),
    ]  # fmt: skip
    found = torch.zeros_like(images)
    for row, column, weight in parts:
        found = found + weight.to(images.dtype) * _taken(images, row, column, fill_mode, fill_value)
    return found


def _taken(images: Tensor, rows: Tensor, columns: Tensor, mode: str, value: float) -> Tensor:
    """The values at whole places ``[batch, height, width]``, some of them outside."""
    batch, channels, height, width = images.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = _folded(rows, height, mode), _folded(columns, width, mode)
    places = (rows * width + columns).flatten(1).unsqueeze(1).expand(-1, channels, -1)
    found = images.flatten(2).gather(2, places).view(batch, channels, *inside.shape[1:])
    return found if mode != "constant" else torch.where(inside.unsqueeze(1), found, value)


def _folded(places: Tensor, size: int, mode: str) -> Tensor:
    """Places outside brought inside."""
    whole = places.long()
    if mode == "wrap":
        return whole % size
    if mode == "reflect":
        whole = whole % (2 * size)
        return torch.minimum(whole, 2 * size - 1 - whole)
    return whole.clamp(0, size - 1)


def turning(angles: Tensor, height: int, width: int) -> Tensor:
    """Maps that turn images around their centre by angles ``[batch]`` in radians."""
    middle = ((width - 1) / 2, (height - 1) / 2)
    cos, sin = angles.cos(), angles.sin()
    rows = [
        [cos, -sin, middle[0] - middle[0] * cos + middle[1] * sin],
        [sin, cos, middle[1] - middle[0] * sin - middle[1] * cos],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], 1)


def zooming(across: Tensor, down: Tensor, height: int, width: int) -> Tensor:
    """Maps that show ``across`` times the width and ``down`` times the height, [batch] each."""
    zero = torch.zeros_like(across)
    rows = [
        [across, zero, (width - 1) / 2 * (1 - across)],
        [zero, down, (height - 1) / 2 * (1 - down)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], 1)


def shifting(across: Tensor, down: Tensor) -> Tensor:
    """Maps that move images by so many pixels to the right and down, [batch] each."""
    zero, one = torch.zeros_like(across), torch.ones_like(across)
    rows = [[one, zero, -across], [zero, one, -down]]
    return torch.stack([torch.stack(row, -1) for row in rows], 1)
