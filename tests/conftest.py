"""What all tests share: a workspace of their own, and data that may be at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes into a workspace of its own, never into the current folder."""
    folder = tmp_path / "lepton-home"
    monkeypatch.setenv("LEPTON_HOME", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def threads_of_a_worker() -> None:
    """Several workers share the cores: one thread each inside operators."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of public data sets, where there is one."""
    home = os.environ.get("LEPTON_DATA_HOME")
    if not home or not Path(home).is_dir():
        pytest.skip("LEPTON_DATA_HOME is not set: the public data sets are not at hand")
    return Path(home)
