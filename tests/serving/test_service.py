"""Starting and stopping a service, and what it refuses to start with."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

import lepton_ai as lai
from lepton_ai.errors import ArtifactError, CertificateError, ConfigError, ServiceError
from lepton_ai.serving.service import Service


def test_it_answers_until_it_is_stopped(folder: Any) -> None:
    service = lai.serve(folder, port=0)
    try:
        assert service.running
        assert service.url == f"http://127.0.0.1:{service.port}"
        assert list(service.models) == ["shapes"]
        assert service.models["shapes"].checked == 8
        assert httpx.get(f"{service.url}/v2/health/ready", trust_env=False).status_code == 200
    finally:
        service.stop()
    assert not service.running
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{service.url}/v2", trust_env=False)
    service.stop()


def test_a_form_over_a_real_socket(service: Any, files: list[bytes], model: Any) -> None:
    answer = httpx.post(
        f"{service.url}/predict", files={"image": ("shape.png", files[0])}, trust_env=False
    )
    assert answer.status_code == 200
    expected = model.predict([files[0]])["label"].to_pylist()
    assert [row["label"] for row in answer.json()["predictions"]] == expected
    assert "server" not in answer.headers


def test_a_large_body_gets_its_refusal_over_a_real_socket(service: Any) -> None:
    answer = httpx.post(f"{service.url}/predict", content=bytes(33 * 2**20), trust_env=False)
    assert answer.status_code == 413


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"{port} on 127.0.0.1 is in use.*port=0"):
            lai.serve(_small(), port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])  # noqa: S104
def test_other_machines_are_asked_for(host: str) -> None:
    with pytest.raises(ServiceError, match="allow_remote=True"):
        lai.serve(_small(), host=host, port=0)


def test_an_open_address_when_it_is_meant(model: Any) -> None:
    with lai.serve(model, host="0.0.0.0", port=0, allow_remote=True) as service:  # noqa: S104
        assert service.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{service.url}/v2", trust_env=False).status_code == 200


def test_an_address_that_is_not_here(model: Any) -> None:
    with pytest.raises(ServiceError, match="address of this machine"):
        lai.serve(model, host="203.0.113.7", port=0, allow_remote=True)
    with pytest.raises(ServiceError, match="port from 0"):
        lai.serve(model, port=70_000)


def test_a_model_that_answers_otherwise_is_not_served(folder: Path, monkeypatch: Any) -> None:
    started: list[Service] = []
    load = lai.models.artifact.load

    def load_and_damage(path: Any) -> Any:
        model = load(path)
        model.head.linear.bias.data += torch.tensor([0.0, 0.5, 1.0])
        return model

    start = Service.start
    monkeypatch.setattr("lepton_ai.serving.service.load", load_and_damage)
    monkeypatch.setattr(Service, "start", lambda self: (started.append(self), start(self))[1])
    with pytest.raises(CertificateError, match="outputs differs first"):
        lai.serve(folder, port=0)
    assert not started[0].running


def test_a_changed_file_is_not_served(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    rows = json.loads((copy / "golden" / "predictions.json").read_text())
    rows[0]["label"] = "bright"
    (copy / "golden" / "predictions.json").write_text(json.dumps(rows))
    with pytest.raises(ArtifactError, match="predictions.json"):
        lai.serve(copy, port=0)


def test_names(model: Any, folder: Path) -> None:
    with lai.serve(model, model, folder, port=0) as service:
        assert list(service.models) == ["model", "model-2", "shapes"]
        assert service.models["model"].lock is service.models["model-2"].lock
        assert service.models["model"].lock is not service.models["shapes"].lock
    with pytest.raises(ConfigError, match="letters, digits"):
        lai.serve({"a/b": model}, port=0)
    with pytest.raises(ConfigError, match="twice"):
        lai.serve({"a": model}, {"a": model}, port=0)
    with pytest.raises(ServiceError, match="at least one model"):
        lai.serve(port=0)
    with pytest.raises(ConfigError, match="received int"):
        lai.serve(3, port=0)


def test_a_model_of_the_workspace(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "models" / "kept")
    with lai.serve("kept", port=0, workspace=tmp_path) as service:
        assert list(service.models) == ["kept"]
    with pytest.raises(ServiceError, match="Did you mean 'kept'"):
        lai.serve("keptt", port=0, workspace=tmp_path)
    with pytest.raises(ArtifactError, match="missing"):
        lai.serve(tmp_path / "nothing", port=0)


def test_an_unfitted_model_is_refused() -> None:
    from lepton_ai.errors import NotReadyError

    with pytest.raises(NotReadyError, match="fit"):
        lai.serve(lai.Model("convnet", "image_classification"), port=0)


def test_blocking_until_the_process_is_asked_to_end(folder: Path) -> None:
    import signal

    program = (
        "import sys, threading, time, os, signal, httpx\n"
        "import lepton_ai as lai\n"
        "from lepton_ai.serving import service as room\n"
        "start = room.Service.start\n"
        "def started(self):\n"
        "    out = start(self); print(self.url, flush=True); return out\n"
        "room.Service.start = started\n"
        "lai.serve(sys.argv[1], port=0, block=True)\n"
        "print('stopped')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True,
        cwd=folder.parent, env=_environment(),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
        assert rest.strip() == "stopped"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    import os

    root = Path(lai.__file__).parent.parent
    return {**os.environ, "PYTHONPATH": str(root)}


def _small() -> Any:
    pictures = np.zeros((4, 8, 8), "uint8")
    model = lai.Model("convnet", "image_classification", filters=(4,))
    return model.bind({"image": pictures, "label": ["a", "b"] * 2}, seed=0)
