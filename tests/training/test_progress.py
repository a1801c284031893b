"""Progress: the lines that Keras users know, in a terminal, a notebook and a log file."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.training import progress as room
from lepton_ai.training.progress import Progress, columns_of, fitting, shown

FIGURES = {"loss": 2.30654, "accuracy": 0.3742, "val_loss": 2.0404, "val_accuracy": 0.4441}


class Terminal(io.StringIO):
    """A terminal as wide as asked for that knows ``\\r`` and ``\\n``."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        rows: list[list[str]] = [[]]
        place = 0
        for letter in self.getvalue():
            if letter == "\n":
                rows.append([])
                place = 0
            elif letter == "\r":
                place = 0
            else:
                rows[-1][place : place + 1] = [letter]
                place += 1
        return ["".join(row).rstrip() for row in rows if row]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as a list of one number that the test moves on."""
    time = [100.0]
    monkeypatch.setattr(room.time, "perf_counter", lambda: time[0])
    return time


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEPTON_LANGUAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def two_epochs(progress: Progress, now: list[float]) -> None:
    progress.begin(10000)
    for epoch in range(2):
        progress.epoch(epoch)
        for done in range(0, 50000, 10000):
            now[0] += 7.8
            if progress.due:
                progress.step(done, {"loss": 3.0})
        progress.end(782, FIGURES)


LAST = (
    "50000/50000 [==============================] - 39s 50ms/step - loss: 2.3065 - accuracy: "
    "0.3742 - val_loss: 2.0404 - val_accuracy: 0.4441"
)
LINES = ["Train on 50000 samples, validate on 10000 samples", "Epoch 1/2", LAST, "Epoch 2/2", LAST]


def test_the_lines_that_stay_in_a_terminal(now: list[float]) -> None:
    terminal = Terminal()
    two_epochs(Progress("auto", total=50000, epochs=2, stream=terminal), now)
    assert terminal.screen() == LINES
    assert terminal.getvalue().count("\r") == 2 * 6  # five pictures and the end, each epoch


def test_the_live_line_moves(now: list[float]) -> None:
    terminal = Terminal()
    progress = Progress(1, total=100, epochs=1, stream=terminal)
    progress.epoch(0)
    now[0] += 1
    progress.step(50, {"loss": 0.5, "accuracy": 0.25})
    assert terminal.screen()[-1] == (
        "50/100 [==============>...............] - 1s - loss: 0.5000 - accuracy: 0.2500"
    )
    now[0] += 1
    progress.step(60, {"loss": 0.5})  # shorter: nothing of the longer line stays
    assert terminal.screen()[-1] == "60/100 [=================>............] - 2s - loss: 0.5000"
    progress.note("A line of its own.")
    assert terminal.screen()[-1] == "A line of its own."


def test_it_is_due_ten_times_a_second(now: list[float]) -> None:
    progress = Progress(1, total=100, epochs=1, stream=Terminal())
    assert not progress.due
    progress.epoch(0)
    assert not progress.due
    now[0] += 0.11
    assert progress.due
    progress.step(10, {})
    assert not progress.due
    now[0] += 0.11
    assert progress.due
    progress.end(10, {})
    now[0] += 9
    assert not progress.due


def test_a_slow_terminal_gets_fewer_pictures(now: list[float]) -> None:
    class Slow(Terminal):
        def flush(self) -> None:
            now[0] += 0.05

    progress = Progress(1, total=100, epochs=1, stream=Slow())
    progress.epoch(0)
    now[0] += 1
    progress.step(1, {})
    assert progress.next - now[0] == pytest.approx(0.05 / room.SHARE)


def test_a_log_file_gets_a_line_an_epoch_and_one_a_minute(now: list[float]) -> None:
    stream = io.StringIO()
    two_epochs(Progress(1, total=50000, epochs=2, stream=stream), now)
    assert stream.getvalue().splitlines() == LINES
    stream = io.StringIO()
    progress = Progress(1, total=100, epochs=1, stream=stream, every=30)
    progress.epoch(0)
    for done in range(100):
        now[0] += 1
        if progress.due:
            progress.step(done, {"loss": 0.5})
    told = stream.getvalue().splitlines()
    assert len(told) == 4
    assert told[1].startswith("30/100 [========>")
    assert "\r" not in stream.getvalue()


@pytest.mark.parametrize(("verbose", "count"), [(0, 0), (2, 5)])
def test_other_loudnesses(verbose: int, count: int, now: list[float]) -> None:
    stream = Terminal()
    progress = Progress(verbose, total=50000, epochs=2, stream=stream)
    two_epochs(progress, now)
    now[0] += 1000
    assert not progress.due
    assert stream.getvalue().splitlines() == LINES[:count]


def test_chinese(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_LANGUAGE", "zh_CN")
    stream = io.StringIO()
    two_epochs(Progress(1, total=50000, epochs=2, stream=stream), now)
    told = stream.getvalue().splitlines()
    assert told[:2] == ["训练样本 50000 个，验证样本 10000 个", "第 1/2 轮"]
    assert told[2] == LAST


def test_an_encoding_without_these_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_LANGUAGE", "zh")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Progress(1, total=5, epochs=1, stream=stream).begin(None)
    stream.flush()
    assert raw.getvalue() == b"???? 5 ?\n"


def test_a_narrow_terminal_keeps_one_line(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    progress = Progress(1, total=100, epochs=1, stream=terminal)
    progress.epoch(0)
    now[0] += 1
    progress.step(50, {"loss": 0.5, "accuracy": 0.25, "f1": 0.1})
    line = terminal.screen()[-1]
    assert len(line) == 49
    assert line.startswith("50/100 [==>..] - 1s - loss: 0.5000 - accura")


@given(
    done=st.integers(0, 120), columns=st.integers(10, 120),
    names=st.lists(st.sampled_from(["loss", "accuracy", "损失"]), max_size=3),
)  # fmt: skip
def test_whatever_is_shown_fits(done: int, columns: int, names: list[str]) -> None:
    progress = Progress(0, total=100, epochs=1, stream=io.StringIO())
    line = progress._line(done, dict.fromkeys(names, 0.5))
    assert re.match(r"\d+/100 \[[=>.]{30}\] - \d+s", line)
    short = fitting(line, columns)
    assert columns_of(short) <= columns
    if columns_of(line) <= columns:
        assert short == line


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (2.30654, "2.3065"), (3e-5, "3.0e-05"), (-1e-9, "-1.0e-09"),
     (float("nan"), "nan"), (5e-5, "0.0001")],
)  # fmt: skip
def test_small_figures_do_not_read_zero(value: float, text: str) -> None:
    assert shown(value) == text


def test_a_closed_stream_is_no_terminal() -> None:
    stream = Terminal()
    stream.close()
    assert not Progress(0, total=1, epochs=1, stream=stream).live


def test_ipython_is_not_imported_to_find_out() -> None:
    code = (
        "import sys; from lepton_ai.training.progress import Progress; "
        "Progress(1, total=1, epochs=1); print('IPython' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_a_notebook_has_one_display_that_is_brought_up_to_date() -> None:
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    code = """
from lepton_ai.training.progress import Progress
import time
progress = Progress("auto", total=64, epochs=40)
progress.begin(16)
for epoch in range(40):
    progress.epoch(epoch)
    if epoch == 1:
        time.sleep(0.15)
        progress.step(32, {"loss": 0.5})
    progress.end(4, {"loss": 0.25})
progress.note("Done.")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data"]
    told = outputs[0].data["text/plain"].splitlines()
    assert told[0] == "Train on 64 samples, validate on 16 samples"
    assert told[1] == f"... {1 + 80 + 1 - room.KEPT} earlier lines; run.history holds every figure"
    assert told[-1] == "Done."
    assert re.fullmatch(r"64/64 \[={30}\] - 0s \d+ms/step - loss: 0.2500", told[-2])
    assert told[-3] == "Epoch 40/40"
