"""Limits: how much a request may bring, and JSON that is read within them."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, NoReturn

from lepton_ai.errors import DataError
from lepton_ai.serving.exchange import Refused


@dataclass(frozen=True)
class Limits:
    """How much a service takes on.

    Attributes:
        body: Bytes of one request body, unpacked.
        examples: Examples of one request.
        waiting: Requests that may wait for a model at once; more are answered with 503.
    """

    body: int = 32 * 2**20
    examples: int = 4096
    waiting: int = 64

    def refuse_body(self) -> NoReturn:
        """Refuse a body that is too large."""
        raise Refused(
            413, "LimitError",
            f"Expected a body of at most {self.body:,} bytes. Send fewer examples in a request, or "
            "start the service with lai.serve(..., limits=Limits(body=...)).",
        )  # fmt: skip

    def check_examples(self, count: int) -> None:
        """Refuse a request without examples, or with too many."""
        if count < 1:
            raise DataError("Expected at least one example; the request holds none.")
        if count > self.examples:
            raise DataError(
                f"Expected at most {self.examples:,} examples in a request; received {count:,}. "
                "Send them in several requests."
            )


def read_json(raw: bytes | str) -> Any:
    """JSON that is whole, finite, not absurdly deep, and names nothing twice.

    Raises:
        DataError: It is not; the message says what.

    Example:
        >>> read_json(b'{"age": 3}')
        {'age': 3}
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise DataError("Expected JSON in UTF-8; the bytes are of another encoding.") from error
    except RecursionError as error:
        raise DataError("Expected JSON of reasonable depth; it is nested too deeply.") from error
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"Expected JSON; it cannot be read: {error}.") from error


def _no_constant(name: str) -> NoReturn:
    raise DataError(f"Expected finite numbers in JSON; received {name}. Use null for not known.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"Expected every name once in a JSON object; {twice[:60]!r} comes twice.")
    return found


def unpack(raw: bytes, encoding: str, limits: Limits) -> bytes:
    """A body without its ``gzip`` or ``deflate`` packing, never larger than the limit.

    Raises:
        Refused: The packing is another one, or the unpacked body is too large.
        DataError: The packing is broken.
    """
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "deflate"):
        raise Refused(
            415, "DataError",
            f"Expected a body packed with gzip or deflate, or not packed; received {encoding!r}.",
        )  # fmt: skip
    packing = zlib.decompressobj(47 if encoding == "gzip" else 15)
    try:
        out = packing.decompress(raw, limits.body + 1)
    except zlib.error as error:
        raise DataError(f"Expected a whole {encoding} body; it cannot be unpacked.") from error
    if len(out) > limits.body:
        limits.refuse_body()
    if not packing.eof:
        raise DataError(f"Expected a whole {encoding} body; it ends too early.")
    return out
