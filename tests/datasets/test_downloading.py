"""Downloads, against a server of our own: whole, resumed, too large, changed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import io
import urllib.request

import pytest

from lepton_ai.datasets.downloading import download
from lepton_ai.errors import IntegrityError, LimitError, SourceError

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
URL = "https://data.example.org/file.bin"


class Answer(io.BytesIO):
    def __init__(self, body, status=200, url=URL, length=None):
        super().__init__(body)
        self.status, self.url = status, url
        self.headers = {"Content-Length": str(len(body) if length is None else length)}


@pytest.fixture
def server(monkeypatch):
    """What the network layer answers; the requests that came are in the list."""
    requests = []

    def install(answer):
        def urlopen(request, timeout):
            requests.append(request)
            return contextlib.closing(answer(request))

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return requests

    return install


def test_a_whole_download(server, tmp_path):
    server(lambda request: Answer(BODY))
    path = download(URL, tmp_path / "file.bin", sha256=SHA, size=len(BODY))
    assert path.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_download_goes_on_where_it_broke_off(server, tmp_path):
    requests = server(lambda request: Answer(BODY[:3000], length=len(BODY)))
    with pytest.raises(SourceError, match="broke off after 3,000"):
        download(URL, tmp_path / "file.bin", sha256=SHA)
    server(lambda request: Answer(BODY[3000:], status=206))
    assert download(URL, tmp_path / "file.bin", sha256=SHA).read_bytes() == BODY
    assert requests[-1].get_header("Range") == "bytes=3000-"


def test_a_server_that_cannot_resume_starts_again(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(b"old")
    server(lambda request: Answer(BODY))
    assert download(URL, tmp_path / "file.bin", sha256=SHA).read_bytes() == BODY


def test_changed_bytes_are_refused_and_removed(server, tmp_path):
    server(lambda request: Answer(BODY[::-1]))
    with pytest.raises(IntegrityError, match="sha256"):
        download(URL, tmp_path / "file.bin", sha256=SHA)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("honest", [True, False])
def test_more_than_expected_is_refused(server, tmp_path, honest):
    server(lambda request: Answer(BODY, length=None if honest else 10))
    with pytest.raises(LimitError, match="at most 100"):
        download(URL, tmp_path / "file.bin", sha256=SHA, size=100)


def test_only_https(server, tmp_path):
    with pytest.raises(SourceError, match="https"):
        download("http://data.example.org/x", tmp_path / "x", sha256=SHA)
    server(lambda request: Answer(BODY, url="http://elsewhere.example.org/x"))
    with pytest.raises(SourceError, match="https all the way"):
        download(URL, tmp_path / "x", sha256=SHA)


def test_no_network(server, tmp_path):
    def fail(request):
        raise urllib.error.URLError("name not known")

    server(fail)
    with pytest.raises(SourceError, match="cannot be reached: name not known"):
        download(URL, tmp_path / "x", sha256=SHA)
