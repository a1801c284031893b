"""Exchange: a call that comes in and the answer that goes out, free of any web framework.

Handlers turn a :class:`Call` into an :class:`Answer`; :func:`answered` turns whatever they raise
into an answer too, so that no traceback leaves the service.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lepton_ai.errors import (
    ConfigError,
    DataError,
    LeptonError,
    MissingExtraError,
    NotReadyError,
    ServiceError,
    ShapeError,
)

log = logging.getLogger("lepton_ai.serving")

KIND_HEADER = "x-lepton-error"


class Refused(ServiceError):
    """A call that is refused with a status of its own.

    Args:
        status: HTTP status.
        kind: Name of the error that the answer carries.
        message: What was expected, what was received, what to do.
    """

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})


@dataclass(frozen=True)
class Upload:
    """One part of a form: a value, or a file with its name."""

    name: str
    content: bytes
    filename: str | None = None


@dataclass(frozen=True)
class Call:
    """A request, read whole.

    Attributes:
        method: ``"GET"``, ``"POST"``.
        path: Path without the query.
        names: What the path's places hold (``name``, ``version``).
        headers: Headers, names in lower case.
        query: Query parameters.
        body: The body, within the limit, unpacked.
        form: Its parts when it is a form.
        origin: Scheme, host and port under which the caller reached the service.
        id: Identifier of the request.
    """

    method: str
    path: str
    names: Mapping[str, str]
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    form: list[Upload] | None
    origin: str
    id: str

    @property
    def content_type(self) -> str:
        """Media type of the body, without its parameters."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()


@dataclass(frozen=True)
class Answer:
    """What goes back: status, body, its media type, further headers."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """A JSON document as an answer."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    raw = text.encode("utf8", errors="replace")
    return Answer(status, raw, headers=headers or {})


def error_answer(
    status: int, kind: str, message: str, call_id: str, *, plain: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Answer:  # fmt: skip
    """An error as JSON.

    Args:
        status: HTTP status.
        kind: Name of the error.
        message: What a person reads.
        call_id: Identifier of the request.
        plain: Whether ``error`` is the message alone, as Open Inference Protocol wants it.
        headers: Further headers.
    """
    error = {"type": kind, "message": message, "status": status, "request_id": call_id}
    document = {"error": message if plain else error}
    return json_answer(document, status, {KIND_HEADER: kind, **(headers or {})})


def answered(handler: Callable[[Call], Answer], call: Call) -> Answer:
    """What a handler answers; whatever it raises becomes an error answer."""
    plain = call.path == "/v2" or call.path.startswith("/v2/")
    try:
        return handler(call)
    except Exception as error:  # the last stop before the wire: nothing may escape
        status, kind, message, headers = _told(error, call)
        return error_answer(status, kind, message, call.id, plain=plain, headers=headers)


def _told(error: Exception, call: Call) -> tuple[int, str, str, dict[str, str]]:
    kind, message = type(error).__name__, str(error)
    if isinstance(error, Refused):
        return error.status, error.kind, message, error.headers
    if isinstance(error, (DataError, ShapeError, ConfigError)):
        return 400, kind, message, {}
    if isinstance(error, RecursionError):
        return 400, "DataError", "Expected values that are nested less deeply.", {}
    if isinstance(error, MissingExtraError):
        return 501, kind, message, {}
    if isinstance(error, NotReadyError):
        return 503, kind, message, {}
    log.error("request %s to %s failed", call.id, call.path, exc_info=error)
    if isinstance(error, LeptonError):
        return 500, kind, f"The model cannot answer. Ask for the log of {call.id}.", {}
    return 500, "InternalError", f"The service failed. Ask for the log of {call.id}.", {}
