"""The application: routes to handlers, within limits, behind the door.

Handlers know nothing of the web framework; they get a :class:`~lepton_ai.serving.exchange.Call`
and give an :class:`~lepton_ai.serving.exchange.Answer`. Those marked heavy run in a small pool of
threads, so that health stays answered while models work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import lepton_ai
from lepton_ai.errors import DataError
from lepton_ai.extras import require
from lepton_ai.serving.door import Door, send_answer
from lepton_ai.serving.exchange import Answer, Call, Refused, Upload, answered, error_answer
from lepton_ai.serving.friendly import Friendly
from lepton_ai.serving.hosted import Shelf
from lepton_ai.serving.limits import Limits, unpack
from lepton_ai.serving.protocol import Protocol
from lepton_ai.serving.site import Site

log = logging.getLogger("lepton_ai.serving")
THREADS = 4


@dataclass(frozen=True)
class Route:
    """One way in.

    Attributes:
        method: HTTP verb.
        path: Path, with places such as ``{name}``.
        handler: What answers.
        heavy: Whether it works for long and belongs into the pool.
    """

    method: str
    path: str
    handler: Callable[[Call], Answer]
    heavy: bool = False


def routes(shelf: Shelf) -> list[Route]:
    """Every route of a service; nothing answers that is not listed here."""
    protocol, friendly, site = Protocol(shelf), Friendly(shelf), Site(shelf)
    found = [
        Route("GET", "/", site.index),
        Route("GET", "/models", site.models),
        Route("GET", "/models/{name}", site.page),
        Route("GET", "/models/{name}/card", site.card),
        Route("GET", "/models/{name}/examples", site.examples),
        Route("GET", "/static/{file}", site.file),
        Route("GET", "/openapi.json", site.openapi),
        Route("POST", "/predict", friendly.predict, heavy=True),
        Route("POST", "/explain", friendly.explain, heavy=True),
        Route("POST", "/models/{name}/predict", friendly.predict, heavy=True),
        Route("POST", "/models/{name}/explain", friendly.explain, heavy=True),
        Route("GET", "/v2", protocol.server),
        Route("GET", "/v2/health/live", protocol.live),
        Route("GET", "/v2/health/ready", protocol.ready),
    ]
    for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route("GET", place, protocol.model, heavy=True),
            Route("GET", f"{place}/ready", protocol.model_ready),
            Route("POST", f"{place}/infer", protocol.infer, heavy=True),
        ]
    return found


class Pool:
    """A few threads for heavy work, with a bounded number of calls waiting.

    Args:
        limits: How many may wait.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="lepton-serve")
        self.waiting = 0

    async def run(self, handler: Callable[[Call], Answer], call: Call) -> Answer:
        """Answer a call in a thread, or refuse it at once when too many wait."""
        if self.waiting >= self.limits.waiting:
            message = f"Expected at most {self.limits.waiting} calls at once. Ask again shortly."
            plain = call.path.startswith("/v2")
            return error_answer(
                503, "ServiceError", message, call.id, plain=plain, headers={"retry-after": "1"}
            )
        self.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.threads, answered, handler, call)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Let the threads end once their calls are answered."""
        self.threads.shutdown(wait=False, cancel_futures=True)


def build_app(
    shelf: Shelf, *, hosts: Iterable[str] = (), addresses: bool = False, pool: Pool | None = None
) -> Any:
    """The ASGI application over some models.

    Args:
        shelf: The models.
        hosts: Further names under which it may be called.
        addresses: Whether it may be called by any plain address.
        pool: Threads for the heavy routes; one of its own when ``None``.

    Raises:
        MissingExtraError: The extra ``serve`` is not installed.
    """
    fastapi = require("fastapi", extra="serve", why="serve(...)")
    pool = pool or Pool(shelf.limits)
    app = fastapi.FastAPI(
        title="Lepton", version=lepton_ai.__version__, openapi_url=None, docs_url=None,
        redoc_url=None, exception_handlers={404: _not_found, 405: _wrong_verb},
    )  # fmt: skip
    for route in routes(shelf):
        app.add_route(
            route.path, _endpoint(route, shelf.limits, pool), methods=[route.method],
            include_in_schema=False,
        )  # fmt: skip
    return Door(app, hosts=hosts, addresses=addresses)


class _Reply:
    """An answer as the framework wants it: something to await with scope, receive, send."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send_answer(self.answer, send)


def _endpoint(route: Route, limits: Limits, pool: Pool) -> Callable[[Any], Any]:
    async def endpoint(request: Any) -> _Reply:
        try:
            call = await _read_call(request, limits)
        except Exception as error:  # what the body's reading raises is answered like the rest
            return _Reply(answered(_raising(error), _bare_call(request)))
        if route.heavy:
            return _Reply(await pool.run(route.handler, call))
        return _Reply(answered(route.handler, call))

    return endpoint


def _raising(error: Exception) -> Callable[[Call], Answer]:
    def handler(call: Call) -> Answer:
        raise error

    return handler


def _bare_call(request: Any, body: bytes = b"", form: list[Upload] | None = None) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Call(
        method=request.method, path=request.url.path, names=dict(request.path_params),
        headers=headers, query=dict(request.query_params), body=body, form=form,
        origin=f"{request.url.scheme}://{headers.get('host', '')}",
        id=request.scope.get("lepton.id", ""),
    )  # fmt: skip


async def _read_call(request: Any, limits: Limits) -> Call:
    """A request, read whole within the limit; a larger body is read on a little, then refused."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limits.body:
            pieces.append(piece)
        else:
            pieces.clear()
        if size > 4 * limits.body:  # a sender that still writes would not read the refusal
            break
    if size > limits.body:
        limits.refuse_body()
    encoding = request.headers.get("content-encoding", "").strip().lower()
    body = unpack(b"".join(pieces), encoding, limits)
    form = None
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        form = await _read_form(request.headers, body, limits)
    return _bare_call(request, body, form)


async def _read_form(headers: Any, body: bytes, limits: Limits) -> list[Upload]:
    require("python_multipart", extra="serve", why="a form with files")
    from starlette.formparsers import MultiPartException, MultiPartParser

    async def whole() -> Any:
        yield body

    most = limits.examples * 4
    parser = MultiPartParser(
        headers, whole(), max_files=most, max_fields=most, max_part_size=limits.body
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise DataError(f"Expected a whole multipart form; {error}.") from error
    found = []
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.append(Upload(name, value.encode()))
        else:
            found.append(Upload(name, await value.read(), value.filename or ""))
    await form.close()
    return found


async def _not_found(request: Any, error: Exception) -> _Reply:
    message = (
        f"Expected a path that is served; received {request.url.path[:120]!r}. "
        "GET / lists the models, GET /openapi.json every path."
    )
    refused = Refused(404, "UnknownNameError", message)
    return _Reply(answered(_raising(refused), _bare_call(request)))


async def _wrong_verb(request: Any, error: Any) -> _Reply:
    allowed = (getattr(error, "headers", None) or {}).get("Allow", "another method")
    refused = Refused(
        405, "ServiceError", f"Expected {allowed} here; received {request.method}.",
        {"allow": allowed},
    )  # fmt: skip
    return _Reply(answered(_raising(refused), _bare_call(request)))
