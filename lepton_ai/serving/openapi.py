"""OpenAPI: the description of a service's paths, with real examples from the fields."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import lepton_ai
from lepton_ai.data.column import item
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.tensors import is_media

LARGEST_EXAMPLE = 20_000


def openapi(shelf: Shelf) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service."""
    paths: dict[str, Any] = {
        "/models": {"get": _get("The models that are served.")},
        "/v2": {"get": _get("Open Inference Protocol v2: the server.")},
        "/v2/health/live": {"get": _get("Whether the server lives.")},
        "/v2/health/ready": {"get": _get("Whether every model passed its check.")},
    }
    for model in shelf.models.values():
        name = model.name
        body = request_body(model)
        paths[f"/models/{name}/predict"] = {"post": _post(f"Predict with {name}.", body, model)}
        paths[f"/models/{name}/explain"] = {"post": _post(f"Explain {name}.", body, None)}
        paths[f"/v2/models/{name}"] = {"get": _get(f"Tensors of {name}.")}
        paths[f"/v2/models/{name}/infer"] = {"post": _post(
            "Open Inference Protocol v2: infer.",
            {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
            None,
        )}  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lepton", "version": lepton_ai.__version__},
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }


def sample(model: Hosted) -> dict[str, Any]:
    """One plausible example of a model's inputs, as JSON: a golden one, else a drawn one."""
    if model.examples:
        return {name: model.examples[0][name] for name in model.task.inputs}
    columns = model.task.sample(np.random.default_rng(0), 2)
    return {name: f.to_json(item(columns[name], 0)) for name, f in model.task.inputs.items()}


def request_body(model: Hosted) -> dict[str, Any]:
    """The ways in which an example can be sent."""
    fields = model.task.inputs
    example = sample(model)
    one = {
        "type": "object",
        "properties": {name: field.schema() for name, field in fields.items()},
        "required": list(fields),
    }
    many = {
        "type": "object",
        "properties": {"examples": {"type": "array", "items": one}},
        "required": ["examples"],
    }
    shown: dict[str, Any] = {"value": example}
    if len(json.dumps(example)) > LARGEST_EXAMPLE:
        shown = {"externalValue": f"/models/{model.name}/examples"}
    files = {
        name: {"type": "string", "format": "binary"} if is_media(field) else {"type": "string"}
        for name, field in fields.items()
    }
    form = {"schema": {"type": "object", "properties": files, "required": list(fields)}}
    content: dict[str, Any] = {
        "application/json": {"schema": {"oneOf": [one, many]}, "examples": {"one": shown}},
        "multipart/form-data": form,
    }
    if not any(is_media(field) for field in fields.values()):
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"required": True, "content": content}


_ERROR = {
    "type": "object",
    "properties": {"error": {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("type", "message", "request_id")},
    }},
}  # fmt: skip


def _get(summary: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "The answer."}}}


def _post(summary: str, body: dict[str, Any], model: Hosted | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"type": "object"}
    if model is not None:
        row = {name: field.schema() for name, field in model.task.outputs.items()}
        answer = {
            "type": "object",
            "properties": {
                "id": {"type": "string"}, "model": {"type": "string"},
                "version": {"type": "string"}, "milliseconds": {"type": "number"},
                "predictions": {"type": "array", "items": {"type": "object", "properties": row}},
            },
        }  # fmt: skip
    refused = {"description": "Refused; the message says what was expected.", "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}  # fmt: skip
    done = {"description": "The answer.", "content": {"application/json": {"schema": answer}}}
    return {
        "summary": summary, "requestBody": body,
        "responses": {"200": done, "400": refused, "404": refused, "413": refused},
    }  # fmt: skip
