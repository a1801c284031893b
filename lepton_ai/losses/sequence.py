"""Losses of sequences whose places are not aligned with their labels: CTC."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lepton_ai.errors import DataError, ShapeError
from lepton_ai.losses.loss import Loss, log_probabilities
from lepton_ai.losses.target import check_numbers

variants = {"ctc": "CTC"}


class CTC(Loss):
    """Connectionist temporal classification: all ways to read labels off frames (Graves 2006).

    The outputs are ``[N, frames, classes]``, logits or with a softmax at the end; class 0 is the
    blank. Labels are class numbers ``[N, L]``, filled up behind with 0 (as Keras's class of this
    name) or -1. All frames of an example are read.

    Args:
        zero_infinity: Whether examples with more labels than their frames can hold count as 0
            instead of being refused.

    Raises:
        ShapeError: The outputs are not frames of classes, or the labels not a row for each.
        DataError: A label is outside of the classes, stands behind the filling, or there are more
            than the frames can hold.
    """

    def __init__(self, zero_infinity: bool = False) -> None:
        self.zero_infinity = zero_infinity

    def __call__(self, logits: Tensor, expected: Tensor, activation: str) -> tuple[Tensor, Tensor]:
        if logits.ndim != 3 or expected.ndim != 2 or len(expected) != len(logits):
            raise ShapeError(
                "Expected outputs [N, frames, classes] and labels [N, L]; received "
                f"{list(logits.shape)} and {list(expected.shape)}. Type: a layer with "
                "return_sequences=True and Dense(classes + 1) behind it."
            )
        labels = expected.long()
        there = labels > 0
        lengths = there.sum(1)
        self._check(logits, labels, there, lengths)
        logs = log_probabilities(logits, activation, activation == "linear").transpose(0, 1)
        frames = lengths.new_full((len(logits),), logits.shape[1])
        loss = F.ctc_loss(
            logs, labels.clamp_min(0), frames, lengths, blank=0, reduction="none",
            zero_infinity=self.zero_infinity,
        )  # fmt: skip
        return loss, loss.new_ones(len(loss))

    def _check(self, logits: Tensor, labels: Tensor, there: Tensor, lengths: Tensor) -> None:
        check_numbers(labels, logits.shape[-1])
        if bool((there[:, 1:] & ~there[:, :-1]).any()):
            raise DataError(
                "Expected labels of 1 and higher, filled up behind with 0; received a label behind "
                "the filling. Class 0 is the blank of CTC. Type: labels + 1 to make room for it."
            )
        again = (there[:, 1:] & (labels[:, 1:] == labels[:, :-1])).sum(1)  # a blank between each
        needed = lengths + again
        if not self.zero_infinity and bool((needed > logits.shape[1]).any()):
            raise DataError(
                f"Expected at most {logits.shape[1]} labels, which is how many frames there are "
                f"(equal neighbours need a frame more); received {int(needed.max())}. "
                "Type: lai.losses.CTC(zero_infinity=True) to leave such examples out."
            )
