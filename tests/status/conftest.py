"""The real application over loopback, with a source in memory."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from sidecar.metrics import Metrics
from sidecar.settings import Secret
from sidecar.status.api import WAIT_STATUS
from sidecar.status.openapi import document
from sidecar.status.operations import OPERATIONS
from sidecar.status.server import serving

from .fake import FakeSource

TOKEN = "correct horse battery"


@dataclass
class Served:
    """A running endpoint."""

    source: FakeSource
    port: int
    public_port: int
    socket_path: Path
    token_file: Path

    @property
    def url(self) -> str:
        """Of the TCP listener."""
        return f"http://127.0.0.1:{self.port}"

    async def get(self, target: str, **headers: str) -> httpx.Response:
        """GET by TCP; the reply must be what /openapi.json says."""
        async with httpx.AsyncClient() as client:
            response = await client.get(self.url + target, headers=headers)
        agrees(response, "get", target)
        return response

    async def post(self, target: str, body: object = None, **headers: str) -> httpx.Response:
        """POST by TCP."""
        async with httpx.AsyncClient() as client:
            response = await client.post(self.url + target, json=body, headers=headers)
        agrees(response, "post", target)
        return response

    async def post_unix(self, target: str, body: object = None) -> httpx.Response:
        """POST by the unix socket."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket_path))
        async with httpx.AsyncClient(transport=transport) as client:
            response = await client.post("http://localhost" + target, json=body)
        agrees(response, "post", target)
        return response


def agrees(response: httpx.Response, method: str, target: str) -> None:
    """Validate a JSON reply against the schema of its operation and status, or that of a problem."""
    described = document(OPERATIONS)
    operation = described["paths"].get(target.partition("?")[0], {}).get(method, {})
    reply = operation.get("responses", {}).get(str(response.status_code))
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    content = reply["content"] if reply else problem
    if "application/json" in content:
        schema = {**content["application/json"]["schema"], "components": described["components"]}
        validator = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        validator.validate(response.json())


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """An endpoint with a token, a socket and a public listener."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    source = FakeSource(journal_path=tmp_path / "journal.db")
    public_port = free_port()
    async with serving(
        source=source,
        metrics=Metrics(),
        listen="127.0.0.1:0",
        socket_path=tmp_path / "status.sock",
        public_listen=f"127.0.0.1:{public_port}",
        token=Secret(path=token_file),
    ) as port:
        yield Served(
            source=source,
            port=port,
            public_port=public_port,
            socket_path=tmp_path / "status.sock",
            token_file=token_file,
        )


Get = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def get(served: Served) -> Get:
    """GET that must succeed, as JSON; of /wait any answer is one, with the status that says it."""

    async def ask(target: str) -> dict[str, Any]:
        response = await served.get(target)
        body: dict[str, Any] = json.loads(response.content)
        wanted = WAIT_STATUS[body["result"]] if target.startswith("/wait") else 200
        assert response.status_code == wanted, response.text
        return body

    return ask
