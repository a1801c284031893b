"""Where the time of a step goes, and what to do about it."""

from __future__ import annotations

import time

import torch

PARTS = ("read", "augment", "copy", "forward", "backward", "optimizer", "metrics", "callbacks")
_ADVICE = {
    "read": "Gathering the examples takes the most: keep the data on a faster disk, or in memory "
    "as arrays of the size that the network sees (Image(size=[32, 32])).",
    "augment": "The transforms take the most: leave some out (transforms=[...]), or make the "
    "pictures smaller (Image(size=[...])).",
    "copy": "Copying to the device takes the most: raise batch_size.",
    "optimizer": "The optimiser takes the most: raise batch_size, or gradient_accumulation_steps.",
    "metrics": "Metrics take the most: ask for fewer in compile(); evaluate() has them too.",
    "callbacks": "Callbacks take the most: let them act on fewer batches.",
}


class Breakdown:
    """Seconds by part of a step; ``mark`` ends a part.

    On a device of its own the work is waited for at each mark, so a step is a little slower.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.device = device
        self.last = time.perf_counter()

    def start(self) -> None:
        """Begin to take the time."""
        self.last = time.perf_counter()

    def mark(self, part: str) -> None:
        """What passed since the last mark belongs to ``part``."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[part] += now - self.last
        self.last = now

    def shares(self) -> dict[str, float]:
        """Share of each part, from 0 to 1."""
        whole = sum(self.seconds.values()) or 1.0
        return {part: round(spent / whole, 4) for part, spent in self.seconds.items()}

    def lines(self) -> list[str]:
        """A line of shares and, when something other than computing dominates, one of advice."""
        shares = self.shares()
        whole = sum(self.seconds.values())
        parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items() if share >= 0.005)
        said = [f"Time of the steps, {whole:.1f} s: {parts}."]
        computing = shares["forward"] + shares["backward"]
        other = max((p for p in PARTS if p in _ADVICE), key=lambda part: shares[part])
        if computing < 0.5 and shares[other] > 0.15:
            said.append(_ADVICE[other])
        return said
