"""Downloads, against a tiny repository on loopback: pinned, cached, mirrored, refused."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from xiezhi.errors import ConfigurationError, StackError
from xiezhi.local import artefacts
from xiezhi.local.artefacts import Artefact, fetch, pinned, registry_folder
from xiezhi.local.settings import LOOPBACK, LocalSettings

CONTENT = b"class file" * 1000
JAR = Artefact("broker", "org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Requests(list[str]):
    """Paths that a repository was asked for."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Maven repository in a folder, holding JAR."""
    root = tmp_path / "repository"
    put(root, JAR, CONTENT)
    return root


@pytest.fixture
def asked() -> Requests:
    return Requests()


@pytest.fixture
def origin(repository: Path, asked: Requests) -> Iterator[str]:
    """The same repository by HTTP."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer((LOOPBACK, 0), partial(Handler, directory=str(repository)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def put(root: Path, artefact: Artefact, content: bytes) -> None:
    path = artefact.below(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def quiet(text: str) -> None:
    """Says nothing."""


def test_what_is_missing_is_downloaded_with_its_progress(tmp_path: Path, origin: str) -> None:
    said: list[str] = []
    (path,) = fetch([JAR], LocalSettings(cache_dir=tmp_path / "c", maven_repository=origin), said.append)
    assert path.read_bytes() == CONTENT
    assert said[0].startswith("downloading 1 files, 0 MB, from http://127.0.0.1")
    assert "100 %" in said[-1]


def test_a_second_start_asks_the_network_nothing(tmp_path: Path, origin: str, asked: Requests) -> None:
    settings = LocalSettings(cache_dir=tmp_path / "c", maven_repository=origin)
    fetch([JAR], settings, quiet)
    asked.clear()
    fetch([JAR], settings, quiet)
    assert asked == []


def test_what_an_interrupted_download_left_is_downloaded_again(tmp_path: Path, origin: str) -> None:
    put(tmp_path / "c" / "maven", JAR, CONTENT[:100])
    (path,) = fetch([JAR], LocalSettings(cache_dir=tmp_path / "c", maven_repository=origin), quiet)
    assert path.read_bytes() == CONTENT


def test_a_file_with_another_digest_is_refused_and_not_kept(
    tmp_path: Path, repository: Path, origin: str
) -> None:
    put(repository, JAR, CONTENT[:-1] + b"!")
    with pytest.raises(StackError, match=r"thing-1.0.jar from .* does not have the sha256"):
        fetch([JAR], LocalSettings(cache_dir=tmp_path / "c", maven_repository=origin), quiet)
    assert not JAR.below(tmp_path / "c" / "maven").exists()


def test_a_mirror_may_be_a_folder(tmp_path: Path, repository: Path) -> None:
    settings = LocalSettings(cache_dir=tmp_path / "c", maven_repository=str(repository), offline=True)
    (path,) = fetch([JAR], settings, quiet)
    assert path.read_bytes() == CONTENT


def test_a_mirror_folder_without_the_file_says_which(tmp_path: Path) -> None:
    settings = LocalSettings(cache_dir=tmp_path / "c", maven_repository=str(tmp_path))
    with pytest.raises(
        ConfigurationError, match=r"has no org/example/thing/1.0/thing-1.0.jar; copy it there"
    ):
        fetch([JAR], settings, quiet)


def test_offline_with_an_empty_cache_says_what_to_do(tmp_path: Path) -> None:
    settings = LocalSettings(cache_dir=tmp_path / "c", offline=True)
    with pytest.raises(ConfigurationError, match=r"XIEZHI_OFFLINE is set .* start once with a network"):
        fetch([JAR], settings, quiet)


def test_no_network_at_the_first_start_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "RETRY_PAUSE_S", 0.0)
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        nowhere = f"http://{LOOPBACK}:{unused.getsockname()[1]}"
        with pytest.raises(ConfigurationError) as refused:
            fetch([JAR], LocalSettings(cache_dir=tmp_path / "c", maven_repository=nowhere), quiet)
    message = str(refused.value)
    assert "cannot download thing-1.0.jar from http://127.0.0.1" in message
    assert "Connection refused" in message
    assert "set XIEZHI_MAVEN_REPOSITORY to a mirror" in message
    assert "\n" not in message


def test_the_registry_is_unpacked_once_and_its_archive_is_not_kept(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_with("quarkus-run.jar", CONTENT)
    packed = Artefact(
        "registry",
        "org.example",
        "registry",
        "1.0",
        hashlib.sha256(archive).hexdigest(),
        len(archive),
        "all",
        "tar.gz",
    )
    put(repository, packed, archive)
    monkeypatch.setattr(artefacts, "pinned", lambda part: (packed,))
    settings = LocalSettings(cache_dir=tmp_path / "c", maven_repository=str(repository))
    folder = registry_folder(settings, quiet)
    assert (folder / "quarkus-run.jar").read_bytes() == CONTENT
    assert not packed.below(tmp_path / "c" / "maven").exists()
    packed.below(repository).unlink()
    assert registry_folder(settings, quiet) == folder


def archive_with(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_the_shipped_lock_pins_one_broker_and_one_registry() -> None:
    jars = pinned("broker")
    assert {a.version for a in jars if a.name in ("kafka_2.13", "kafka-clients")} == {"4.3.1"}
    assert len({a.filename for a in jars}) == len(jars) > 40
    assert [(a.name, a.version) for a in pinned("registry")] == [("apicurio-registry-app", "3.3.3")]
