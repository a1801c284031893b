"""Models made with the real Keras and TensorFlow."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest

PYTHON = Path(__file__).parents[2] / ".benchmarks" / "tensorflow" / "bin" / "python"


@pytest.fixture(scope="session")
def tensorflow_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that TensorFlow wrote, with its own answers beside them."""
    if not (PYTHON.exists() and (PYTHON.parents[1] / ".ready").exists()):
        pytest.skip("there is no environment with TensorFlow in .benchmarks/tensorflow")
    folder = tmp_path_factory.mktemp("tensorflow")
    script = Path(__file__).with_name("writing_tensorflow.py")
    done = subprocess.run(
        [str(PYTHON), str(script), str(folder)], capture_output=True, text=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder
