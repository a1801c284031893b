"""``lai.report``: one page that holds everything about a model, to be read and passed on."""

from __future__ import annotations

import platform
import time
from html import escape
from pathlib import Path
from typing import Any

import lepton_ai
from lepton_ai import registry
from lepton_ai.automl.report_evaluation import Judgement, evaluation_section, judge
from lepton_ai.automl.report_page import (
    Words,
    figure_html,
    number,
    page_html,
    pill_html,
    section_html,
)
from lepton_ai.automl.report_sections import (
    curves_section,
    fragment_section,
    gate_pill,
    gate_section,
    samples_section,
    serving_section,
)
from lepton_ai.data.dataset import as_dataset
from lepton_ai.errors import ConfigError
from lepton_ai.optimization import Report
from lepton_ai.workspace.files import replace_text

MOST_NAMED = 12


def report(
    model: Any, *, data: Any = None, test: Any = None, gate: Any = None, explanation: Any = None,
    optimization: Any = None, served: Any = None, path: str | Path = "report.html",
    language: str = "en",
) -> Path:  # fmt: skip
    """Write one self-contained HTML page about a model: no script, no request, all text escaped.

    Args:
        model: A fitted model, or whatever predicts.
        data: The data it learned from: its samples are shown.
        test: Data that took no part in training: the model is judged on it.
        gate: What ``lai.check`` gave.
        explanation: What ``lai.explain`` gave.
        optimization: The report of ``lai.optimize``; by default the one that the model carries.
        served: Where it answers: a service, or its address.
        path: Where to write the page.
        language: ``"en"`` or ``"zh"``.

    Returns:
        The path of the page.

    Raises:
        ConfigError: The model has no task, or the language is not spoken.
        DataError: ``data`` or ``test`` lack a column of the task.
    """
    words = Words(language)
    if not hasattr(model, "predict") or not hasattr(model, "task"):
        raise ConfigError(
            f"Expected a model; received {type(model).__name__}. Type: lai.report(model, test=data)"
        )
    task = model.task
    known = None if data is None else task.typed(as_dataset(data))
    judged = None if test is None else judge(model, as_dataset(test))
    sections = {
        "asked": section_html("asked", words, _asked(model, words), lead=words("asked_lead"))
    }
    shown = judged.data if known is None and judged is not None else known
    if shown is not None:
        sections["samples"] = samples_section(task, shown, words, from_test=known is None)
    if gate is not None:
        sections["gate"] = gate_section(gate, words)
    sections["curves"] = curves_section(getattr(model, "run", None), words)
    if judged is not None:
        sections["evaluation"] = evaluation_section(judged, words)
    sections["explanation"] = fragment_section("explanation", explanation, words)
    tried = optimization if optimization is not None else getattr(model, "optimization", None)
    lineage = getattr(model, "lineage", None) or {}
    if tried is None and "optimization" in lineage:
        tried = Report.from_json(lineage["optimization"])
    sections["optimization"] = fragment_section("optimization", tried, words)
    sections["serving"] = serving_section(task, served, words)
    kept = {key: html for key, html in sections.items() if html}
    body = _head(model, judged, words) + _navigation(kept, words)
    body += _figures(model, judged, gate, words) + "".join(kept.values()) + _foot(words)
    target = Path(path)
    replace_text(target, page_html(words, words("page"), body))
    return target


def _head(model: Any, judged: Judgement | None, words: Words) -> str:
    run = getattr(model, "run", None)
    crumbs = [_data_name(run), _task_name(model), getattr(run, "id", None)]
    crumb = " / ".join(escape(str(c)) for c in crumbs if c)
    pill = ""
    if judged is not None:
        name, value, _ = judged.headline
        pill = pill_html(f"{words(name)} {number(value)}")
    return (
        f'<div class="brand"><b>◆</b> Lepton</div><div class="crumb">{crumb}</div>'
        f'<h1>{words("title")}</h1>{pill}<p class="question">{escape(_question(model))}</p>'
    )


def _navigation(sections: dict[str, str], words: Words) -> str:
    links = "".join(f'<a href="#{key}">{words(key)}</a>' for key in sections)
    return f'<nav aria-label="{words("page")}">{links}</nav>'


def _foot(words: Words) -> str:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"<footer>{words('footer', version=lepton_ai.__version__, when=when)}</footer>"


def _task_name(model: Any) -> str:
    try:
        return registry.name_of("tasks", type(model.task)).replace("_", " ")
    except LookupError:
        return type(model.task).__name__


def _question(model: Any) -> str:
    """The question that a task asks: the first line of what it says about itself."""
    lines = (type(model.task).__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


def _data_name(run: Any) -> str | None:
    return None if run is None else run.data.get("name")


def _figures(model: Any, judged: Judgement | None, gate: Any, words: Words) -> str:
    """The four figures on top."""
    if judged is None:
        first = figure_html(words("evaluation"), "–", words("no_test"))
    else:
        name, value, interval = judged.headline
        beside = words("on_test", count=f"{len(judged.data):,}")
        if interval is not None:
            low, high = number(interval[0]), number(interval[1])
            beside = f"{words('interval_short', low=low, high=high)}<br>{beside}"
        first = figure_html(words(name), number(value), beside)
    run = getattr(model, "run", None)
    count = run.data.get("examples") if run is not None else None
    took = ""
    if run is not None and run.epochs:
        seconds = run.metrics.get("seconds")
        took = words("rounds", epochs=run.epochs)
        if isinstance(seconds, (int, float)):
            took = words("took", epochs=run.epochs, seconds=f"{seconds:.0f}")
    second = figure_html(words("learned_from"), number(count), took)
    checked = figure_html(words("gate"), *_gate_figure(gate, words))
    return f'<div class="figures">{first}{second}{checked}{_size_figure(model, words)}</div>'


def _gate_figure(gate: Any, words: Words) -> tuple[str, str]:
    if gate is None:
        return "–", words("not_checked")
    return gate_pill(gate, words), words("findings", count=len(gate.findings))


def _size_figure(model: Any, words: Words) -> str:
    weights = list(model.parameters()) if hasattr(model, "parameters") else []
    count = sum(weight.numel() for weight in weights)
    size = sum(weight.numel() * weight.element_size() for weight in weights) / 1e6
    value = f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count / 1e3:,.0f} k" if count else "–"
    return figure_html(words("size"), value, words("megabytes", size=f"{size:,.1f}"))


def _asked(model: Any, words: Words) -> str:
    task, run = model.task, getattr(model, "run", None)
    rows = [
        (
            "question",
            f"{escape(_question(model))} <span class=small>({escape(_task_name(model))})</span>",
        ),
        ("inputs", _fields(task.inputs)),
        ("outputs", _fields(task.outputs)),
        ("network", _network(model, words)),
        ("engine", _engine(model, words)),
    ]
    if run is not None:
        told = ("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "precision")
        chosen = [
            f"{k} {escape(str(run.config[k]))}" for k in told if run.config.get(k) is not None
        ]
        examples = run.data.get("examples")
        counted = f" · {words('examples', count=f'{examples:,}')}" if examples else ""
        rows += [
            ("settings", " · ".join(chosen)),
            ("data", f"{escape(str(run.data.get('name', '')))}{counted}"),
            ("digest", f"<code>{escape(str(run.data.get('digest', '–')))}</code>"),
            ("run", f"<code>{escape(str(run.id))}</code> · {escape(str(run.started))}"),
            ("seed", str(run.seed)),
        ]
    rows.append(("versions", _versions()))
    return "<dl>" + "".join(f"<dt>{words(k)}</dt><dd>{v or '–'}</dd>" for k, v in rows) + "</dl>"


def _fields(fields: dict[str, Any]) -> str:
    """Fields by their kind, with the classes of those that have them."""
    kinds: dict[str, list[str]] = {}
    for name, field in fields.items():
        classes = getattr(field, "classes", None)
        told = escape(name)
        if classes:
            more = ", …" if len(classes) > MOST_NAMED else ""
            listed = escape(", ".join(classes[:MOST_NAMED]))
            told += f" <span class=small>({listed}{more})</span>"
        kinds.setdefault(type(field).__name__, []).append(told)
    return "<br>".join(
        f"{kind}: {', '.join(told[:MOST_NAMED])}{', …' if len(told) > MOST_NAMED else ''}"
        for kind, told in kinds.items()
    )


def _network(model: Any, words: Words) -> str:
    backbone = getattr(model, "backbone", None)
    given = getattr(model, "given", None)
    inner = getattr(model, "name", None) or (type(given).__name__ if given is not None else "–")
    weights = list(model.parameters()) if hasattr(model, "parameters") else []
    count = f"{sum(weight.numel() for weight in weights):,}"
    return f"{escape(str(backbone or inner))} · {words('parameters', count=count)}"


def _engine(model: Any, words: Words) -> str:
    engine = getattr(model, "engine", None)
    if engine is None:
        return words("as_trained")
    return f"{escape(type(engine).__name__)} ({escape(str(engine.precision))})"


def _versions() -> str:
    import numpy
    import torch

    return (
        f"lepton-ai {lepton_ai.__version__} · torch {escape(torch.__version__)} · numpy "
        f"{escape(numpy.__version__)} · Python {platform.python_version()}"
    )
