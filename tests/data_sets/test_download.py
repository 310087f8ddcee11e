import functools
import hashlib
import http.server
import logging
import socket
import threading
import time

import pytest

from deepsight.data.download import CHECK_S, DownloadError, download, sha256_of, unreachable

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server of its own that serves `file`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "file").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def closed(monkeypatch):
    """An address where nobody listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/file"


def test_a_file_arrives_checked(site, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "new" / "file"
    download(f"{site}/file", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert sha256_of(path) == SHA256
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert "downloading" in caplog.text


def test_another_file_is_refused_and_the_old_one_stays(site, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(DownloadError, match="SHA-256"):
        download(f"{site}/file", path, "0" * 64)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob("file.*"))


def test_errors_of_the_host_are_told_apart(site, closed, tmp_path):
    with pytest.raises(DownloadError, match="HTTP 404"):
        download(f"{site}/absent", tmp_path / "file", SHA256)
    with pytest.raises(DownloadError, match="refused"):
        download(closed, tmp_path / "file", SHA256)


def test_reachable(site, closed):
    assert unreachable(f"{site}/file") == ""
    assert "404" in unreachable(f"{site}/absent")
    assert "refused" in unreachable(closed)


def test_a_host_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.perf_counter()
        assert unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/file")
        assert time.perf_counter() - start < CHECK_S + 10  # the system waits minutes
