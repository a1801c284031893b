"""Integrated gradients: gradients summed on the way from nothing to the input."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lepton_ai.data.encoding import encode_inputs
from lepton_ai.errors import ConfigError
from lepton_ai.explanation.explainer import Evidence, Explainer, Question
from lepton_ai.explanation.spreading import folded, to_parts

variants = {"integrated_gradients": "IntegratedGradients"}

TOLERANCE = 0.01
MOST_STEPS = 512
CHUNK_VALUES = 4_000_000

Stem = dict[str, Tensor]


class IntegratedGradients(Explainer):
    """Axiomatic attribution (Sundararajan, Taly and Yan, 2017), by Gauss-Legendre quadrature.

    The path starts where the network's stem is told nothing (the mean picture, numbers at their
    mean, missing classes, filling in the place of words) and ends at the example. The weights add
    up to the difference of the two scores; steps are doubled until they do within 1 %.
    """

    rank: ClassVar[int] = 10

    @classmethod
    def unfit(cls, predictor: Any) -> str:
        if not (hasattr(predictor, "network") and hasattr(predictor, "head")):
            return "it answers from elsewhere and gives no gradients"
        if getattr(predictor, "engine", None) is not None:
            return "its optimised form gives no gradients"
        if not (hasattr(predictor.network, "stem") and hasattr(predictor.network, "features")):
            return f"{type(predictor.network).__name__} has no stem at which gradients begin"
        return ""

    def attribute(self, question: Question) -> Evidence:
        model = question.predictor
        was = model.training
        model.eval()
        try:
            path = _Path(question)
            steps = max(2, question.steps)
            while True:
                totals = path.integrate(steps)
                error = path.error(totals)
                if error <= TOLERANCE or steps * 2 > MOST_STEPS:
                    break
                steps *= 2
        finally:
            model.train(was)
        weights, heat = _gather(question, totals)
        notes = []
        if error > TOLERANCE:
            notes.append(
                f"The weights miss the change of the score by {error:.1%} even with {steps} steps."
            )
        return Evidence(weights, heat, error, notes)


def _gather(question: Question, totals: Stem) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    weights = np.zeros(len(question.parts))
    heat = {}
    for name in question.example:
        places = [i for i, (owner, _) in enumerate(question.parts) if owner == name]
        parts = [question.parts[i][1] for i in places]
        if not parts:
            continue
        weights[places], found = to_parts(folded(totals[name][0]), parts)
        if found is not None:
            heat[name] = found
    return weights, heat


class _Path:
    """The straight way from a blank stem to that of the example."""

    def __init__(self, question: Question) -> None:
        self.model = model = question.predictor
        self.scorer = question.scorer
        data = question.scorer.dataset([question.example])
        encoded = encode_inputs(model.task.inputs, model.specs, data.columns).slice(0, 1)
        with torch.no_grad():
            self.inputs = model.prepared({k: v.to(model.device) for k, v in encoded.items()})
            self.end = model.network.stem(self.inputs)
            lost = [n for n in model.task.inputs if n not in self.end]
            if lost or not all(value.is_floating_point() for value in self.end.values()):
                raise ConfigError(
                    "Expected a network whose stem gives floats for each input; "
                    f"{type(model.network).__name__} does not. Type: method='occlusion'."
                )
            self.start = model.network.stem(self._blank())
            first, last = self._scores(
                {k: torch.cat([self.start[k], self.end[k]]) for k in self.end}
            )
        self.change = float(last - first)

    def _blank(self) -> dict[str, Tensor]:
        """Inputs that say nothing: zero is the mean, -1 a missing class, filling no word."""
        blank = {}
        for name, value in self.inputs.items():
            field = self.model.task.inputs.get(name)
            if field is None:
                blank[name] = value
            elif value.is_floating_point():
                blank[name] = torch.zeros_like(value)
            else:
                filling = field.fill() if f"{name}.lengths" in self.inputs else -1
                blank[name] = torch.full_like(value, int(filling))
        return blank

    def _scores(self, stem: Stem) -> Tensor:
        count = len(next(iter(stem.values())))
        inputs = {k: v.expand(count, *v.shape[1:]) for k, v in self.inputs.items()}
        outputs = self.model.head(self.model.network.features(stem, inputs))
        companions = {k: v for k, v in inputs.items() if "." in k}
        return self.scorer.of_outputs({**companions, **outputs}, count)

    def integrate(self, steps: int) -> Stem:
        """Attributions of each value of the stem, ``[1, ...]`` by name."""
        nodes, shares = np.polynomial.legendre.leggauss(steps)
        nodes, shares = (nodes + 1) / 2, shares / 2
        totals = {name: torch.zeros_like(value) for name, value in self.end.items()}
        values = sum(value.numel() for value in self.end.values())
        chunk = int(np.clip(CHUNK_VALUES // max(values, 1), 1, 64))
        for begin in range(0, steps, chunk):
            some = slice(begin, begin + chunk)
            for name, total in self._gradients(nodes[some], shares[some]).items():
                totals[name] += total
        return {
            name: torch.nan_to_num(total * (self.end[name] - self.start[name]))
            for name, total in totals.items()
        }

    def _gradients(self, nodes: np.ndarray, shares: np.ndarray) -> Stem:
        points = {}
        for name, end in self.end.items():
            at = torch.tensor(nodes, dtype=end.dtype, device=end.device)
            at = at.view(-1, *[1] * (end.ndim - 1))
            points[name] = torch.lerp(self.start[name], end, at).requires_grad_()
        with torch.enable_grad():
            scores = self._scores(points)
        if not scores.requires_grad:
            raise ConfigError(
                f"Expected a network with gradients; {type(self.model.network).__name__} gives "
                "none. Type: method='occlusion'."
            )
        weighted = scores * torch.tensor(shares, dtype=scores.dtype, device=scores.device)
        found = torch.autograd.grad(weighted.sum(), list(points.values()), allow_unused=True)
        return {
            name: torch.zeros_like(self.end[name]) if g is None else g.sum(0, keepdim=True)
            for name, g in zip(points, found, strict=True)
        }

    def error(self, totals: Stem) -> float:
        """How far the attributions are from adding up, relative to the change of the score."""
        added = sum(float(total.double().sum()) for total in totals.values())
        return abs(added - self.change) / max(abs(self.change), 1e-3)
