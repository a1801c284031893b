"""A tiny model that was really trained, saved, and served, in process and on a real socket."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import lepton_ai as lai
from lepton_ai.serving.app import build_app
from lepton_ai.serving.hosted import Hosted, Shelf
from lepton_ai.serving.limits import Limits

LIMITS = Limits(body=300_000, examples=300, waiting=8)


def pictures_and_labels(count: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Dark pictures, bright ones, and ones with a bright square."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 60, (count, 16, 16, 3), dtype=np.uint8)
    labels = [["dark", "bright", "square"][index % 3] for index in range(count)]
    pictures[1::3] += 190
    pictures[2::3, 4:12, 4:12] += 190
    return pictures, labels


def png(picture: np.ndarray) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


class InProcess:
    """Calls the application without a socket."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await http.request(method, path, **arguments)

        return asyncio.run(call())


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return pictures_and_labels(48, 1)[0]


@pytest.fixture(scope="session")
def data() -> dict[str, Any]:
    pictures, labels = pictures_and_labels(48, 1)
    return {"image": pictures, "label": labels}


@pytest.fixture(scope="session")
def files(pictures: np.ndarray) -> list[bytes]:
    return [png(picture) for picture in pictures[:6]]


@pytest.fixture(scope="session")
def texts(files: list[bytes]) -> list[str]:
    return [base64.b64encode(raw).decode() for raw in files]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A saved model."""
    place = tmp_path_factory.mktemp("serving")
    pictures, labels = pictures_and_labels(96, 0)
    model = lai.Model("convnet", "image_classification", filters=(8,))
    model.fit(
        {"image": pictures, "label": labels}, epochs=1, batch_size=16, seed=0, verbose=0,
        workspace=place / "workspace",
    )  # fmt: skip
    model.save(place / "shapes")
    return place / "shapes"


@pytest.fixture(scope="session")
def model(folder: Any) -> Any:
    return lai.load(folder)


@pytest.fixture(scope="session")
def shelf(model: Any) -> Shelf:
    hosted = Hosted("shapes", model)
    hosted.check()
    return Shelf([hosted], LIMITS)


@pytest.fixture(scope="session")
def call(shelf: Shelf) -> InProcess:
    return InProcess(build_app(shelf))


@pytest.fixture(scope="session")
def in_process() -> type[InProcess]:
    return InProcess


@pytest.fixture(scope="session")
def service(folder: Any) -> Any:
    """The saved model on a real socket."""
    with lai.serve(folder, port=0) as service:
        yield service
