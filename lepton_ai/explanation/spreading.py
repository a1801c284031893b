"""Spreading: attributions of a network's stem, brought back to the parts that people see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.field import Part


def extent(parts: Sequence[Part]) -> tuple[int, int] | None:
    """Height and width that patches cover together; ``None`` when the parts are no patches."""
    if not parts or any(len(part.place) != 4 for part in parts):
        return None
    height = max(part.place[0] + part.place[2] for part in parts)
    return height, max(part.place[1] + part.place[3] for part in parts)


def patch_map(weighted: Sequence[tuple[Part, float]]) -> np.ndarray:
    """Weights of patches as a map ``[height, width]`` that sums up to them."""
    heat = np.zeros(extent([part for part, _ in weighted]) or (0, 0))
    for part, weight in weighted:
        top, left, height, width = part.place
        heat[top : top + height, left : left + width] = weight / max(height * width, 1)
    return heat


def folded(attribution: Tensor) -> np.ndarray:
    """Attributions of one value of the stem without its channels.

    ``[D]`` stays, ``[length, D]`` becomes ``[length]``, ``[channels, height, width]`` becomes
    ``[height, width]``.
    """
    values = attribution.detach().double().cpu()
    if values.ndim == 2:
        values = values.sum(-1)
    elif values.ndim > 2:
        values = values.sum(0)
    return values.numpy()


def to_parts(values: np.ndarray, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray | None]:
    """The weight of each part, and a map in the size of the value where parts are patches.

    Args:
        values: Folded attributions.
        parts: The parts of the value, in order.
    """
    size = extent(parts)
    if size is not None and values.ndim == 2:
        heat = _resized(values, size)
        sums = [heat[t : t + h, x : x + w].sum() for t, x, h, w in (p.place for p in parts)]
        return np.array(sums), heat
    if len(parts) == 1:
        return np.array([values.sum()]), None
    flat = values.reshape(len(values), -1).sum(axis=1) if values.ndim else values.reshape(1)
    # The network may read fewer positions than a long value has: those it never saw weigh nothing.
    weights = np.zeros(len(parts))
    seen = min(len(parts), len(flat))
    weights[:seen] = flat[:seen]
    return weights, None


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if values.shape == size:
        return values
    mode = "bilinear" if size[0] >= values.shape[0] else "area"
    options = {"align_corners": False} if mode == "bilinear" else {}
    plane = torch.from_numpy(values)[None, None]
    heat = torch.nn.functional.interpolate(plane, size, mode=mode, **options)[0, 0].numpy()
    return heat * (values.size / (size[0] * size[1]))  # a pixel of another size holds another share
