"""Memory: how much a block takes, and how much is free, on a processor or a card."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

_STATUS, _REFERENCES, _MEMORY = (
    Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/meminfo"),
)  # fmt: skip


@dataclass
class Used:
    """Bytes that a block took at its peak, beyond what was taken before it."""

    bytes: int = 0


class Memory:
    """The memory that a device works in.

    Args:
        device: A processor or a card.

    Example:
        >>> memory = Memory(torch.device("cpu"))
        >>> with memory.measuring() as used:
        ...     numbers = torch.ones(8_000_000)
        >>> used.bytes >= 0
        True
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @contextmanager
    def measuring(self) -> Generator[Used]:
        """Measure a block; what it took is known when it ends."""
        used = Used()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            yield used
            used.bytes = max(torch.cuda.max_memory_allocated(self.device) - before, 0)
            return
        with suppress(OSError):  # not every system lets the peak be set back
            _REFERENCES.write_text("5")
        before = _of_process("VmRSS")
        yield used
        used.bytes = max(_of_process("VmHWM") - before, 0)

    def free(self) -> float:
        """Bytes that can still be taken; infinity where the system does not say."""
        if self.device.type == "cuda":
            return float(torch.cuda.mem_get_info(self.device)[0])
        return _kilobytes(_MEMORY, "MemAvailable", float("inf"))


def _of_process(name: str) -> int:
    """Memory of this process in bytes; where there is no ``/proc``, its peak so far."""
    value = _kilobytes(_STATUS, name, -1)
    if value >= 0:
        return int(value)
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(path: Path, name: str, otherwise: float) -> float:
    try:
        for line in path.read_text(encoding="utf8").splitlines():
            if line.startswith(f"{name}:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return otherwise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return "not enough memory" in text or "out of memory" in text
