"""Training speed through ``fit``, against Keras's backends and hand-written PyTorch loops.

    python benchmarks/training.py                     # every network, every side, three rounds
    python benchmarks/training.py --networks mlp lstm --rounds 5
    python benchmarks/training.py --write             # and the table into docs/benchmarks.md

Each side runs as a process of its own, in turn, several rounds; the figure of a process is its best
epoch but the first, and the figure of a side the median over the rounds. History, metrics and
progress are on everywhere (the loops keep loss and accuracy).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import time
from pathlib import Path

from training_networks import NETWORKS, keras, lepton, loop

HERE = Path(__file__)
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- training: begin -->", "<!-- training: end -->"
SIDES = ("lepton", "keras-tensorflow", "keras-jax", "keras-torch", "loop-float32", "loop-bfloat16")


def one_side(side: str, name: str, epochs: int) -> None:
    """Run one side in this process; its seconds are the last line printed."""
    with contextlib.redirect_stdout(io.StringIO()):
        if side == "lepton":
            spent = lepton(name, epochs)
        elif side.startswith("keras"):
            spent = keras(name, epochs)
        else:
            spent = loop(name, epochs, bfloat16=side.endswith("bfloat16"))
    print(json.dumps({"seconds": min(spent[1:] or spent)}))


def measure(name: str, sides: list[str], rounds: int, epochs: int) -> dict[str, float]:
    """Examples per second of every side, in turn."""
    from peers import environment, run

    rates: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides:
            options: dict[str, object] = {}
            if side == "keras-tensorflow":
                options["python"] = environment(
                    "tensorflow", ["tensorflow-cpu>=2.21", "keras>=3.15,<4"]
                )
                options |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
            elif side == "keras-jax":
                options["python"] = environment("jax", ["jax", "keras>=3.15,<4"])
                options["KERAS_BACKEND"] = "jax"
            elif side == "keras-torch":
                options["KERAS_BACKEND"] = "torch"
            arguments = ["--side", side, "--networks", name, "--epochs", str(epochs)]
            seconds = run(HERE, arguments, **options)["seconds"]  # type: ignore[arg-type]
            rates[side].append(NETWORKS[name].examples / seconds)
        told = ", ".join(f"{side} {found[-1]:,.0f}" for side, found in rates.items())
        print(f"{name}, round {number + 1}, examples/s: {told}", flush=True)
    return {side: statistics.median(found) for side, found in rates.items()}


def table(found: dict[str, dict[str, float]], rounds: int) -> str:
    """The figures as a Markdown table, with the machine and versions."""
    import torch

    import lepton_ai

    sides = [side for side in SIDES if any(side in rates for rates in found.values())]
    lines = [
        f"Examples per second, median of {rounds} rounds, {time.strftime('%Y-%m-%d')}; "
        f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}; lepton-ai {lepton_ai.__version__}, torch "
        f"{torch.__version__}. The last columns are what `fit` takes as a multiple of Keras's best "
        "backend and of the best loop (above 1: `fit` is faster).", "",
        "| network | " + " | ".join(sides) + " | over Keras | over loops |",
        "|---|" + "---:|" * (len(sides) + 2),
    ]  # fmt: skip
    for name, rates in found.items():
        peers = [rate for side, rate in rates.items() if side.startswith("keras")]
        loops = [rate for side, rate in rates.items() if side.startswith("loop")]
        cells = [f"{rates[side]:,.0f}" if side in rates else "" for side in sides]
        over = [f"{rates['lepton'] / max(c):.2f}" if c else "" for c in (peers, loops)]
        lines.append(f"| {NETWORKS[name].title} | " + " | ".join([*cells, *over]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and put it into the documentation when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    if chosen.side:
        one_side(chosen.side, chosen.networks[0], chosen.epochs)
        return
    found = {name: measure(name, chosen.sides, chosen.rounds, chosen.epochs)
             for name in chosen.networks}  # fmt: skip
    text = table(found, chosen.rounds)
    print(text)
    if chosen.write:
        page = PAGE.read_text(encoding="utf8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf8")


if __name__ == "__main__":
    main()
