"""The house: rooms import only rooms before them, budgets hold, forbidden things stay out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lepton_ai"
ORDER = [
    ("errors", "extras", "registry"), ("workspace",), ("security",), ("data",), ("datasets",),
    ("layers",), ("losses", "metrics"), ("tasks", "heads"), ("optimizers", "callbacks"),
    ("training",), ("models",), ("quality",), ("optimization",), ("explanation",), ("automl",),
    ("serving",), ("studio",), ("cluster",), ("cli",),
]  # fmt: skip
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in MODULES]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, *, skip_typing: bool = True) -> list[str]:
    """Names of imported lepton_ai modules; what only type checkers read does not count."""
    found: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if skip_typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lepton_ai"):
            deeper = node.module != "lepton_ai"
            found += [node.module] if deeper else [f"lepton_ai.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith("lepton_ai.")]
        found += imports(node, skip_typing=skip_typing)
    return found


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_a_room_imports_only_rooms_before_it(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in RANK, f"{path} stands in no known room"
    for name in imports(ast.parse(path.read_text(encoding="utf8"))):
        other = name.split(".")[1]
        if other in RANK:
            assert RANK[other] <= RANK[room], f"{path.name} ({room}) imports the later {other}"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_budgets(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    assert text.count("\n") + 1 <= 400, f"{path} is over 400 lines: split it by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= 60, f"{path}:{node.lineno} {node.name} has {size} lines"


def test_no_drawer_for_odds_and_ends() -> None:
    for path in PACKAGE.rglob("*"):
        assert path.stem not in ("utils", "helpers", "common", "misc"), path


def task_names() -> set[str]:
    found = set()
    for path in (PACKAGE / "tasks").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf8")).body:
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
    return found - {"Task"}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_no_stage_knows_a_task_by_name(path: Path) -> None:
    if room_of(path) in ("tasks", "heads"):
        return
    allowed = {"Supervised"} if room_of(path) == "models" else set()  # compile() builds that one
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked = ast.unparse(node.args[1])
            for name in task_names() - allowed:
                assert name not in asked.replace("|", ",").replace("(", ",").split(","), path
        if isinstance(node, ast.Compare):
            assert not ast.unparse(node.left).endswith("task.name"), f"{path}:{node.lineno}"


UNSAFE = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "yaml"}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_nothing_can_run_code_from_data(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            assert not {n.split(".")[0] for n in names} & UNSAFE, f"{path}:{node.lineno}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "torch.load", "__import__"), (
                f"{path}:{node.lineno} {called}"
            )
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False", f"{path}:{node.lineno}"


def is_foreign(path: Path) -> bool:
    """Whether a file is a tool's cache or lies in a virtual environment."""
    inside = path.relative_to(ROOT).parts
    return any(part.startswith(".") and part != ".ci" for part in inside) or (
        (ROOT / inside[0] / "pyvenv.cfg").exists()
    )


def tracked_texts() -> list[Path]:
    skipped = {"build", "dist"}
    endings = {".py", ".md", ".toml", ".html", ".js", ".css", ".json", ".ipynb", ""}
    return [
        path for path in ROOT.rglob("*")
        if path.is_file() and path.suffix in endings and not skipped & set(path.parts)
        and not is_foreign(path) and path.stat().st_size < 2_000_000
    ]  # fmt: skip


def test_no_path_of_a_machine_is_written_down() -> None:
    words = ["/wo" + "rk/", "/ro" + "ot/", "/tm" + "p/house", "/tm" + "p/recipes"]
    for path in tracked_texts():
        text = path.read_text(encoding="utf8", errors="replace")
        for word in words:
            assert word not in text, f"{path} holds {word}"
