"""Stop as soon as the loss is not a number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lepton_ai.callbacks.callback import Callback

if TYPE_CHECKING:
    from lepton_ai.training.trainer import Trainer

variants = {"terminate_on_nan": "TerminateOnNaN"}


class TerminateOnNaN(Callback):
    """Stop at the first batch whose loss is NaN or infinite.

    Example:
        >>> TerminateOnNaN()
        TerminateOnNaN()
    """

    def on_batch_end(self, trainer: Trainer, step: int) -> None:
        if not math.isfinite(trainer.last_loss):
            trainer.stop(f"the loss of step {step + 1} is {trainer.last_loss}")
