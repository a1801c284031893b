"""Site: the pages of a service and what they read.

Pages are built in the browser from the fields' widgets and schemas; nothing here or there knows a
task by name. Everything comes from this package: no page asks another machine for anything.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from importlib import resources
from typing import Any

from lepton_ai import registry
from lepton_ai.errors import UnknownNameError
from lepton_ai.serving.exchange import Answer, Call, Refused, json_answer
from lepton_ai.serving.friendly import plain
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.language import chosen_language
from lepton_ai.serving.openapi import openapi, sample
from lepton_ai.serving.tensors import is_media, is_text

KINDS = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


class Site:
    """The page routes over some models.

    Args:
        shelf: The models.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.pages: dict[str, str] = {}
        self.files: dict[str, Answer] = {}
        for file in (resources.files("lepton_ai.serving") / "pages").iterdir():
            ending = "." + file.name.rpartition(".")[2]
            if ending == ".html":
                self.pages[file.name] = file.read_text(encoding="utf8")
            elif ending in KINDS:
                raw = file.read_bytes()
                tag = f'"{hashlib.sha256(raw).hexdigest()[:16]}"'
                kind = f"{KINDS[ending]}; charset=utf-8"
                headers = {"etag": tag, "cache-control": "no-cache"}
                self.files[file.name] = Answer(200, raw, kind, headers)

    def index(self, call: Call) -> Answer:
        """``GET /``: the list of models, as a page, or as JSON for those who ask for JSON."""
        if "text/html" in call.headers.get("accept", ""):
            return self._html("index.html", call)
        return self.models(call)

    def models(self, call: Call) -> Answer:
        """``GET /models``: the list of models."""
        return json_answer({"models": [summary(m) for m in self.shelf.models.values()]})

    def page(self, call: Call) -> Answer:
        """``GET /models/{name}``: the page of a model."""
        if "text/html" not in call.headers.get("accept", "text/html"):
            return self.card(call)
        try:
            self.shelf.find(call.names)
        except Refused:
            if "text/html" in call.headers.get("accept", ""):
                return self._html("index.html", call, status=404)
            raise
        return self._html("model.html", call)

    def card(self, call: Call) -> Answer:
        """``GET /models/{name}/card``: what the page of a model shows."""
        model = self.shelf.find(call.names)
        return json_answer(plain(card(model, call.origin, alone=len(self.shelf.models) == 1)))

    def examples(self, call: Call) -> Answer:
        """``GET /models/{name}/examples``: golden inputs to try."""
        return json_answer({"examples": plain(self.shelf.find(call.names).examples)})

    def file(self, call: Call) -> Answer:
        """``GET /static/{file}``: scripts, styles, texts."""
        found = self.files.get(call.names["file"])
        if found is None:
            raise Refused(404, "UnknownNameError", "Expected a file of the page.")
        if call.headers.get("if-none-match") == found.headers["etag"]:
            return Answer(304, b"", found.kind, found.headers)
        return found

    def openapi(self, call: Call) -> Answer:
        """``GET /openapi.json``."""
        return json_answer(plain(openapi(self.shelf)))

    def _html(self, name: str, call: Call, status: int = 200) -> Answer:
        language = chosen_language(call.query.get("lang"), call.headers.get("accept-language", ""))
        text = self.pages[name].replace('lang="en"', f'lang="{language}"', 1)
        headers = {"vary": "accept-language, accept", "content-language": language}
        return Answer(status, text.encode(), "text/html; charset=utf-8", headers)


def summary(model: Hosted) -> dict[str, Any]:
    """A model in the list."""
    return {
        "name": model.name,
        "version": model.version,
        "task": task_name(model),
        "ready": model.ready,
        "checked": model.checked,
        "inputs": {name: field.widget for name, field in model.task.inputs.items()},
        "outputs": {name: field.widget for name, field in model.task.outputs.items()},
        "page": f"/models/{model.name}",
    }


def card(model: Hosted, origin: str, *, alone: bool) -> dict[str, Any]:
    """What the page of a model shows."""
    lineage = model.model.lineage
    engine = model.model.engine
    return {
        **summary(model),
        "inputs": [
            {**_described(name, field), "size": model.model.specs.get(name, {}).get("size")}
            for name, field in model.task.inputs.items()
        ],
        "outputs": [_described(name, field) for name, field in model.task.outputs.items()],
        "engine": "torch" if engine is None else type(engine).__name__,
        "precision": getattr(engine, "precision", "float32"),
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "median_milliseconds": model.median_milliseconds,
        "served": model.served,
        "trained_on": (lineage.get("data") or {}).get("examples"),
        "run": lineage.get("run"),
        "code": {"curl": curl(model, origin), "python": python(model, origin, alone=alone)},
    }


def task_name(model: Hosted) -> str:
    """The registered name of a model's task."""
    try:
        return registry.name_of("tasks", type(model.task))
    except UnknownNameError:
        return type(model.task).__name__


def _described(name: str, field: Any) -> dict[str, Any]:
    return {
        "name": name,
        "widget": field.widget,
        "schema": field.schema(),
        "media": is_media(field),
        "text": is_text(field),
        "classes": getattr(field, "classes", None),
        "unit": getattr(field, "unit", None),
    }


def curl(model: Hosted, origin: str) -> str:
    """The line that sends one example with curl."""
    address = f"{origin}/models/{model.name}/predict"
    fields = model.task.inputs
    shown = _short_example(model)
    if any(is_media(field) for field in fields.values()):
        marks = {name: "@" if is_media(field) else "" for name, field in fields.items()}
        parts = [f"-F {shlex.quote(f'{name}={mark}{shown[name]}')}" for name, mark in marks.items()]
        return f"curl {' '.join(parts)} {address}"
    body = shlex.quote(json.dumps(shown, ensure_ascii=False))
    return f"curl -H 'content-type: application/json' -d {body} {address}"


def python(model: Hosted, origin: str, *, alone: bool) -> str:
    """The lines that predict from Python."""
    chosen = "" if alone else f", model={model.name!r}"
    fields = model.task.inputs
    if len(fields) == 1 and is_media(next(iter(fields.values()))):
        example = f'"{next(iter(fields))}.png"'
    else:
        example = repr(_short_example(model))
    return (
        "import lepton_ai as lai\n\n"
        f'model = lai.connect("{origin}"{chosen})\n'
        f"print(model.predict({example}))"
    )


def _short_example(model: Hosted) -> dict[str, Any]:
    """An example of the inputs, files by their name and long texts cut."""
    shown = {}
    for name, value in sample(model).items():
        if is_media(model.task.inputs[name]):
            value = f"{name}.png"
        elif isinstance(value, str) and len(value) > 80:
            value = value[:77].rstrip() + "..."
        shown[name] = value
    return shown
