"""A fresh interpreter: what is imported, and what is printed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pyarrow", "PIL", "fastapi", "onnx", "matplotlib", "sklearn")


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )


def loaded_after(code: str) -> list[str]:
    done = fresh(f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    return [name for name in HEAVY if name in modules]


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import lepton_ai") == []


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["demo", "--help"], []])
def test_help_imports_nothing_heavy(arguments):
    code = (
        f"import sys\nsys.argv = ['lepton', *{arguments!r}]\n"
        "from lepton_ai.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded_after(code) == []


def test_the_module_runs_as_a_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lepton_ai.cli", "runs", "--json", "--workspace", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_mistake_ends_with_its_exit_code_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lepton_ai.cli", "fit", "nowhere.csv", "--json"],
        capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["type"] == "SourceError"
    assert done.stderr.startswith("error: ")
    assert list(tmp_path.iterdir()) == []
