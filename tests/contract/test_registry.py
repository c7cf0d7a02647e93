"""The registry interface on the double, and what the client makes of a registry's failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.contract.registry_suite import RegistrySuite, schema
from xiezhi.errors import (
    ConfigurationError,
    IncompatibleSchemaError,
    RegistryUnavailableError,
    UnknownSchemaError,
    XiezhiError,
)
from xiezhi.registry import ConfluentRegistry, InMemoryRegistry, Registry


class TestInMemoryRegistry(RegistrySuite):
    @pytest.fixture
    def registry(self) -> Registry:
        return InMemoryRegistry()

    def test_a_level_that_does_not_exist_is_refused(self, registry: Registry) -> None:
        with pytest.raises(IncompatibleSchemaError):
            registry.set_compatibility(None, "SOMEWHAT")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """An HTTP server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/apis/ccompat/v7"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b'{"error_code": 40403, "message": "Schema not found"}', UnknownSchemaError),
        (404, b"<html>no such page</html>", RegistryUnavailableError),
        (404, b'{"message": "RESTEASY003210"}', RegistryUnavailableError),
        (404, b'["a", "list"]', RegistryUnavailableError),
        (500, b'{"error_code": 50001, "message": "backend"}', RegistryUnavailableError),
        (503, b"starting", RegistryUnavailableError),
        (429, b"{}", RegistryUnavailableError),
        (401, b"{}", ConfigurationError),
        (403, b"{}", ConfigurationError),
        (200, b"not json", RegistryUnavailableError),
    ],
)
def test_only_a_definitive_answer_says_that_a_schema_does_not_exist(
    status: int, body: bytes, expected: type[XiezhiError]
) -> None:
    with answering(status, body) as url, pytest.raises(expected):
        ConfluentRegistry(url, timeout_s=2).schema(1)


def test_a_refusal_to_register_is_told_from_a_failure() -> None:
    with (
        answering(409, b'{"error_code": 409, "message": "breaks readers"}') as url,
        pytest.raises(IncompatibleSchemaError, match="breaks readers"),
    ):
        ConfluentRegistry(url, timeout_s=2).register("a-value", schema())


def test_a_registry_that_is_not_there_is_unavailable_and_the_message_says_where() -> None:
    with answering(200, b"{}") as url:
        pass  # the port is free again
    with pytest.raises(RegistryUnavailableError, match=url):
        ConfluentRegistry(url, timeout_s=2).latest("a-value")
