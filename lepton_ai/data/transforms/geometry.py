"""Geometry: transforms that move the points of a picture, and of the masks that belong to it.

Each of them says where the points of its result come from, as one matrix per sample. Transforms
that follow one another are multiplied out, so a picture is resampled only once however many they
are: it stays sharp, and the second one costs next to nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from lepton_ai.data.field import Field
from lepton_ai.data.transform import Parameters, Transform, spatial
from lepton_ai.errors import ConfigError

OUTSIDE = -1
"""The class number of mask points that come from outside the picture; losses leave it out."""


class Geometric(Transform):
    """Moves the points of pictures and masks alike."""

    family: ClassVar[str] = "geometric"

    @abstractmethod
    def matrices(self, parameters: Parameters, height: int, width: int) -> Tensor:
        """From where each point of the result comes, ``[N, 3, 3]``.

        In coordinates that run from -1 (left, top edge) to 1 (right, bottom edge).
        """

    def apply(
        self, columns: dict[str, Tensor], parameters: Parameters, fields: dict[str, Field]
    ) -> dict[str, Tensor]:
        return self.apply_together([(self, parameters)], columns, fields)

    @classmethod
    def apply_together(
        cls, steps: Sequence[tuple[Transform, Parameters]], columns: dict[str, Tensor],
        fields: dict[str, Field],
    ) -> dict[str, Tensor]:  # fmt: skip
        moved = dict(columns)
        for name, is_mask in spatial(columns, fields):
            values = columns[name]
            height, width = values.shape[-2:]
            matrix = reduce(
                torch.matmul,
                [_geometric(step).matrices(drawn, height, width) for step, drawn in steps],
            )
            if is_mask:
                moved[name] = resample_mask(values, matrix)
                continue
            options = [vars(step) for step, _ in steps if "interpolation" in vars(step)]
            nearest = all(given["interpolation"] == "nearest" for given in options)
            fill = float(options[0]["fill"]) if options else 0.0
            moved[name] = resample(values, matrix, nearest=nearest, fill=fill)
        return moved


def _geometric(step: Transform) -> Geometric:
    if not isinstance(step, Geometric):
        raise ConfigError(f"{type(step).__name__} says that it is geometric; subclass Geometric.")
    return step


def resample(pictures: Tensor, matrix: Tensor, *, nearest: bool = False, fill: float = 0) -> Tensor:
    """Pictures ``[N, C, H, W]`` with their points moved; bytes stay bytes, floats stay floats.

    Args:
        pictures: Bytes or floats.
        matrix: From where each point comes, ``[N, 3, 3]``.
        nearest: Take the nearest point, not the weighted mean of the four around it.
        fill: What lies outside the picture.
    """
    bytes_ = pictures.dtype == torch.uint8
    solid = pictures.float() if bytes_ else pictures
    if fill:
        solid = solid - fill
    grid = _grid(matrix, *pictures.shape[-2:]).to(solid.dtype)
    mode = "nearest" if nearest else "bilinear"
    moved = grid_sample(solid, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if fill:
        moved += fill
    if bytes_:  # int16 in between: torch has no fast way from float32 to bytes
        return moved.add_(0.5).to(torch.int16).to(torch.uint8)
    return moved


def resample_mask(masks: Tensor, matrix: Tensor) -> Tensor:
    """Masks ``[N, H, W]`` of class numbers, moved; -1 where nothing was."""
    above = (masks - OUTSIDE).float().unsqueeze(1)  # 0 is what grid_sample puts outside
    grid = _grid(matrix, *masks.shape[-2:])
    moved = grid_sample(above, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved.squeeze(1).to(masks.dtype) + OUTSIDE


@lru_cache(maxsize=16)
def _points(height: int, width: int) -> Tensor:
    """Coordinates of the points of a picture, ``[3, H * W]``: across, down, and 1."""
    x = (torch.arange(width) + 0.5) * (2 / width) - 1
    y = (torch.arange(height) + 0.5) * (2 / height) - 1
    plane = torch.ones(3, height, width)
    plane[0], plane[1] = x, y[:, None]
    return plane.reshape(3, -1)


def _grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """From where each point comes, ``[N, H, W, 2]``, in the memory order ``[N, 2, H, W]``."""
    rows = matrix[:, :2].reshape(-1, 3)  # one product for the whole batch, not one for each sample
    places = (rows @ _points(height, width)).view(len(matrix), 2, height, width)
    return places.permute(0, 2, 3, 1)


def affine(
    height: int, width: int, *, angle: Tensor | None = None, scale_y: Tensor | None = None,
    scale_x: Tensor | None = None, shift_y: Tensor | None = None, shift_x: Tensor | None = None,
    shear: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Matrices ``[N, 3, 3]`` that turn, scale, shear and shift pictures about their middle.

    Args:
        height: Of the pictures, in pixels: a turn keeps angles in pixels, not in shares.
        width: Of the pictures.
        angle: Counter-clockwise, in degrees.
        scale_y: How many times taller things become.
        scale_x: How many times wider things become.
        shift_y: How far down things move, as a share of the height.
        shift_x: How far to the right things move, as a share of the width.
        shear: In degrees, along the horizontal.
    """
    given = next(v for v in (angle, scale_y, scale_x, shift_y, shift_x, shear) if v is not None)
    zero, one = torch.zeros(len(given)), torch.ones(len(given))
    turn = torch.deg2rad(angle) if angle is not None else zero
    aspect = height / width
    cos, sin = turn.cos(), turn.sin()
    # the way back: shift, then turn, then shear, then scale
    across, aslant = cos, -sin
    if shear is not None:
        lean = torch.tan(torch.deg2rad(shear))
        across, aslant = cos + lean * sin, lean * cos - sin
    rows = [across, aslant * aspect, sin / aspect, cos]
    if scale_x is not None:
        rows[:2] = rows[0] / scale_x, rows[1] / scale_x
    if scale_y is not None:
        rows[2:] = rows[2] / scale_y, rows[3] / scale_y
    back = [zero, zero]
    if shift_x is not None or shift_y is not None:
        right = zero if shift_x is None else 2 * shift_x
        down = zero if shift_y is None else 2 * shift_y
        back = [-(rows[0] * right + rows[1] * down), -(rows[2] * right + rows[3] * down)]
    cells = [rows[0], rows[1], back[0], rows[2], rows[3], back[1], zero, zero, one]
    return torch.stack(cells, dim=1).view(-1, 3, 3)


def span(name: str, value: Any, *, middle: float = 0.0) -> tuple[float, float]:
    """The ends of a range: a number means that far on both sides of ``middle``.

    Raises:
        ConfigError: Neither a number from 0 nor two numbers in order.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return middle - value, middle + value
    pair = list(value) if isinstance(value, (list, tuple)) else []
    if len(pair) == 2 and all(isinstance(v, (int, float)) for v in pair) and pair[0] <= pair[1]:
        return float(pair[0]), float(pair[1])
    raise ConfigError(
        f"Expected {name} as a number from 0, or as two numbers (lowest, highest); received "
        f"{value!r}."
    )


def checked_interpolation(name: str) -> str:
    """``"bilinear"`` or ``"nearest"``.

    Raises:
        ConfigError: Another name.
    """
    if name not in ("bilinear", "nearest"):
        raise ConfigError(f"Expected interpolation 'bilinear' or 'nearest'; received {name!r}.")
    return name


def checked_share(name: str, value: float) -> float:
    """A number from 0 to 1.

    Raises:
        ConfigError: Another value.
    """
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"Expected {name} from 0 to 1; received {value!r}.")
    return value
