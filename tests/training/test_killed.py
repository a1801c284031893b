"""A training that is killed at any moment and goes on ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_training.py")


def killed(folder: Path, replicas: int, kills: int, seed: int) -> dict:
    result = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), str(replicas), str(kills), str(seed)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def check(told: dict, kills: int) -> None:
    assert len(told["straight"]) == 64, told
    odd = [kill for kill in told["kills"] if kill["after"] != told["straight"]]
    assert not odd, odd
    assert len(told["kills"]) == kills
    hit = [kill for kill in told["kills"] if kill["killed"]]
    assert len(hit) > kills // 2, "most kills must land while it trains"
    assert any(kill["checkpoints"] for kill in hit), "some must land after a checkpoint"


@pytest.mark.parametrize("replicas", [1, 2])
def test_killed_trainings_end_with_the_same_bits(replicas: int, tmp_path: Path) -> None:
    check(killed(tmp_path, replicas, kills=4, seed=replicas), 4)


@pytest.mark.long
@pytest.mark.parametrize("replicas", [1, 2])
def test_fifty_killed_trainings_end_with_the_same_bits(replicas: int, tmp_path: Path) -> None:
    told = killed(tmp_path, replicas, kills=50, seed=10 + replicas)
    check(told, 50)
    for kind in ("in a save", "in validation", "between epochs"):
        landed = [k for k in told["kills"] if k["kind"] == kind and k["killed"]]
        assert len(landed) >= 5, (kind, len(landed))
