"""CSVLogger, TensorBoard and MLflow: what a run leaves behind elsewhere."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import lepton_ai as lai
from lepton_ai.callbacks import CSVLogger, MLflow, TensorBoard
from lepton_ai.errors import ConfigError, MissingExtraError
from lepton_ai.extras import installed

EPOCHS = [{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.5, "val_loss": 1.5}]


def rows(path: Path, separator: str = ",") -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_a_line_for_each_epoch(stage: Any, tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.csv"
    stage.play(CSVLogger(path), EPOCHS)
    assert rows(path) == [["epoch", "loss", "val_loss"], ["0", "1.0", "2.0"], ["1", "0.5", "1.5"]]
    stage.play(CSVLogger(path, ";"), EPOCHS[:1])
    assert rows(path, ";") == [["epoch", "loss", "val_loss"], ["0", "1.0", "2.0"]]


def test_appending_keeps_the_columns(stage: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,accuracy,loss\n0,0.1,3.0")  # its last line was not ended
    stage.play(CSVLogger(path, append=True), EPOCHS)
    assert rows(path) == [
        ["epoch", "accuracy", "loss"], ["0", "0.1", "3.0"], ["0", "", "1.0"], ["1", "", "0.5"],
    ]  # fmt: skip
    empty = tmp_path / "empty.csv"
    empty.touch()
    stage.play(CSVLogger(empty, append=True), EPOCHS[:1])
    assert len(rows(empty)) == 2


def test_epochs_without_validation_have_an_empty_place(stage: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    stage.play(CSVLogger(path), [EPOCHS[0], {"loss": 0.7}])
    assert rows(path)[-1] == ["1", "0.7", ""]


def test_lines_after_the_checkpoint_go(stage: Any, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    first = CSVLogger(path)
    first.on_train_begin(stage)
    first.on_epoch_end(stage, 0, EPOCHS[0])
    state = first.state()
    first.on_epoch_end(stage, 1, {"loss": 9.0, "val_loss": 9.0})
    second = CSVLogger(path)
    second.on_train_begin(stage)
    second.restore(state)
    second.on_epoch_end(stage, 1, EPOCHS[1])
    assert [row[1] for row in rows(path)] == ["loss", "1.0", "0.5"]
    path.unlink()  # the file was taken away: it begins again, with its title
    second.on_epoch_end(stage, 2, EPOCHS[1])
    assert rows(path) == [["epoch", "loss", "val_loss"], ["2", "0.5", "1.5"]]


@pytest.mark.parametrize("separator", ["", ", ", "\n", '"', 1])
def test_separators_that_cannot_be(separator: Any) -> None:
    with pytest.raises(ConfigError, match="one character"):
        CSVLogger("history.csv", separator)


@pytest.mark.parametrize(
    ("module", "callback", "extra"),
    [("tensorboard", TensorBoard("logs"), "tensorboard"), ("mlflow", MLflow(), "mlflow")],
)
def test_a_missing_extra_is_named(stage: Any, module: str, callback: Any, extra: str) -> None:
    if installed(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(MissingExtraError, match=rf"pip install \"lepton-ai\[{extra}\]\""):
        callback.on_train_begin(stage)


class Told:
    """Stands where a tracker stands, and keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.calls.append((name, *arguments, named))

    def of(self, name: str) -> list[Any]:
        return [call[1:-1] for call in self.calls if call[0] == name]


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """TensorBoard's writers by folder, in the place of the package."""
    opened: dict[str, list[Any]] = {}

    def writer(folder: str, purge_step: int | None = None) -> Told:
        told = Told()
        opened.setdefault(folder, []).append((purge_step, told))
        return told

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return opened


def test_training_and_validation_share_their_titles(stage: Any, writers: Any) -> None:
    callback = TensorBoard("logs", 1, write_images=True, write_steps_per_second=True, update_freq=3)
    stage.play(callback, EPOCHS)
    (_, train), (_, validation) = writers["logs/train"][0], writers["logs/validation"][0]
    assert ("epoch_loss", 1.0, 2) in train.of("add_scalar")
    assert ("epoch_loss", 0.5, 4) in train.of("add_scalar")
    assert validation.of("add_scalar") == [("epoch_loss", 2.0, 2), ("epoch_loss", 1.5, 4)]
    assert ("batch_loss", 0.5, 3) in train.of("add_scalar")
    assert [title for title, *_ in train.of("add_histogram")] == ["weight", "weight"]
    assert len(train.of("add_image")) == 2
    assert len(train.of("add_text")) == 1
    assert [call for call in train.of("add_scalar") if call[0] == "steps_per_second"]
    assert train.calls[-1][0] == validation.calls[-1][0] == "close"


def test_what_was_written_after_the_checkpoint_is_hidden(stage: Any, writers: Any) -> None:
    callback = TensorBoard("logs")
    callback.on_train_begin(stage)
    callback.restore({"steps": 7})
    callback.on_epoch_begin(stage, 3)
    callback.on_batch_end(stage, 7)
    callback.on_epoch_end(stage, 3, EPOCHS[0])
    purge, train = writers["logs/train"][0]
    assert purge == 8
    assert ("epoch_loss", 1.0, 8) in train.of("add_scalar")
    assert train.of("add_text") == []


@pytest.mark.parametrize("frequency", ["epochs", 0, 1.5])
def test_frequencies_that_cannot_be(frequency: Any) -> None:
    with pytest.raises(ConfigError, match="update_freq"):
        TensorBoard(update_freq=frequency)


def test_tensorboard_reads_it(stage: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stage.play(TensorBoard(tmp_path, 1), EPOCHS)
    events = EventAccumulator(str(tmp_path / "validation")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("epoch_loss")] == [(2, 2.0), (4, 1.5)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Told:
    """MLflow's client, in the place of the package."""

    class Client(Told):
        def __init__(self, tracking_uri: str | None = None) -> None:
            super().__init__()
            self.uri = tracking_uri
            clients.append(self)

        def get_experiment_by_name(self, name: str) -> Any:
            return None

        def create_experiment(self, name: str) -> str:
            self.calls.append(("create_experiment", name, {}))
            return "7"

        def create_run(self, experiment: str, **named: Any) -> Any:
            self.calls.append(("create_run", experiment, named))
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def log_batch(self, run: str, metrics: Any) -> None:
            self.calls.append(("log_batch", run, metrics, {}))

    clients: list[Any] = []
    module, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    module.MlflowClient = Client  # type: ignore[attr-defined]
    entities.Metric = lambda key, value, time, step: (key, value, step)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return clients  # type: ignore[return-value]


def test_a_run_for_a_run(stage: Any, server: Any) -> None:
    stage.play(MLflow("flowers", tags={"by": "me"}, tracking_uri="http://here"), [
        EPOCHS[0], {"loss": float("nan"), "val_loss": 1.5},
    ])  # fmt: skip
    (client,) = server
    assert client.uri == "http://here"
    assert client.of("create_experiment") == [("flowers",)]
    assert len([call for call in client.calls if call[0] == "create_run"]) == 1
    assert client.of("log_param") == [("abc", "epochs", "9")]
    first, second = client.of("log_batch")
    assert first[1] == [("loss", 1.0, 0), ("val_loss", 2.0, 0), ("learning_rate", 1.0, 0)]
    assert [name for name, *_ in second[1]] == ["val_loss", "learning_rate"]  # NaN is not taken
    assert client.of("set_terminated") == [("abc", "FINISHED")]


def test_a_resumed_run_goes_on_in_the_same(stage: Any, server: Any) -> None:
    callback = MLflow()
    callback.on_train_begin(stage)
    callback.restore({"id": "old"})
    callback.on_epoch_end(stage, 4, EPOCHS[0])
    (client,) = server
    assert [call for call in client.calls if call[0] == "create_run"] == []
    assert client.of("log_batch")[0][0] == "old"


def test_mlflow_keeps_it(stage: Any, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    callback = MLflow("flowers", tracking_uri=uri)
    stage.play(callback, EPOCHS)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("flowers")
    (run,) = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(m.step, m.value) for m in history] == [(0, 2.0), (1, 1.5)]


def test_a_password_is_not_shown() -> None:
    shown = repr(MLflow("a", tracking_uri="https://me:secret@server/x"))
    assert "secret" not in shown
    assert "server/x" in shown


@pytest.mark.parametrize(
    ("name", "instead"),
    [("BackupAndRestore", r"resume=True"), ("SwapEMAWeights", "average_decay")],
)
def test_what_fit_does_itself_says_so(name: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead):
        getattr(lai.callbacks, name)
    with pytest.raises(AttributeError, match="Did you mean 'EarlyStopping'"):
        lai.callbacks.EarlyStoping  # noqa: B018
