"""The main job: data to a served prediction, each step measured and told in one line."""

from __future__ import annotations

import io
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_ai import datasets
from lepton_ai.automl.report import report as write_report
from lepton_ai.automl.result import measure
from lepton_ai.cli import recipe
from lepton_ai.cli.live import LiveBar, waiting
from lepton_ai.cli.output import Output
from lepton_ai.cli.words import DemoWords
from lepton_ai.errors import ServiceError
from lepton_ai.explanation import explain
from lepton_ai.extras import require
from lepton_ai.optimization import optimize
from lepton_ai.quality import check, clean
from lepton_ai.serving import serve
from lepton_ai.workspace import as_workspace

if TYPE_CHECKING:
    from lepton_ai.data import Dataset
    from lepton_ai.serving import Service

STEPS = (
    "collect", "check", "clean", "store", "train", "evaluate", "explain", "optimize", "serve",
    "predict", "report",
)  # fmt: skip
NAME = "fashion_mnist"
USUAL_PORT = 8000
OPTIMIZE_SECONDS = 30


class Tour:
    """One run of the main job; :meth:`run` goes through all steps.

    Args:
        output: Where the lines go.
        workspace: Where everything is kept.
        epochs: Rounds over the training data.
        seed: All draws follow from it.
        port: Where to serve; ``None`` takes 8000, or a free one when that is in use.
        full: Whether to judge on all 10,000 test pictures.
        budget: Seconds to look for a faster form.
    """

    def __init__(
        self, output: Output, *, workspace: Any = None, epochs: int | None = None, seed: int = 0,
        port: int | None = None, full: bool = False, budget: float = OPTIMIZE_SECONDS,
    ) -> None:  # fmt: skip
        self.output, self.words = output, DemoWords()
        self.workspace = as_workspace(workspace)
        self.epochs, self.seed, self.port, self.full = epochs, seed, port, full
        self.budget = budget
        self.told: list[dict[str, Any]] = []
        self.service: Service | None = None
        self.optimization: Any = None

    def run(self) -> dict[str, Any]:
        """Go through all steps; the service is still open afterwards.

        Returns:
            What was measured, as JSON values.
        """
        self.started = time.perf_counter()
        self.output.say(self.words("title"))
        try:
            for step in STEPS:
                getattr(self, step)()
        except BaseException:
            if self.service is not None:
                self.service.stop()
            raise
        seconds = time.perf_counter() - self.started
        self.output.say(self.words("total", seconds=seconds, model=self.folder))
        return {
            "steps": self.told,
            "accuracy": self.result.figures["accuracy"],
            "interval": list(self.result.intervals["accuracy"]),
            "test_examples": self.result.count,
            "model": str(self.folder),
            "run": self.model.run.id,
            "report": str(self.page),
            "url": self.service.url if self.service is not None else None,
            "seconds": round(seconds, 1),
        }

    @contextmanager
    def _step(self, name: str, waits: str | None = None) -> Generator[dict[str, Any]]:
        """Time a step; what it puts into the dict is kept, its ``"line"`` is told."""
        found: dict[str, Any] = {}
        begin = time.perf_counter()
        if waits is None:
            yield found
        else:
            with waiting(self.words(waits)):
                yield found
        seconds = time.perf_counter() - begin
        line = found.pop("line")
        place = STEPS.index(name) + 1
        title = self.words(name)
        gap = " " * max(13 - sum(2 if ord(letter) > 255 else 1 for letter in title), 1)
        self.output.say(f"{place:>2}/{len(STEPS)} {title}{gap}{line}  ({seconds:.1f} s)")
        self.told.append({"step": name, "seconds": round(seconds, 2), "line": line, **found})

    # -- data --------------------------------------------------------------------------------

    def collect(self) -> None:
        """Read the pictures."""
        with self._step("collect") as found:
            self.train_data: Dataset = datasets.load(NAME, "train", workspace=self.workspace)
            self.test: Dataset = datasets.load(
                NAME, "test", workspace=self.workspace, full=self.full
            )
            pictures = self.train_data["image"]
            labels = self.train_data.fields["label"]
            found["line"] = self.words(
                "collected", train=len(self.train_data), test=len(self.test),
                size=f"{pictures.shape[1]} x {pictures.shape[2]}",
                classes=len(getattr(labels, "classes", None) or ()),
            )  # fmt: skip
            found |= {"train": len(self.train_data), "test": len(self.test)}

    def check(self) -> None:
        """The quality gate, the test pictures beside it."""
        with self._step("check") as found:
            self.gate = check(self.train_data, target="label", against=self.test)
            names = [f"{f.check} ({len(f.rows)})" for f in self.gate.findings]
            findings = self.words("no_findings")
            if names:
                findings = self.words("findings", count=len(names), names=", ".join(names))
            found["line"] = self.words(
                "passed" if self.gate.passed else "failed", checks=len(self.gate.checks),
                findings=findings,
            )  # fmt: skip
            found |= {"passed": self.gate.passed, "findings": len(names)}

    def clean(self) -> None:
        """Fix what can be fixed, and through the gate again."""
        with self._step("clean") as found:
            before = self.train_data
            self.train_data = clean(before, self.gate)
            found["left_out"] = gone = len(before) - len(self.train_data)
            if self.train_data is before:
                found["line"] = self.words("nothing_to_clean")
            else:
                again = check(self.train_data, target="label", against=self.test)
                found["line"] = self.words(
                    "cleaned", count=gone, before=len(before),
                    verdict=self.words("ok" if again.passed else "not_ok"),
                )  # fmt: skip
                self.gate = again
            self.gate.require()

    def store(self) -> None:
        """Keep the data as a version."""
        with self._step("store") as found:
            stored = self.train_data.store(NAME, workspace=self.workspace)
            version = stored.lineage.get("version", stored.digest()[:12])
            found["line"] = self.words("stored", name=NAME, version=version)
            found["version"] = version
            self.train_data = stored

    # -- model -------------------------------------------------------------------------------

    def train(self) -> None:
        """Train the network."""
        with self._step("train") as found:
            self.model: Any = recipe.network()
            bar = LiveBar(f"     {self.words('training')}", self.output.say)
            try:
                run = self.model.fit(
                    self.train_data, validation_data=self.test, seed=self.seed, verbose=0,
                    epochs=self.epochs or recipe.EPOCHS, callbacks=[bar],
                    workspace=self.workspace, **recipe.SETTINGS,
                )  # fmt: skip
            finally:
                bar.stop()
            self.folder = self.workspace.folder("models") / f"demo-{run.id}"
            self.model.save(self.folder)
            losses = run.history["loss"]
            rate = len(self.train_data) * run.epochs / max(run.metrics["seconds"], 1e-9)
            found["line"] = self.words(
                "trained", epochs=run.epochs, rate=rate, first=losses[0], last=losses[-1]
            )
            found |= {"epochs": run.epochs, "pictures_per_second": round(rate)}

    def evaluate(self) -> None:
        """Judge it on pictures that it has never seen."""
        with self._step("evaluate") as found:
            self.result = measure(self.model, self.test)
            low, high = self.result.intervals["accuracy"]
            accuracy = self.result.figures["accuracy"]
            found["line"] = self.words(
                "evaluated", accuracy=accuracy, low=low, high=high, count=self.result.count
            )
            found |= {"accuracy": accuracy, "interval": [low, high]}

    def explain(self) -> None:
        """Explain one held-out prediction with a picture."""
        with self._step("explain", "explaining") as found:
            index = self.seed % len(self.test)
            example = self.test[index]
            self.explanation = explain(self.model, example["image"], seed=self.seed)
            path = self._folder() / "explanation.png"
            self.explanation.save(path)
            parts = "; ".join(a.part.name for a in self.explanation.top(2))
            said = self.explanation.prediction["label"]
            found["line"] = self.words(
                "explained", index=index, said=said, truth=example["label"], parts=parts,
                path=_short(path),
            )  # fmt: skip
            found |= {"picture": index, "said": said, "is": example["label"], "file": str(path)}

    def optimize(self) -> None:
        """Look for a faster form that is as good."""
        with self._step("optimize", "optimizing") as found:
            # One thread each: where other work shares the cores, threads of one call wait for one
            # another, which stalls the original and would make any other form look far too good.
            self.faster = optimize(
                self.model, data=self.test, budget=self.budget, seed=self.seed, threads=1,
                verbose=0,
            )  # fmt: skip
            self.optimization = told = self.faster.optimization
            found["chosen"] = told.chosen
            if told.chosen is None:
                found["line"] = self.words("not_optimized", reason=told.why(self.words.language))
                return
            chosen = told[told.chosen]
            found["line"] = self.words(
                "optimized",
                name=chosen.name,
                speedup=chosen.speedup,
                change=0.0 - (chosen.drop or 0.0),
            )
            found |= {"speedup": chosen.speedup, "accuracy_drop": chosen.drop}
            self.faster.save(self.folder.with_name(f"{self.folder.name}-fast"))

    # -- service -----------------------------------------------------------------------------

    def serve(self) -> None:
        """Open the door."""
        with self._step("serve") as found:
            self.service = self._opened()
            found["line"] = self.words("served", url=self.service.url, name=NAME)
            found["url"] = self.served = self.service.url

    def _opened(self) -> Service:
        models = {NAME: self.faster}
        try:
            return serve(models, port=USUAL_PORT if self.port is None else self.port)
        except ServiceError:
            if self.port is not None:
                raise
            return serve(models, port=0)

    def predict(self) -> None:
        """One picture over HTTP, as a stranger would send it."""
        http = require("httpx", extra="serve", why="lepton demo")
        with self._step("predict") as found:
            index = (self.seed + 1) % len(self.test)
            example = self.test[index]
            path = f"/models/{NAME}/predict"
            begin = time.perf_counter()
            answer = http.post(
                f"{self.served}{path}",
                files={"image": ("picture.png", _png(example["image"]), "image/png")},
                timeout=60,
            )
            if answer.status_code != 200:
                raise ServiceError(
                    f"Expected the prediction of picture {index}; the service answered "
                    f"{answer.status_code}: {answer.text[:200]}"
                )
            spent = (time.perf_counter() - begin) * 1000
            row = answer.json()["predictions"][0]
            said, truth = row["label"], example["label"]
            score = max(_numbers(row["label.scores"]))
            found["line"] = self.words(
                "predicted", address=path, index=index, said=said, score=score, truth=truth,
                ms=spent,
            )  # fmt: skip
            found |= {"picture": index, "said": said, "is": truth, "milliseconds": round(spent, 1)}

    def report(self) -> None:
        """One page with everything."""
        with self._step("report", "reporting") as found:
            self.page = self._folder() / "report.html"
            write_report(
                self.model, data=self.train_data, test=self.test, gate=self.gate,
                explanation=self.explanation, optimization=self.optimization,
                served=self.service, path=self.page, language=self.words.language,
            )  # fmt: skip
            found["line"] = str(self.page)
            found["file"] = str(self.page)

    def _folder(self) -> Path:
        return self.workspace.folder("reports", self.model.run.id)


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _numbers(scores: Any) -> list[float]:
    return list(scores.values()) if isinstance(scores, dict) else list(scores)


def _short(path: Path) -> str:
    """The path from the current folder, where it lies inside."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
