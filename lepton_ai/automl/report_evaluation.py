"""The part of the report that judges: figures with intervals, confusions and the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from lepton_ai.automl.report_charts import confusion_table, scatter_chart
from lepton_ai.automl.report_page import Words, number, section_html, table_html
from lepton_ai.data.column import concatenate, item, take
from lepton_ai.data.dataset import Dataset
from lepton_ai.explanation.answers import answer_html, value_html
from lepton_ai.tasks.task import Task

MOST_COLUMNS = 8
CHUNK, MOST_CLASSES, MOST_CASES, MOST_PAIRS, MOST_COMPARED = 512, 20, 16, 8, 2000


@dataclass
class Judgement:
    """What a predictor answered to test data, and how good that is.

    Attributes:
        task: What was asked.
        data: The test data, typed.
        predictions: Columns of predictions.
        figures: Name of a metric to its value, its 95 % interval and whether higher is better.
    """

    task: Task
    data: Dataset
    predictions: dict[str, Any]
    figures: dict[str, tuple[float, tuple[float, float] | None, bool]] = field(default_factory=dict)

    @property
    def headline(self) -> tuple[str, float, tuple[float, float] | None]:
        """The figure that stands for all: name, value, interval."""
        name = (
            self.task.headline if self.task.headline in self.figures else next(iter(self.figures))
        )
        value, interval, _ = self.figures[name]
        return name, value, interval


def judge(predictor: Any, data: Dataset) -> Judgement:
    """Predict test data once and gather every metric of the task with its interval."""
    task = predictor.task
    typed = task.typed(data.require())
    metrics = task.metrics()
    pieces: dict[str, list[Any]] = {}
    for start in range(0, len(typed), CHUNK):
        part = typed.take(np.arange(start, min(start + CHUNK, len(typed))))
        answers = predictor.predict(part.select(list(task.inputs)))
        for metric in metrics.values():
            metric.update(*task.compared(answers, part.columns, metric.wants))
        for name, column in answers.items():
            pieces.setdefault(name, []).append(column)
    figures = {n: (m.compute(), m.interval(), m.higher_is_better) for n, m in metrics.items()}
    return Judgement(task, typed, {n: concatenate(c) for n, c in pieces.items()}, figures)


def evaluation_section(found: Judgement, words: Words) -> str:
    """Figures, then confusions where the output has classes, then the worst mistakes."""
    body = _figures(found, words)
    name, output = found.task.target, found.task.outputs[found.task.target]
    classes = getattr(output, "classes", None)
    predicted = found.predictions[name]
    single = isinstance(predicted, pa.Array) and pa.types.is_string(predicted.type)
    if classes and single:
        body += _confusions(found, classes, words) + _sure_mistakes(found, classes, words)
    else:
        if isinstance(predicted, np.ndarray) and predicted.ndim == 1:
            expected = np.asarray(found.data[name], dtype=float)
            chart = scatter_chart(
                expected, predicted, across=words.plain("expected"), up=words.plain("predicted")
            )
            body += f"<h3>{words('against')}</h3>{chart}"
        body += _furthest(found, words)
    lead = words("evaluation_lead", count=f"{len(found.data):,}")
    return section_html("evaluation", words, body, lead=lead)


def _figures(found: Judgement, words: Words) -> str:
    rows = [
        [
            f"<b>{words(name)}</b>" if name == found.task.headline else words(name),
            number(value),
            f"{number(interval[0])} … {number(interval[1])}" if interval else "–",
            words("higher" if higher else "lower"),
        ]
        for name, (value, interval, higher) in found.figures.items()
    ]
    head = [words("metric"), words("value"), words("interval"), words("direction")]
    return table_html(head, rows, right=(1, 2))


def _numbers(found: Judgement, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class numbers of the examples whose class is known."""
    name, output = found.task.target, found.task.outputs[found.task.target]
    spec = {"classes": classes}
    true = np.asarray(output.to_tensor(output.read(found.data[name]), spec))
    return true, np.asarray(output.to_tensor(found.predictions[name], spec))


def _confusions(found: Judgement, classes: list[str], words: Words) -> str:
    true, said = _numbers(found, classes)
    pairs = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(pairs, (true[true >= 0], said[true >= 0]), 1)
    wrong = pairs.copy()
    np.fill_diagonal(wrong, 0)
    shown, note = np.arange(len(classes)), ""
    if len(classes) > MOST_CLASSES:
        often = wrong.sum(axis=0) + wrong.sum(axis=1)
        shown = np.sort(np.argsort(-often, kind="stable")[:MOST_CLASSES])
        note = f'<p class="small">{words("confusion_some", count=MOST_CLASSES)}</p>'
    matrix = confusion_table(pairs[np.ix_(shown, shown)], [classes[i] for i in shown])
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    rows = [
        [escape(classes[t]), escape(classes[p]), f"{wrong[t, p]:,}",
         f"{wrong[t, p] / max(pairs[t].sum(), 1):.1%}"]
        for t, p in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[t, p]
    ]  # fmt: skip
    head = [words("true_class"), words("predicted_class"), words("count"), words("share")]
    table = table_html(head, rows, right=(2, 3)) if rows else f"<p>{words('no_mistakes')}</p>"
    return (
        f'<div class="two"><div><h3>{words("confusion")}</h3><p class="small">'
        f'{words("confusion_lead")}</p>{note}<div class="scroll" tabindex="0">{matrix}</div></div>'
        f"<div><h3>{words('confused')}</h3>{table}</div></div>"
    )


def _sure_mistakes(found: Judgement, classes: list[str], words: Words) -> str:
    true, said = _numbers(found, classes)
    wrong = np.flatnonzero((true >= 0) & (true != said))
    scores = found.predictions.get(f"{found.task.target}.scores")
    sure = np.ones(len(wrong))
    if scores is not None and np.ndim(scores) == 2:
        sure = np.asarray(scores, dtype=float)[wrong, said[wrong]]
    order = np.argsort(-sure, kind="stable")[:MOST_CASES]
    if len(found.task.inputs) > 1:
        said_as = [f"{escape(classes[said[wrong[i]]])} {sure[i]:.2f}" for i in order]
        table = _as_table(found, [int(wrong[i]) for i in order], said_as, words)
        return f"<h3>{words('mistakes')}</h3>{table}" if len(order) else ""
    cases = "".join(
        f'<div class="case">{inputs_html(found.task, found.data[int(wrong[i])])}'
        f'<p><span class="given">{escape(classes[true[wrong[i]]])}</span> → '
        f"<b>{escape(classes[said[wrong[i]]])}</b> {sure[i]:.2f}</p></div>"
        for i in order
    )
    if not cases:
        return ""
    return (
        f'<h3>{words("mistakes")}</h3><p class="small">{words("mistakes_lead")}</p>'
        f'<div class="cases {wide(found.task)}">{cases}</div>'
    )


def _furthest(found: Judgement, words: Words) -> str:
    """Examples by the distance of the prediction from what was expected."""
    name, output = found.task.target, found.task.outputs[found.task.target]
    some = np.unique(
        np.linspace(0, len(found.data) - 1, min(len(found.data), MOST_COMPARED)).astype(int)
    )
    expected, predicted = take(found.data[name], some), take(found.predictions[name], some)
    far = np.array(
        [output.distance(item(expected, i), item(predicted, i)) for i in range(len(some))]
    )
    order = [i for i in np.argsort(-far, kind="stable")[: MOST_CASES // 3] if far[i] > 0]
    if len(found.task.inputs) > 1 and order:
        said_as = [answer_html(output, item(predicted, i), {}) for i in order]
        table = _as_table(found, [int(some[i]) for i in order], said_as, words)
        return f"<h3>{words('worst')}</h3>{table}"
    cases = ""
    for i in order:
        row = found.data[int(some[i])]
        inputs = {key: row[key] for key in found.task.inputs}
        cases += f'<div class="case">{inputs_html(found.task, row)}' + "".join(
            f'<p><span class="given">{words(key)}</span><br>'
            f"{answer_html(output, item(column, i), inputs)}</p>"
            for key, column in (("expected", expected), ("predicted", predicted))
        ) + "</div>"  # fmt: skip
    if not cases:
        return f"<p>{words('no_mistakes')}</p>"
    return f'<h3>{words("worst")}</h3><div class="cases wide">{cases}</div>'


def _as_table(found: Judgement, places: list[int], said: list[str], words: Words) -> str:
    """Examples of several inputs: one row each, what was expected and what was predicted last."""
    name, output = found.task.target, found.task.outputs[found.task.target]
    shown = list(found.task.inputs.items())[:MOST_COLUMNS]
    rows = []
    for place, answer in zip(places, said, strict=True):
        row = found.data[place]
        cells = [value_html(field, row[key]) for key, field in shown]
        rows.append([*cells, value_html(output, row[name]), f"<b>{answer}</b>"])
    head = [*(escape(key) for key, _ in shown), words("expected"), words("predicted")]
    return table_html(head, rows)


def wide(task: Task) -> str:
    """The class of a grid for this task's inputs: pictures stand close, all else needs room."""
    fields = list(task.inputs.values())
    pictures = len(fields) == 1 and getattr(fields[0], "plane", None) == "picture"
    return "" if pictures else "wide"


def inputs_html(task: Task, row: Mapping[str, Any]) -> str:
    """The inputs of an example: one drawn by its field, several as names with values."""
    if len(task.inputs) == 1:
        name, only = next(iter(task.inputs.items()))
        return value_html(only, row[name])
    return "".join(
        f'<div><span class="given">{escape(name)}</span> {value_html(other, row[name])}</div>'
        for name, other in list(task.inputs.items())[:MOST_COLUMNS]
    )
