"""Service: models behind a door. Read this first.

:func:`serve` loads models, opens the door, replays every model's golden examples, and only then
says that it is ready.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lepton_ai.errors import ConfigError, ServiceError
from lepton_ai.extras import require
from lepton_ai.models.artifact import load, read_golden
from lepton_ai.registry import near_miss
from lepton_ai.serving.app import Pool, build_app
from lepton_ai.serving.door import LOOPBACK, is_address
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.limits import Limits
from lepton_ai.workspace import Workspace, as_workspace

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
GRACE_SECONDS = 5


class Service:
    """Models behind a door, in a thread of their own.

    Attributes:
        url: Where it answers, ``"http://127.0.0.1:8000"``.
        models: Name to hosted model.

    Use it as a context manager, or call :meth:`stop`.
    """

    def __init__(
        self, shelf: Shelf, *, host: str, port: int, hosts: Iterable[str] = (),
        addresses: bool = False,
    ) -> None:  # fmt: skip
        uvicorn = require("uvicorn", extra="serve", why="serve(...)")
        self.shelf = shelf
        self._pool = Pool(shelf.limits)
        app = build_app(shelf, hosts=hosts, addresses=addresses, pool=self._pool)
        self._socket = _bind(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False,
            ws="none", lifespan="off", timeout_keep_alive=5,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="lepton-service",
            daemon=True,
        )  # fmt: skip

    @property
    def models(self) -> dict[str, Hosted]:
        """Name to hosted model."""
        return self.shelf.models

    @property
    def url(self) -> str:
        """Where it answers; a wildcard address is given as the loopback one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive() and self._server.started

    def start(self) -> Service:
        """Open the door, replay the golden examples, and be ready.

        Raises:
            CertificateError: A model does not answer like the one that was saved.
            ServiceError: The server did not start.
        """
        self._thread.start()
        try:
            while not self._server.started:
                if not self._thread.is_alive():
                    raise ServiceError(f"The server on {self.url} did not start; see the log.")
                time.sleep(0.005)
            for model in self.models.values():
                model.check()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Answer what was begun, then close the door."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS + 5)
        self._socket.close()
        self._pool.close()

    def wait(self) -> None:
        """Serve until Ctrl-C, or until the process is asked to end, then stop."""
        import signal

        restore = None
        if threading.current_thread() is threading.main_thread():
            restore = signal.signal(signal.SIGTERM, lambda *_: setattr(
                self._server, "should_exit", True))  # fmt: skip
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)
        except KeyboardInterrupt:
            pass
        finally:
            self.stop()
            if restore is not None:
                signal.signal(signal.SIGTERM, restore)

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return f"Service({self.url}, {', '.join(self.models)}, {state})"


def serve(
    *models: Any, host: str = "127.0.0.1", port: int = 8000, block: bool = False,
    allow_remote: bool = False, hosts: Iterable[str] = (), limits: Limits | None = None,
    workspace: Workspace | str | os.PathLike[str] | None = None,
) -> Service:  # fmt: skip
    """Put models behind a door: Open Inference Protocol v2, a friendly ``/predict``, a page each.

    Args:
        models: Models, folders of saved models, or ``{name: either}``. A name that is no folder
            is looked for among the ``models`` of the workspace.
        host: Address to listen on. Only the loopback ones unless ``allow_remote``.
        port: Port; 0 takes a free one.
        block: Whether to serve until Ctrl-C instead of returning.
        allow_remote: Other machines may call. The service asks nobody who they are.
        hosts: Further names under which browsers may call it.
        limits: How much a request may bring.
        workspace: Where models that are given by name are.

    Raises:
        ServiceError: The port is in use, or the address is open to others without
            ``allow_remote``.
        CertificateError: A saved model does not answer as it did when it was saved.
        ArtifactError: A saved model cannot be read.

    Example:
        >>> import numpy as np
        >>> from lepton_ai import Model
        >>> data = {"image": np.zeros((8, 8, 8), "uint8"), "label": ["a", "b"] * 4}
        >>> model = Model("convnet", "image_classification", filters=(4,))
        >>> run = model.fit(data, epochs=1, verbose=0)
        >>> with serve(model, port=0) as service:
        ...     service.url.startswith("http://127.0.0.1:")
        True
    """
    local = _is_loopback(host)
    if not local and not allow_remote:
        raise ServiceError(
            f"Expected a loopback address such as '127.0.0.1'; {host!r} lets other machines call, "
            "and the service asks nobody who they are. If that is meant, type: "
            f"lai.serve(..., host={host!r}, allow_remote=True)."
        )
    hosted = _hosted(models, as_workspace(workspace))
    names = [*hosts, host] if local else [*hosts, host, socket.gethostname()]
    service = Service(
        Shelf(hosted, limits), host=host, port=port, hosts=names, addresses=not local
    ).start()
    if block:
        service.wait()
    return service


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host in LOOPBACK:
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def _bind(host: str, port: int) -> socket.socket:
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise ServiceError(f"Expected a port from 0 to 65535; received {port!r}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(2048)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise ServiceError(
                f"Expected a free port; {port} on {host} is in use. Type: lai.serve(..., "
                f"port={port + 1 if port < 65535 else 8000}), or port=0 for any free one."
            ) from error
        raise ServiceError(
            f"Expected an address of this machine and a port that may be used; {host}:{port} "
            f"cannot be: {error.strerror or error}."
        ) from error
    return opened


# -- which models --------------------------------------------------------------------------------


def _hosted(models: tuple[Any, ...], workspace: Workspace) -> list[Hosted]:
    named: list[tuple[str | None, Any]] = []
    for given in models:
        if isinstance(given, Mapping):
            named += list(given.items())
        elif isinstance(given, (list, tuple)):
            named += [(None, one) for one in given]
        else:
            named.append((None, given))
    if not named:
        raise ServiceError("Expected at least one model. Type: lai.serve(model).")
    locks: dict[int, threading.Lock] = {}
    found: list[Hosted] = []
    taken: set[str] = set()
    for name, given in named:
        model, golden, usual = _loaded(given, workspace)
        name = name if name is not None else _free(usual, taken)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                "Expected names of letters, digits, '.', '_' and '-' for models; received "
                f"{name!r}. Type: lai.serve({{'my-model': model}})."
            )
        if name in taken:
            raise ConfigError(f"Expected every model to have its own name; {name!r} comes twice.")
        taken.add(name)
        lock = locks.setdefault(id(model), threading.Lock())
        found.append(Hosted(name, model, golden=golden, lock=lock))
    return found


def _loaded(given: Any, workspace: Workspace) -> tuple[Any, Any, str]:
    """A model, its golden answers when it was saved, and its usual name."""
    if not isinstance(given, (str, os.PathLike)):
        if not hasattr(given, "predict") or not hasattr(given, "ready"):
            raise ConfigError(
                "Expected models, folders of saved models, or {name: model}; received "
                f"{type(given).__name__}."
            )
        return given, None, "model"
    folder = Path(given)
    kept = workspace.path / "models"
    if not folder.exists() and _NAME.fullmatch(str(given)):
        if not (kept / str(given)).is_dir() and kept.is_dir():
            known = [one.name for one in kept.iterdir()]
            hint = near_miss(str(given), known)
            raise ServiceError(f"Expected a saved model; there is no folder {given!r}.{hint}")
        folder = kept / str(given) if (kept / str(given)).is_dir() else folder
    model = load(folder)
    usual = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip(".-_") or "model"
    return model, read_golden(folder / "golden"), usual


def _free(usual: str, taken: set[str]) -> str:
    name, number = usual, 2
    while name in taken:
        name, number = f"{usual}-{number}", number + 1
    return name
