"""Talks to the endpoint by the standard library, over TCP or its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from .address import Address, EndpointAccess

REPLY_BYTES_MAX = 64 * 1024 * 1024
TIMEOUT_SECONDS = 15.0
_UNPROVEN = frozenset({http.client.UNAUTHORIZED, http.client.FORBIDDEN})


class ClientError(Exception):
    """No answer, or a refusal: one sentence with a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        """The sentence and its hint."""
        return f"{self.args[0]}\n  hint: {self.hint}" if self.hint else str(self.args[0])


class NotRunningError(ClientError):
    """Nobody listens there."""


class LostError(ClientError):
    """The connection broke before the answer came."""


def ask(
    door: EndpointAccess,
    path: str,
    *,
    method: str = "GET",
    query: Mapping[str, str | None] | None = None,
    body: object = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[int, Any]:
    """Return status and JSON of an answer; a status of 400 or more but 503 raises ClientError.

    Surrogates in the query (bytes of file names that are not UTF-8) are sent as those bytes.
    """
    given = {name: value for name, value in (query or {}).items() if value is not None}
    target = f"{path}?{urlencode(given, errors='surrogateescape')}" if given else path
    headers = {"Authorization": f"Bearer {door.token}"} if door.token else {}
    status, raw = _exchange(door.address, method, target, headers, body, timeout_seconds)
    try:
        reply = json.loads(raw)
    except ValueError:
        raise ClientError(
            f"what answers at {door.address} is not a sidecar", "give its address with -c FILE or --url"
        ) from None
    if status >= http.client.BAD_REQUEST and "error" in reply:
        hint = door.lacks if status in _UNPROVEN and door.lacks else reply.get("hint")
        raise ClientError(f"the sidecar refuses: {reply['error']}", hint)
    return status, reply


def _exchange(
    address: Address,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: object,
    timeout_seconds: float,
) -> tuple[int, bytes]:
    connection = _connection(address, timeout_seconds)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise NotRunningError(
            f"no sidecar answers at {address} ({error.strerror or error})",
            "start it with `sidecar run --config sidecar.yaml`, or say where it is by -c FILE or --url",
        ) from None
    try:
        payload = None if body is None else json.dumps(body).encode()
        connection.request(method, target, body=payload, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(REPLY_BYTES_MAX)
    except TimeoutError:
        raise LostError(f"the sidecar at {address} did not answer in {timeout_seconds:.0f} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise LostError(f"the sidecar at {address} hung up: {error or type(error).__name__}") from None
    finally:
        connection.close()


def _connection(address: Address, timeout_seconds: float) -> http.client.HTTPConnection:
    if address.socket is not None:
        return _UnixConnection(address.socket, timeout_seconds)
    return http.client.HTTPConnection(address.host, address.port, timeout=timeout_seconds)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path
        self._timeout_seconds = timeout_seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_seconds)
        self.sock.connect(self._path)
