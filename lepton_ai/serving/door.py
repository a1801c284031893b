"""Door: what every request passes before it is read, and every answer on its way out.

A page on another site cannot use a visitor's browser against the service: calls under a host name
that is not the service's own are refused (DNS rebinding), and so are changes that come from
another origin.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from lepton_ai.serving.exchange import Answer, error_answer

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]],
                Awaitable[None]]  # fmt: skip

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "media-src data: blob:", "connect-src 'self'",
    "frame-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
))  # fmt: skip
"""No script but the service's own files; styles may be inline, which explanations need."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Door:
    """Checks the host and the origin of every call and puts safe headers on every answer.

    Args:
        app: The application behind it.
        hosts: Names under which the service may be called, beside the loopback names.
        addresses: Whether any plain address is a good name too; no name can be rebound to one.
    """

    def __init__(self, app: Asgi, *, hosts: Iterable[str] = (), addresses: bool = False) -> None:
        self.app = app
        self.hosts = {*LOOPBACK, *(host.lower().strip("[]") for host in hosts)}
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope["lepton.id"] = call_id = secrets.token_hex(8)
        refusal = self._refusal(scope, call_id)

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message.get("headers", []), call_id)
            await send(message)

        if refusal is None:
            await self.app(scope, receive, guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send_answer(refusal, guarded)

    def _refusal(self, scope: Scope, call_id: str) -> Answer | None:
        headers = _headers(scope)
        plain = scope["path"].startswith("/v2")
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._known(hosts[0]):
            message = (
                "Expected the service to be called by its own name; received the host "
                f"{(hosts or ['(none)'])[0][:80]!r}. Names are given with "
                "lai.serve(..., hosts=[...])."
            )
            return error_answer(400, "ServiceError", message, call_id, plain=plain)
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE
        for origin in headers.get("origin", []) if unsafe else []:
            if origin.split("://", 1)[-1].lower() != hosts[0].lower():
                message = (
                    f"Expected a call from the service's own pages; received one from "
                    f"{origin[:80]!r}."
                )
                return error_answer(403, "ServiceError", message, call_id, plain=plain)
        return None

    def _known(self, host: str) -> bool:
        name = host_name(host)
        if name in self.hosts:
            return True
        return self.addresses and is_address(name)


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without its port and brackets.

    Example:
        >>> host_name("LocalHost:8000"), host_name("[::1]:8000")
        ('localhost', '::1')
    """
    host = host.lower()
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


def is_address(name: str) -> bool:
    """Whether a name is a plain IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def send_answer(answer: Answer, send: Any) -> None:
    """Send an answer over ASGI."""
    headers = {"content-type": answer.kind, "content-length": str(len(answer.body)),
               **answer.headers}  # fmt: skip
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body})


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _with_headers(raw: Iterable[tuple[bytes, bytes]], call_id: str) -> list[tuple[bytes, bytes]]:
    given = list(raw)
    names = {name.lower() for name, _ in given}
    extra = {**HEADERS, "cache-control": "no-store", "x-request-id": call_id}
    given += [(n.encode(), v.encode()) for n, v in extra.items() if n.encode() not in names]
    return given
