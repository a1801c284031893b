"""Start-up: ``import lepton_ai`` and ``lepton --help`` beside the peers, as whole processes."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import lepton_ai": [sys.executable, "-c", "import lepton_ai"],
    "lepton --help": [sys.executable, "-m", "lepton_ai.cli", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}
if importlib.util.find_spec("keras"):
    COMMANDS["import keras (torch)"] = [
        sys.executable, "-c", "import os; os.environ['KERAS_BACKEND'] = 'torch'; import keras",
    ]  # fmt: skip


def main(rounds: int = 5) -> dict[str, float]:
    spent: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            spent[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    for name, median in medians.items():
        print(f"{name:<22} {median:6.3f} s")
    print(f"torch: {medians['import torch'] / medians['import lepton_ai']:.1f}x lepton_ai's time")
    return medians


if __name__ == "__main__":
    main()
