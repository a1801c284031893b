"""A durable checkpoint of 500 MB against safetensors' plain ``save_file``, and what a step waits.

    python benchmarks/checkpoint.py [--megabytes 500] [--rounds 5]

Three things in turn: ``save_file`` (no hash, nothing waited for), the checkpoint (hashed, on the
disk before it counts), and the stall of a step when the checkpoint is written in the background.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from lepton_ai.training import checkpoint

ABOUT = {"run": "benchmark", "fingerprint": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    count = chosen.megabytes * 2**20 // 4 // 50
    tensors = {f"layer{i}.weight": torch.randn(count) for i in range(50)}
    root = Path(tempfile.mkdtemp(dir=chosen.folder))
    plain, durable, stall, whole = [], [], [], []
    try:
        for number in range(chosen.rounds):
            start = time.perf_counter()
            save_file(tensors, root / f"plain{number}.safetensors")
            plain.append(time.perf_counter() - start)
            (root / f"plain{number}.safetensors").unlink()

            start = time.perf_counter()
            path = checkpoint.write(root / "sync", number, {"model": tensors}, ABOUT)
            durable.append(time.perf_counter() - start)
            shutil.rmtree(path)

        keeper = checkpoint.Keeper(root / "async", about=ABOUT)
        for number in range(chosen.rounds + 1):
            start = time.perf_counter()
            keeper.save(number, {"model": tensors})
            stall.append(time.perf_counter() - start)
            keeper.finish()
            whole.append(time.perf_counter() - start)
        keeper.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    a, b, c = map(statistics.median, (plain, durable, stall[1:]))
    print(f"plain save_file       {a:.3f} s")
    print(f"durable checkpoint    {b:.3f} s   {b / a:.2f}x plain (aim: at most 1.5x)")
    print(f"stall, in background  {c:.3f} s   {c / b:.1%} of the durable save (aim: at most 10 %)")
    print(f"  first save          {stall[0]:.3f} s (memory for the copy is fetched once)")
    print(f"  until on the disk   {statistics.median(whole[1:]):.3f} s")


if __name__ == "__main__":
    main()
