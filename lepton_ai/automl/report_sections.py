"""Sections of the report: samples, quality gate, curves, what others drew, and how to ask."""

from __future__ import annotations

import inspect
import json
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from lepton_ai.automl.report_charts import line_chart
from lepton_ai.automl.report_evaluation import inputs_html, wide
from lepton_ai.automl.report_page import Words, pill_html, section_html, table_html
from lepton_ai.data.dataset import Dataset
from lepton_ai.explanation.answers import answer_html, value_html
from lepton_ai.tasks.task import Task

MOST_KINDS, MOST_OF_A_KIND, MOST_ROWS, MOST_FINDINGS = 12, 6, 6, 50
MOST_CLASSES = 20
_SEVERITY = {"blocks": "stop", "warns": "warn", "notes": "note"}
_FILES = ("image", "audio", "video", "mask")


def samples_section(task: Task, data: Dataset, words: Words, *, from_test: bool) -> str:
    """Some examples as they are: by class where there are classes, else one after the other."""
    name = task.target
    column, classes = data[name], getattr(task.outputs[name], "classes", None)
    if len(task.inputs) > 1:
        body = _table(task, data)
    elif classes and isinstance(column, pa.Array) and len(classes) <= MOST_CLASSES:
        body = _by_class(task, data, classes)
    else:
        body = _in_turn(task, data)
    lead = words("samples_lead_test" if from_test else "samples_lead")
    pill = pill_html(words("examples", count=f"{len(data):,}"), "note")
    return section_html("samples", words, body, lead=lead, pill=pill)


def _by_class(task: Task, data: Dataset, classes: list[str]) -> str:
    given = np.array(data[task.target].to_pylist(), dtype=object)
    spread = wide(task)
    most = 3 if spread else MOST_OF_A_KIND
    kinds = ""
    for name in classes[:MOST_KINDS]:
        places = np.flatnonzero(given == name)
        if not len(places):
            continue
        thumbs = "".join(
            f'<div class="thumb">{inputs_html(task, data[int(place)])}</div>'
            for place in places[:most]
        )
        kinds += (
            f'<div class="kind"><b>{escape(name)}<small>{len(places):,}</small></b>'
            f"<div>{thumbs}</div></div>"
        )
    return f'<div class="kinds {spread}">{kinds}</div>'


def _in_turn(task: Task, data: Dataset) -> str:
    name, output = task.target, task.outputs[task.target]
    cases = ""
    for index in range(min(len(data), MOST_ROWS)):
        row = data[index]
        inputs = {key: row[key] for key in task.inputs}
        cases += (
            f'<div class="case">{inputs_html(task, row)}'
            f"<p>{answer_html(output, row[name], inputs)}</p></div>"
        )
    return f'<div class="cases wide">{cases}</div>'


def _table(task: Task, data: Dataset) -> str:
    fields = {**task.inputs, **task.outputs}
    rows = [
        [value_html(field, data[index][name]) for name, field in fields.items()]
        for index in range(min(len(data), MOST_ROWS))
    ]
    return table_html([escape(name) for name in fields], rows)


def gate_pill(gate: Any, words: Words) -> str:
    """Passed or failed."""
    return pill_html(words("passed"), "good") if gate.passed else pill_html(words("failed"), "stop")


def gate_section(gate: Any, words: Words) -> str:
    """The findings of the quality gate, the gravest first."""
    rows = []
    for finding in list(gate.findings)[:MOST_FINDINGS]:
        severity = str(finding.severity)
        touched = finding.rows
        count = (
            f"{touched if isinstance(touched, int) else len(touched):,}"
            if touched is not None
            else "–"
        )
        rows.append([
            escape(str(finding.check).replace("_", " ")),
            count,
            pill_html(words(severity), _SEVERITY.get(severity, "note")),
            escape(str(finding.message)),
            escape(str(finding.fix).replace("_", " ")) if finding.fix else words("by_hand"),
        ])  # fmt: skip
    head = [words(key) for key in ("check", "rows", "severity", "message", "fix")]
    body = table_html(head, rows, right=(1,)) if rows else f"<p>{words('gate_clean')}</p>"
    return section_html("gate", words, body, lead=words("gate_lead"), pill=gate_pill(gate, words))


def curves_section(run: Any, words: Words) -> str:
    """A chart for each figure of the run, training and validation together."""
    if run is None or not run.epochs:
        return ""
    charts = ""
    for name in run.history:
        if name.startswith("val_") or name in ("learning_rate", "seconds"):
            continue
        lines = [
            (words.plain(label), run.history[key])
            for key, label in ((name, "training"), (f"val_{name}", "validation"))
            if run.history.get(key)
        ]
        chart = line_chart(lines, across=words.plain("epoch"), name=name.replace("_", " "))
        if chart:
            charts += f"<div><h3>{words(name)}</h3>{chart}</div>"
    if not charts:
        return ""
    return section_html(
        "curves", words, f'<div class="charts">{charts}</div>', lead=words("curves_lead")
    )


def fragment_section(key: str, thing: Any, words: Words) -> str:
    """What an explanation or an optimisation draws of itself."""
    if thing is None:
        return ""
    draw = getattr(thing, "to_html", None)
    if draw is None:
        body = f"<pre>{escape(str(thing))}</pre>"
    elif "language" in inspect.signature(draw).parameters:
        body = draw(language=words.language)
    else:
        body = draw()
    return section_html(
        key, words, f'<div class="fragment">{body}</div>', lead=words(f"{key}_lead")
    )


def serving_section(task: Task, served: Any, words: Words) -> str:
    """The address at which the model answers and a command that asks it."""
    if served is None:
        return ""
    url = str(getattr(served, "url", served)).rstrip("/")
    safe = escape(url)
    web = url.startswith(("http://", "https://"))
    link = f'<a href="{safe}" rel="noreferrer">{safe}</a>' if web else f"<code>{safe}</code>"
    command = str(getattr(served, "curl", None) or _curl(task, url))
    body = f"<p>{link}</p><pre>{escape(command)}</pre>"
    return section_html("serving", words, body, lead=words("serving_lead"))


def _curl(task: Task, url: str) -> str:
    address = url if url.endswith("/predict") else f"{url}/predict"
    files = [name for name, field in task.inputs.items() if field.widget in _FILES]
    if files:
        return f"curl {address} " + " ".join(f"-F {name}=@{name}.png" for name in files)
    rng = np.random.default_rng(0)
    row = {name: field.to_json(field.sample(rng)) for name, field in task.inputs.items()}
    text = json.dumps(row, ensure_ascii=False).replace("'", "'\\''")
    return f"curl {address} -H 'content-type: application/json' -d '{text}'"
