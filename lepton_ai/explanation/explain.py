"""``lai.explain``: which parts of an example speak for what was predicted."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton_ai import registry
from lepton_ai.data.column import item
from lepton_ai.errors import ConfigError, DataError
from lepton_ai.explanation.explainer import Evidence, Explainer, Question
from lepton_ai.explanation.explanation import Attribution, Explanation
from lepton_ai.explanation.grading import grade
from lepton_ai.explanation.scoring import Scorer
from lepton_ai.models.intake import examples

FALLBACK = "occlusion"


def explain(
    predictor: Any, example: Any, method: str = "auto", *, target: Any = None, steps: int = 32,
    seed: int = 0,
) -> Explanation:  # fmt: skip
    """Explain one prediction: how much each part of the example speaks for it.

    Args:
        predictor: A model, or whatever ``lai.connect`` gives.
        example: One example: a dict by name, or a plain value where the task has one input.
        method: Name of an explainer; ``"auto"`` takes gradients where there are any, else
            occlusion. A method that does not fit is replaced, and the explanation says so.
        target: A class to explain in the place of the predicted one.
        steps: Steps on the path of integrated gradients; doubled until its sums are right.
        seed: Seed of the random orders that the explanation is graded against.

    Raises:
        UnknownNameError: No explainer has that name.
        DataError: The example is not what the task's inputs expect, or more than one.
        ConfigError: There is no such class.

    Example:
        >>> import numpy as np
        >>> from lepton_ai.models import Model
        >>> rng = np.random.default_rng(0)
        >>> pictures = rng.integers(0, 255, (16, 8, 8, 3), dtype="uint8")
        >>> model = Model("convnet", "image_classification", filters=(4,))
        >>> run = model.fit({"image": pictures, "label": ["a", "b"] * 8}, epochs=1, verbose=0)
        >>> explain(model, pictures[0]).method
        'integrated_gradients'
    """
    _check(predictor, steps)
    wanted = None if method == "auto" else registry.canonical("explainers", method)
    row = _one(predictor.task, example)
    scorer = Scorer(predictor, row, target)
    fields = predictor.task.inputs
    parts = [(name, part) for name, field in fields.items() for part in field.parts(row[name])]
    if not parts:
        raise DataError("Expected an example with something in it; received one without any parts.")
    question = Question(predictor, row, parts, scorer, int(steps), int(seed))
    name, evidence = _answer(question, wanted)
    weights = np.nan_to_num(np.asarray(evidence.weights, dtype=float))
    score = float(scorer([row])[0])
    return Explanation(
        task=predictor.task, method=name, example=row, prediction=scorer.prediction,
        target=scorer.target, score=score,
        attributions=[
            Attribution(owner, part, float(weight))
            for (owner, part), weight in zip(parts, weights, strict=True)
        ],
        heat=evidence.heat, completeness=evidence.completeness,
        grade=grade(question, weights, score), notes=evidence.notes,
    )  # fmt: skip


def _check(predictor: Any, steps: int) -> None:
    if not hasattr(predictor, "predict") or not hasattr(predictor, "task"):
        raise ConfigError(
            "Expected a model, or what lai.connect() gives; received "
            f"{type(predictor).__name__}. Type: lai.explain(model, example)."
        )
    if int(steps) < 2:
        raise ConfigError(f"Expected at least 2 steps; received {steps}.")
    if hasattr(predictor, "ready"):
        predictor.ready()


def _one(task: Any, example: Any) -> dict[str, Any]:
    """The example as one value for each input."""
    data, _ = examples(task, example)
    if len(data) != 1:
        raise DataError(
            f"Expected one example; received {len(data)}. Type: lai.explain(model, data[0])."
        )
    row = {name: item(data[name], 0) for name in task.inputs}
    for name, value in row.items():
        if isinstance(value, (bytes, bytearray)):
            # Files are decoded once, so that an example and its changed copies are read alike.
            row[name] = task.inputs[name].from_json(task.inputs[name].to_json(value))
    return row


def _answer(question: Question, wanted: str | None) -> tuple[str, Evidence]:
    """The first explainer that fits and answers, and what it found."""
    kinds: dict[str, type[Explainer]] = {
        name: registry.lookup("explainers", name) for name in registry.names("explainers")
    }
    order = sorted(kinds, key=lambda name: kinds[name].rank)
    if wanted is not None:
        order = list(dict.fromkeys([wanted, FALLBACK]))
    refused: list[str] = []
    for name in order:
        why = kinds[name].unfit(question.predictor)
        if not why:
            try:
                evidence = kinds[name]().attribute(question)
            except ConfigError as error:
                why = str(error)
            else:
                if wanted is not None:
                    evidence.notes = [*refused, *evidence.notes]
                return name, evidence
        refused.append(f"{name} does not fit this model: {why}. {FALLBACK} was used instead.")
    raise ConfigError(f"No explainer fits {type(question.predictor).__name__}: {' '.join(refused)}")
