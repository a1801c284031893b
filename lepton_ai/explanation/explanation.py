"""Explanation: what spoke for an answer, its grade, and how to show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lepton_ai.data.field import Part
from lepton_ai.errors import ConfigError
from lepton_ai.explanation.grading import Grade
from lepton_ai.tasks.task import Task
from lepton_ai.workspace.files import replace_text


class Attribution(NamedTuple):
    """How much one part of one input speaks for the answer (negative: against it)."""

    input: str
    part: Part
    weight: float


@dataclass
class Explanation:
    """Which parts of an example speak for what was predicted.

    Attributes:
        task: What was asked.
        method: The explainer that answered.
        example: The example, one value for each input.
        prediction: What was predicted, scores included.
        target: The class that was explained in the place of the predicted one, if any.
        score: The number that the weights share out.
        attributions: One for each part, in the order of the example.
        heat: Maps ``[height, width]`` over inputs that are pictures, in their full size.
        completeness: How far the weights are from adding up, relative; ``None`` without such a law.
        grade: How the explanation did in the deletion test; ``None`` with fewer than three parts.
        notes: What a reader should know.
    """

    task: Task
    method: str
    example: dict[str, Any]
    prediction: dict[str, Any]
    target: str | None
    score: float
    attributions: list[Attribution]
    heat: dict[str, np.ndarray] = field(default_factory=dict)
    completeness: float | None = None
    grade: Grade | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def trusted(self) -> bool | None:
        """Whether it passed the deletion test; ``None`` when there was none."""
        return None if self.grade is None else self.grade.trusted

    def top(self, count: int = 5) -> list[Attribution]:
        """The parts that speak most for the answer, the strongest first."""
        return sorted(self.attributions, key=lambda found: -found.weight)[:count]

    def weights_of(self, name: str) -> dict[Part, float]:
        """The weights of one input's parts, scaled so that the largest of all inputs is 1 or -1."""
        largest = max((abs(found.weight) for found in self.attributions), default=0.0) or 1.0
        return {f.part: f.weight / largest for f in self.attributions if f.input == name}

    def to_json(self) -> dict[str, Any]:
        """Everything but the example itself, as plain JSON values."""
        outputs = self.task.outputs
        prediction = {
            name: outputs[name].to_json(value) if name in outputs else np.asarray(value).tolist()
            for name, value in self.prediction.items()
        }
        graded = None
        if self.grade is not None:
            graded = {
                "deletion": self.grade.deletion, "random": self.grade.random,
                "gain": self.grade.gain, "trusted": self.grade.trusted,
            }  # fmt: skip
        return {
            "method": self.method,
            "prediction": prediction,
            "target": self.target,
            "score": self.score,
            "attributions": [
                {"input": f.input, "part": f.part.name, "place": list(f.part.place),
                 "weight": f.weight}
                for f in self.attributions
            ],
            "completeness": self.completeness,
            "grade": graded,
            "notes": list(self.notes),
        }  # fmt: skip

    def to_html(self, *, language: str = "en") -> str:
        """A self-contained piece of HTML: no script, no request, all text escaped."""
        from lepton_ai.explanation.page import explanation_html

        return explanation_html(self, language=language)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        first = ", ".join(f"{f.part.name} {f.weight:+.3g}" for f in self.top(3))
        trust = {True: "trusted", False: "do not trust", None: "not graded"}[self.trusted]
        return f"Explanation({self.method}, score {self.score:.3g}, {trust}; {first})"

    def save(self, path: str | Path) -> Path:
        """Write it as a picture or a page, by the ending: ``.png`` or ``.html``.

        Raises:
            ConfigError: Another ending.
        """
        path = Path(path)
        if path.suffix.lower() in (".html", ".htm"):
            from lepton_ai.explanation.page import whole_page

            replace_text(path, whole_page(self))
        elif path.suffix.lower() == ".png":
            from lepton_ai.explanation.figure import save_figure

            save_figure(self, path)
        else:
            raise ConfigError(
                f"Expected a path that ends in .png or .html; received {path.name!r}."
            )
        return path
