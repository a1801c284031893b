"""Targets: what a loss is handed as expected, brought to the form in which it is computed."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import DataError, ShapeError


def quantities(predicted: Tensor, expected: Tensor) -> Tensor:
    """Numbers to come near to, shaped and typed like the outputs.

    Raises:
        ShapeError: The outputs are not as many as the targets.
    """
    if expected.ndim == predicted.ndim - 1 and predicted.shape[-1] == 1:
        expected = expected.unsqueeze(-1)
    if expected.shape != predicted.shape:
        same_rank = expected.ndim == predicted.ndim and expected.shape[:-1] == predicted.shape[:-1]
        units = expected.shape[-1] if same_rank else 1
        raise ShapeError(
            f"Expected outputs like the targets, {list(expected.shape[1:]) or [1]}; the network "
            f"gives {list(predicted.shape[1:])}. Type: Dense({units}) as the last layer."
        )
    return expected.to(predicted.dtype)


def class_numbers(logits: Tensor, expected: Tensor) -> Tensor | None:
    """Class numbers ``[N, ...]``, or ``None`` when the targets are rows of shares.

    Raises:
        ShapeError: The targets are neither a number nor a row for each place of the outputs.
    """
    count = logits.shape[-1]
    if count < 2:
        raise ShapeError(
            f"Expected an output for each class; the last layer has {count} unit. For two "
            "classes on one unit type: loss='binary_crossentropy'."
        )
    if expected.ndim == logits.ndim and expected.shape[-1] == 1:
        expected = expected[..., 0]
    if expected.shape == logits.shape:
        return None
    if expected.ndim == logits.ndim and expected.shape[:-1] == logits.shape[:-1]:
        raise ShapeError(
            f"Expected one-hot rows of {count} classes; received {expected.shape[-1]}. "
            f"Type: Dense({expected.shape[-1]}, activation='softmax')."
        )
    if expected.shape != logits.shape[:-1]:
        raise ShapeError(
            f"Expected a class number for each place of the outputs, {list(logits.shape[:-1])}, or "
            f"one-hot rows, {list(logits.shape)}; received {list(expected.shape)}. "
            "Type: y = y.argmax(-1) for one-hot targets on another axis, or change the last layer."
        )
    return expected.long()


def check_numbers(numbers: Tensor, count: int) -> None:
    """Refuse class numbers that the outputs do not have (-1 is: not labelled).

    Raises:
        DataError: A number is ``count`` or higher, or below -1.
    """
    if not numbers.numel():
        return
    low, high = (int(value) for value in torch.aminmax(numbers))
    if high >= count or low < -1:
        raise DataError(
            f"Expected class numbers from 0 to {count - 1} (the last layer has {count} units); "
            f"received {high if high >= count else low}. "
            f"Type: Dense({max(high + 1, count)}, activation='softmax')."
        )


def class_shares(
    logits: Tensor, expected: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Rows of shares like the outputs, ``[N, ..., C]``, and which places count, ``[N, ...]``.

    Raises:
        ShapeError: The targets do not fit the outputs.
        DataError: A class number is outside of the classes.
    """
    count = logits.shape[-1]
    numbers = class_numbers(logits, expected)
    if numbers is None:
        shares = expected.to(logits.dtype)
        counted = torch.ones(shares.shape[:-1], dtype=torch.bool, device=shares.device)
    else:
        check_numbers(numbers, count)
        counted = numbers >= 0
        shares = F.one_hot(numbers.clamp_min(0), count).to(logits.dtype) * counted.unsqueeze(-1)
    if label_smoothing:
        shares = shares * (1 - label_smoothing) + label_smoothing / count
    return shares, counted


def yes_or_no(
    logits: Tensor, expected: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """A share of yes for each output, and which of them count (whole numbers below 0 do not).

    Raises:
        ShapeError: The outputs are not as many as the targets.
        DataError: A target is not between 0 and 1.
    """
    if expected.ndim == logits.ndim - 1 and logits.shape[-1] == 1:
        expected = expected.unsqueeze(-1)
    if expected.shape != logits.shape:
        raise ShapeError(
            f"Expected outputs like the targets, {list(expected.shape[1:]) or [1]}; the last "
            f"layer gives {list(logits.shape[1:])}. Type: Dense(1, activation='sigmoid')."
        )
    if expected.is_floating_point() or expected.dtype == torch.bool:
        counted = torch.ones_like(expected, dtype=torch.bool)
    else:
        counted = expected != -1
        expected = torch.where(counted, expected, 0)
    _check_shares(expected)
    wanted = expected.to(logits.dtype)
    if label_smoothing:
        wanted = wanted * (1 - label_smoothing) + 0.5 * label_smoothing
    return wanted, counted


def _check_shares(expected: Tensor) -> None:
    if expected.dtype == torch.bool or not expected.numel():
        return
    low, high = (float(value) for value in torch.aminmax(expected))
    if low < 0 or high > 1:
        wrong = high if high > 1 else low
        advice = (
            "loss='hinge'"
            if wrong == -1
            else f"Dense({int(wrong) + 1}, activation='softmax') "
            "with loss='categorical_crossentropy'"
            if wrong == int(wrong) and wrong > 1
            else "loss='mean_squared_error'"
        )
        raise DataError(
            f"Expected 0 for no and 1 for yes (or a share between); received {wrong:g}. "
            f"Type: {advice}, which takes such targets."
        )


def shares_or_yes(
    logits: Tensor, expected: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Shares shaped like the outputs, and which of them count, also ``[N, ..., C]``.

    One unit, and rows of yes and no for several units, are taken as they are; class numbers
    become one-hot rows.
    """
    if logits.shape[-1] == 1:
        return yes_or_no(logits, expected, label_smoothing)
    shares, counted = class_shares(logits, expected, label_smoothing)
    return shares, counted.unsqueeze(-1).expand_as(shares)
