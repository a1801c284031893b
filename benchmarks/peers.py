"""Virtual environments of the peers, made when they are first needed, in ``.benchmarks``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

HOME = Path(__file__).parents[1] / ".benchmarks"


def environment(name: str, packages: list[str]) -> Path:
    """The interpreter of a virtual environment that holds these packages."""
    folder = HOME / name
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        (folder / ".ready").touch()
    return python


def run(
    script: Path, arguments: list[str], *, python: Path | str = sys.executable, **variables: str
) -> dict:
    """Run a script as a process of its own; its last line of output is JSON."""
    result = subprocess.run(
        [str(python), str(script), *arguments], check=True, capture_output=True, text=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    return json.loads(result.stdout.strip().splitlines()[-1])
