"""Reading: what metrics are handed, brought to the flat form in which they count."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import ConfigError, DataError, ShapeError


def spread(weights: Tensor | None, like: Tensor) -> Tensor | None:
    """A weight for each place of ``like``: that of its example.

    Raises:
        ShapeError: There is not one weight for each example.
    """
    if weights is None:
        return None
    weights = torch.as_tensor(weights).to(like.device, torch.float64)
    if weights.shape == like.shape:
        return weights
    if weights.numel() == len(like) and weights.shape[:1] == like.shape[:1]:
        return weights.reshape(-1, *[1] * (like.ndim - 1)).expand(like.shape)
    raise ShapeError(
        f"Expected a weight for each of the {len(like)} examples; received "
        f"{list(weights.shape)}. Type: weights of shape [{len(like)}]."
    )


def decisions(
    predicted: Tensor, expected: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Decided and expected classes that count, flat, ``[M]``, with their weights.

    Rows of scores are decided by the highest, one-hot rows are read as their class.

    Raises:
        ShapeError: There are not as many decisions as expected classes.
    """
    rows = predicted.ndim > 1 and predicted.shape[-1] > 1 and predicted.is_floating_point()
    if rows and expected.shape == predicted.shape:
        expected = expected.argmax(-1)
    if rows and predicted.shape[:-1] == expected.shape:
        predicted = predicted.argmax(-1)
    if predicted.shape != expected.shape:
        if predicted.numel() != expected.numel() or len(predicted) != len(expected):
            raise ShapeError(
                f"Expected as many decisions as expected classes; received "
                f"{list(predicted.shape)} and {list(expected.shape)}. Type: "
                "metric.update(scores.argmax(-1), classes)"
            )
        predicted = predicted.reshape(expected.shape)
    weights = spread(weights, expected)
    counted = expected >= 0
    return predicted[counted], expected[counted], None if weights is None else weights[counted]


def class_numbers(decided: Tensor) -> Tensor:
    """Decisions as whole numbers.

    Raises:
        DataError: They are shares or scores, and not classes.
    """
    if decided.is_floating_point() and bool((decided != decided.floor()).any()):
        wrong = float(decided[decided != decided.floor()][0])
        raise DataError(
            f"Expected class numbers; received {wrong:g}. Type: "
            "metric.update(scores.argmax(-1), classes), or (scores > 0.5).long() for yes and no."
        )
    return decided.long()


def score_rows(
    predicted: Tensor, expected: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Scores ``[M, C]`` and class numbers ``[M]`` that count; a score of yes gives two columns.

    Raises:
        ShapeError: There is not one class number for each row of scores.
        DataError: A class number has no score.
    """
    if predicted.shape == expected.shape and predicted.ndim > 1 and predicted.shape[-1] > 1:
        expected = expected.argmax(-1)
    if expected.ndim >= max(predicted.ndim, 2) and expected.shape[-1] == 1:
        expected = expected[..., 0]
    if predicted.shape == expected.shape:
        predicted = predicted.unsqueeze(-1)
    _check_rows(predicted, expected)
    weights = spread(weights, expected)
    counted = expected >= 0
    scores, numbers = predicted[counted], expected[counted].long()
    if scores.shape[-1] == 1:
        scores = torch.cat([1 - scores, scores], dim=-1)
    if numbers.numel() and int(numbers.max()) >= scores.shape[-1]:
        raise DataError(
            f"Expected class numbers from 0 to {scores.shape[-1] - 1}, as there are scores; "
            f"received {int(numbers.max())}."
        )
    return scores, numbers, None if weights is None else weights[counted]


def _check_rows(predicted: Tensor, expected: Tensor) -> None:
    if predicted.shape[:-1] != expected.shape:
        raise ShapeError(
            f"Expected scores [N, classes] and class numbers [N]; received "
            f"{list(predicted.shape)} and {list(expected.shape)}. Type: "
            "metric.update(scores, classes)"
        )


def questions(
    predicted: Tensor, expected: Tensor, weights: Tensor | None = None,
    class_id: int | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Scores of yes ``[M, K]`` and what is so ``[M, K]``: each column is a question of its own.

    Two classes give one question (is it the second?), more give one for each class, and rows of
    yes and no one for each column (rows with a negative answer do not count). ``class_id`` chooses
    one.

    Raises:
        ShapeError: The expected values do not fit the scores.
        ConfigError: No class has the number ``class_id``.
    """
    several = predicted.ndim > 1 and predicted.shape[-1] > 1 and predicted.shape == expected.shape
    if several:
        counted = (expected >= 0).all(-1)
        scores, truth = predicted[counted], expected[counted] > 0.5
        weights = spread(weights, counted)
        weights = None if weights is None else weights[counted]
    else:
        scores, numbers, weights = score_rows(predicted, expected, weights)
        truth = F.one_hot(numbers, scores.shape[-1]).bool()
    if class_id is not None:
        if not 0 <= class_id < scores.shape[-1]:
            raise ConfigError(
                f"Expected a class_id from 0 to {scores.shape[-1] - 1}; received {class_id}."
            )
        return scores[:, class_id, None], truth[:, class_id, None], weights
    if not several and scores.shape[-1] == 2:
        return scores[:, 1:], truth[:, 1:], weights
    return scores, truth, weights


def quantities(
    predicted: Tensor, expected: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Predicted and expected numbers ``[M, D]`` in double precision, with weights ``[M, D]``.

    Rows without a known number are left out; single unknown numbers (NaN) weigh 0.

    Raises:
        ShapeError: There are not as many predicted numbers as expected ones.
    """
    predicted, expected = predicted.detach().double(), expected.detach().double()
    if predicted.ndim == expected.ndim + 1 and predicted.shape[-1] == 1:
        expected = expected.unsqueeze(-1)
    elif expected.ndim == predicted.ndim + 1 and expected.shape[-1] == 1:
        predicted = predicted.unsqueeze(-1)
    if predicted.shape != expected.shape:
        raise ShapeError(
            f"Expected as many predicted numbers as expected ones; received "
            f"{list(predicted.shape)} and {list(expected.shape)}. Type: "
            "metric.update(predicted.reshape(expected.shape), expected)"
        )
    width = expected.shape[-1] if expected.ndim > 1 else 1
    share = spread(weights, expected)
    predicted, expected = predicted.reshape(-1, width), expected.reshape(-1, width)
    share = None if share is None else share.reshape(-1, width)
    unknown = expected.isnan()
    if not bool(unknown.any()):
        return predicted, expected, share
    kept = ~unknown.all(-1)
    share = torch.ones_like(expected) if share is None else share
    share = torch.where(unknown, 0.0, share)
    expected = torch.where(unknown, 0.0, expected)
    predicted = torch.where(unknown, 0.0, predicted)
    return predicted[kept], expected[kept], share[kept]
