"""Client: a remote model that predicts like one in memory."""

from __future__ import annotations

import ipaddress
import json
from typing import Any
from urllib.parse import quote, urlsplit

from lepton_ai import errors
from lepton_ai.data.column import concatenate, item
from lepton_ai.data.dataset import Dataset
from lepton_ai.errors import LeptonError, ServiceError
from lepton_ai.extras import require
from lepton_ai.models import intake
from lepton_ai.serving.exchange import KIND_HEADER
from lepton_ai.serving.tensors import to_output, to_wire
from lepton_ai.serving.wire import HEADER, join, read_tensors, split, write_tensor
from lepton_ai.tasks.task import Task

MOST_BYTES = 32 * 2**20


class RemoteModel:
    """A model behind a door; predicts and is evaluated like one in memory.

    Attributes:
        task: What is asked, rebuilt from the service's metadata through the registry.
        url: Where the service is.
        name: The model's name there.

    Use :func:`connect` to make one.
    """

    def __init__(self, http: Any, url: str, metadata: dict[str, Any]) -> None:
        self._http = http
        self.url = url
        parameters = metadata.get("parameters") or {}
        if not isinstance(parameters.get("task"), dict):
            raise ServiceError(
                f"Expected the metadata of {url} to describe a task, as Lepton's services do; it "
                "does not. Use a client of the Open Inference Protocol for this one."
            )
        self.name: str = metadata["name"]
        self.version: str = (metadata.get("versions") or ["1"])[-1]
        self.task = Task.from_config(parameters["task"])
        self.options: dict[str, Any] = parameters.get("options") or {}
        limits = parameters.get("limits") or {}
        self._most_bytes = int(limits.get("body", MOST_BYTES))
        self._most_examples = int(limits.get("examples", 4096))

    def predict(self, examples: Any, *, batch_size: int | None = None, **options: Any) -> Any:
        """Predict examples: the same columns as the model itself gives.

        Args:
            examples: In any form that :meth:`lepton_ai.Model.predict` takes.
            batch_size: Examples sent at once, 256 when ``None``.
            options: What the model's head offers.

        Raises:
            DataError: The examples are not what the task's fields expect.
            ServiceError: The service cannot be reached, or fails.
        """
        data, single = intake.examples(self.task, examples)
        size = min(batch_size or 256, self._most_examples)
        pieces: list[dict[str, Any]] = []
        for start in range(0, len(data), size):
            part = data.take(range(start, min(start + size, len(data))))
            pieces += self._infer(part, options)
        columns = {name: concatenate([p[name] for p in pieces]) for name in pieces[0]}
        if single:
            columns = {name: item(column, 0) for name, column in columns.items()}
        if getattr(self.task, "plain", False) and not isinstance(examples, (dict, Dataset)):
            target = self.task.target  # fitted on plain arrays: plain arrays come back
            return columns.get(f"{target}.scores", columns[target])
        return columns

    def explain(self, example: Any, *, method: str = "auto") -> RemoteExplanation:
        """Explain one example.

        Raises:
            ServiceError: No explainer applies, or the service cannot be reached.
        """
        data, _ = intake.examples(self.task, example)
        row = {
            name: field.to_json(item(data.columns[name], 0))
            for name, field in self.task.inputs.items()
        }
        body = json.dumps({"examples": [row], "options": {"method": method}}).encode()
        path = f"/models/{quote(self.name)}/explain"
        answer = self._send("POST", path, body, {"content-type": "application/json"})
        return RemoteExplanation(json.loads(answer.content))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> RemoteModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_http"):
            self._http.close()

    def __repr__(self) -> str:
        return f"RemoteModel({self.name!r} at {self.url}, {self.task!r})"

    # -- over the wire -----------------------------------------------------------------------

    def _infer(self, data: Dataset, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Predictions in pieces: a batch too large for one request is halved."""
        wires = [to_wire(n, data.columns[n], f) for n, f in self.task.inputs.items()]
        entries, blobs = [], []
        for wire in wires:
            entry, blob = write_tensor(wire, binary=True)
            entries.append(entry)
            blobs.append(blob or b"")
        parameters = {**options, "binary_data_output": True}
        body, headers = join({"inputs": entries, "parameters": parameters}, blobs)
        if len(body) > self._most_bytes and len(data) > 1:
            middle = len(data) // 2
            first, second = data.take(range(middle)), data.take(range(middle, len(data)))
            return self._infer(first, options) + self._infer(second, options)
        answer = self._send("POST", f"/v2/models/{quote(self.name)}/infer", body, headers)
        document, tail = split(answer.content, answer.headers.get(HEADER))
        found = read_tensors(document.get("outputs"), tail, "outputs")
        fields = self.task.outputs
        return [{wire.name: to_output(wire, fields.get(wire.name)) for wire in found}]

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        return send(self._http, self.url, method, path, body, headers)


class RemoteExplanation:
    """An explanation that a service gave: its JSON and its HTML."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    @property
    def prediction(self) -> Any:
        """What was predicted."""
        return self._document.get("prediction")

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of the example with their weights."""
        return self._document.get("parts", [])

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON."""
        return {k: v for k, v in self._document.items() if k != "html"}

    def to_html(self) -> str:
        """The explanation as HTML."""
        return self._document["html"]

    def _repr_html_(self) -> str:
        return self.to_html()


def connect(url: str, model: str | None = None, *, timeout: float = 60.0) -> RemoteModel:
    """Connect to a model that :func:`lepton_ai.serve` put behind a door.

    Args:
        url: Where the service is, ``"http://127.0.0.1:8000"``.
        model: Its name there; may be left out when the service has one model.
        timeout: Seconds to wait for an answer.

    Raises:
        ServiceError: Nothing answers there, or not as a Lepton service does.
        ConfigError: The service has several models, or none of that name.
    """
    httpx = require("httpx", extra="serve", why="connect(...)")
    url = (url if "://" in url else f"http://{url}").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServiceError(
            f"Expected an address such as 'http://127.0.0.1:8000'; received {url!r}."
        )
    http = httpx.Client(
        base_url=url, timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        trust_env=not _is_here(parts.hostname),
    )  # fmt: skip
    try:
        server = _read(http, url, "/v2")
        known = server.get("models")
        if model is None and isinstance(known, list):
            if len(known) != 1:
                raise errors.ConfigError(
                    f"Expected the name of a model; {url} serves {', '.join(known)}. Type: "
                    f"lai.connect({url!r}, model={known[0]!r})."
                )
            model = known[0]
        if model is None:
            raise ServiceError(
                f"Expected the name of a model. Type: lai.connect({url!r}, model=...)."
            )
        return RemoteModel(http, url, _read(http, url, f"/v2/models/{quote(model)}"))
    except BaseException:
        http.close()
        raise


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(http: Any, url: str, path: str) -> dict[str, Any]:
    answer = send(http, url, "GET", path)
    try:
        document = json.loads(answer.content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ServiceError(f"Expected a Lepton service at {url}; {path} answers something else.")
    return document


def send(
    http: Any, url: str, method: str, path: str, body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """Send a request; what the service refuses is raised as the same error that it raised.

    Raises:
        ServiceError: Nothing answers, or the service fails.
        LeptonError: What the service says.
    """
    import httpx

    try:
        answer = http.request(method, path, content=body, headers=headers)
    except httpx.ConnectError as error:
        raise ServiceError(
            f"Expected a service at {url}; nothing answers there ({error}). Start one with "
            "`lepton serve PATH`, or lai.serve(model)."
        ) from error
    except httpx.TimeoutException as error:
        raise ServiceError(
            f"Expected an answer from {url}{path} in time; none came. Send fewer examples with "
            "batch_size=..., or wait longer with lai.connect(..., timeout=...)."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(f"The connection to {url} failed: {error}.") from error
    if answer.status_code >= 400:
        raise _error_of(answer, f"{url}{path}")
    return answer


def _error_of(answer: Any, address: str) -> LeptonError:
    message = f"{address} answers {answer.status_code}."
    try:
        told = json.loads(answer.content)["error"]
        message = told if isinstance(told, str) else told["message"]
    except (ValueError, KeyError, TypeError):
        pass  # not an error of a Lepton service: the status has to do
    kind = getattr(errors, answer.headers.get(KIND_HEADER, ""), None)
    if isinstance(kind, type) and issubclass(kind, LeptonError) and answer.status_code < 500:
        return kind(message)
    return ServiceError(message)
