"""Every code block of the documentation runs, in order; every doctest of the package too."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import lepton_ai as lai
from lepton_ai import registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if not page.stem.endswith(".zh-CN")]
SIBLINGS = sorted([*ROOT.glob("*.zh-CN.md"), *(ROOT / "docs").glob("*.zh-CN.md")])
LANGUAGES = ("python", "bash", "text")
SERVED = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        language: What stands behind the fence.
        code: What it holds.
        line: Where it begins in the page, from 1.
        long: Whether ``<!-- long -->`` stands above it.
    """

    language: str
    code: str
    line: int
    long: bool


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf8")
    found = []
    for match in re.finditer(r"(<!-- long -->\n)?^```(\w*)\n(.*?)^```$", text, re.S | re.M):
        line = text[: match.start(3)].count("\n") + 1
        found.append(Block(match[2], match[3], line, match[1] is not None))
    return found


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# -- what stands in the pages --------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, *SIBLINGS], ids=name_of)
def test_blocks_are_whole_and_of_a_known_language(page: Path) -> None:
    text = page.read_text(encoding="utf8")
    assert text.count("\n```") % 2 == 0, "a block is not closed"
    blocks = blocks_of(page)
    assert len(blocks) == text.count("\n```") // 2
    for block in blocks:
        assert block.language in LANGUAGES, f"line {block.line}: ```{block.language}"
        if block.language == "python":
            ast.parse(block.code)


@pytest.mark.parametrize("page", SIBLINGS, ids=name_of)
def test_a_chinese_page_holds_the_blocks_of_its_english_sibling(page: Path) -> None:
    sibling = page.with_name(page.name.replace(".zh-CN", ""))
    mine = [(b.language, b.code, b.long) for b in blocks_of(page)]
    assert mine == [(b.language, b.code, b.long) for b in blocks_of(sibling)]


def test_both_readmes_have_the_same_shape() -> None:
    english, chinese = (
        (ROOT / name).read_text("utf8") for name in ("README.md", "README.zh-CN.md")
    )
    for pattern in (r"^## ", r"^\|"):
        counts = [len(re.findall(pattern, text, re.M)) for text in (english, chinese)]
        assert counts[0] == counts[1] > 0, pattern
    figures = [re.findall(r"\b0\.\d{2,}", text) for text in (english, chinese)]
    assert figures[0] == figures[1]
    assert len(figures[0]) > 5
    assert "<!-- figure:" not in english + chinese, "a figure that was never measured"


@pytest.mark.parametrize(
    "page", [*PAGES, *SIBLINGS, ROOT / "examples" / "README.md", ROOT / "CHANGELOG.md"], ids=name_of
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / link.split("#")[0]).exists(), link


def test_the_readme_names_every_command_and_task() -> None:
    from lepton_ai.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf8")
    commands = [c.name for c in app.registered_commands] + [g.name for g in app.registered_groups]
    assert len(commands) >= 9
    for command in commands:
        assert f"| `lepton {command}` |" in text, command
    for task in registry.names("tasks"):
        assert f"`{task}`" in text or task == "supervised", task


def test_every_dependency_has_its_licence_and_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = [each for group in project["optional-dependencies"].values() for each in group]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf8")
    told = page.split("## Dependencies and why")[1]
    for requirement in [*project["dependencies"], *extras]:
        package = re.split(r"[<>=\[]", requirement)[0]
        assert package == "lepton-ai" or re.search(rf"\b{re.escape(package)}\b", told), package


def test_the_example_of_a_task_is_short() -> None:
    code = next(b.code for b in blocks_of(ROOT / "CONTRIBUTING.md") if "variants" in b.code)
    assert code.count("\n") < 60


# -- running the pages ---------------------------------------------------------------------------


def write_samples(folder: Path) -> None:
    """The small data that the pages speak of."""
    rng = np.random.default_rng(0)
    for index in range(60):
        label = ("day", "night")[index % 2]
        picture = rng.integers(0, 90, (16, 16, 3)) + (120 if label == "day" else 0)
        place = folder / "photos" / label
        place.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture.astype(np.uint8)).save(place / f"{index // 2}.png")
    Pillow.fromarray(rng.integers(120, 210, (16, 16, 3)).astype(np.uint8)).save(folder / "new.png")
    rows, new = ["area,rooms,garden,price"], ["area,rooms,garden"]
    for index in range(160):
        area, rooms, garden = rng.uniform(30, 200), rng.integers(1, 7), rng.integers(2)
        price = 2.5 * area + 20 * rooms + 40 * garden + rng.normal(0, 10)
        row = f"{area:.1f},{rooms},{('no', 'yes')[garden]}"
        rows.append(f"{row},{price:.1f}")
        new += [row] * (index < 5)
    (folder / "houses.csv").write_text("\n".join(rows) + "\n", encoding="utf8")
    (folder / "new_houses.csv").write_text("\n".join(new) + "\n", encoding="utf8")
    words = {"good": ["good", "fine", "bright", "kind"], "bad": ["bad", "dull", "slow", "grim"]}
    things = ["book", "film", "phone", "song", "lamp", "tea", "coat", "chair", "game", "soup"]
    lines = ["text,label"]
    for index in range(80):
        label = ("good", "bad")[index % 2]
        said = [words[label][int(i)] for i in rng.integers(0, 4, 3)]
        lines.append(
            f"a {said[0]} {things[index // 2 % 10]} and {said[1]} {said[2]} {index},{label}"
        )
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n", encoding="utf8")


class Reader:
    """Runs the blocks of one page as a reader would: in order, in one folder, in one session."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.module = ModuleType(f"page_{re.sub(r'[^a-z]', '_', page.stem.lower())}")
        self.service: Any = None
        self.ran: list[str] = []

    def read(self, block: Block) -> None:
        if block.language == "python":
            name = f"{name_of(self.page)}, block at line {block.line}"
            code = compile("\n" * (block.line - 1) + block.code, name, "exec")
            exec(code, self.module.__dict__)  # noqa: S102
            self.ran.append("python")
        elif block.language == "bash":
            for line in block.code.splitlines():
                self.type(line, f"{name_of(self.page)}, line {block.line}: {line}")

    def type(self, line: str, place: str) -> None:
        """Run one line of a terminal, as far as it can be run here."""
        words = shlex.split(line)
        if words[:1] == ["lepton"]:
            self.lepton(words[1:], place)
        elif words[:1] == ["curl"]:
            self.curl(words, place)
        elif words[:1] == ["make"]:
            targets = (ROOT / "Makefile").read_text(encoding="utf8")
            assert re.search(rf"^{words[1]}:", targets, re.M), place
        else:
            assert words[:2] == ["pip", "install"], f"{place} is no command that is known here"

    def lepton(self, arguments: list[str], place: str) -> None:
        from typer.testing import CliRunner

        from lepton_ai.cli import app

        if arguments[0] == "serve":  # it would not come back, so its models are served from here
            parse(arguments)
            models = [word for word in arguments[1:] if (Path.cwd() / word).is_dir()]
            assert models, place
            self.stop()
            self.service = lai.serve(*models, port=0)
        else:
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, f"{place}\n{result.output}"
        self.ran.append(arguments[0])

    def curl(self, words: list[str], place: str) -> None:
        assert words[-1].startswith(SERVED), place
        assert self.service is not None, f"{place}: nothing is served"
        if shutil.which("curl") is None:
            return
        words = [*words[:1], "-sS", "--fail-with-body", *words[1:-1],
                 words[-1].replace(SERVED, self.service.url)]  # fmt: skip
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{place}\n{result.stdout}{result.stderr}"
        self.ran.append("curl")

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self.service = None


def parse(arguments: list[str]) -> None:
    """Refuse a command line that the command would refuse; nothing is run."""
    import typer.main

    from lepton_ai.cli import app

    command: Any = typer.main.get_command(app)
    context: Any = None
    name = "lepton"
    while arguments and arguments[0] in getattr(command, "commands", {}):
        context = command.make_context(name, [arguments[0]], parent=context)
        name, command, arguments = arguments[0], command.commands[arguments[0]], arguments[1:]
    command.make_context(name, list(arguments), parent=context)


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """A folder with small data, which is the current one; what is registered there is forgotten."""
    write_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    kept = {kind: dict(found) for kind, found in registry._registered.items()}
    monkeypatch.setattr(registry, "_registered", kept)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


def read_through(page: Path, *, long: bool) -> Reader:
    reader = Reader(page)
    sys.modules[reader.module.__name__] = reader.module
    state = torch.random.get_rng_state()
    try:
        for block in blocks_of(page):
            if long or not block.long:
                reader.read(block)
    finally:
        reader.stop()
        left = reader.module.__dict__.get("service")
        if left is not None and left.running:
            left.stop()
        del sys.modules[reader.module.__name__]
        torch.random.set_rng_state(state)
    return reader


RUNNABLE = [page for page in PAGES if any(b.language != "text" for b in blocks_of(page))]
LONG = [page for page in PAGES if any(b.long for b in blocks_of(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, place: Path) -> None:
    reader = read_through(page, long=False)
    wanted = sum(b.language == "python" and not b.long for b in blocks_of(page))
    assert reader.ran.count("python") == wanted


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*random transforms:lepton_ai.errors.LeptonWarning")
@pytest.mark.filterwarnings("ignore:.*non-interactive.*:UserWarning")
@pytest.mark.parametrize("page", LONG, ids=name_of)
def test_the_long_blocks_of_a_page_run_too(page: Path, place: Path, data_home: Path) -> None:
    import matplotlib.pyplot as plt

    read_through(page, long=True)
    plt.close("all")


@pytest.mark.parametrize(
    "line", [line for page in PAGES for block in blocks_of(page) if block.language == "bash"
             for line in block.code.splitlines() if line.startswith("lepton ")],
)  # fmt: skip
def test_commands_of_the_pages_can_be_parsed(line: str, place: Path) -> None:
    parse(shlex.split(line)[1:])


def test_commands_that_cannot_be_are_not_parsed(place: Path) -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["fit", "photos/", "--taget", "x"])
    with pytest.raises(Exception, match="backbone"):
        parse(["fit", "photos/", "--backbone", "convnext"])


# -- doctests ------------------------------------------------------------------------------------


def with_doctests() -> Iterator[str]:
    """Modules with an example, found without importing them."""
    package = ROOT / "lepton_ai"
    for path in sorted(package.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf8"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("name", list(with_doctests()))
def test_doctests(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(name)
    state = torch.random.get_rng_state()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testmod(module, optionflags=flags)
    torch.random.set_rng_state(state)
    assert tried > 0, f"{name} has an example that doctest does not find"
    assert failed == 0, capsys.readouterr().out
