"""A Convex that only acknowledges: a thread of the bench, so nobody's CPU time is counted but the sidecar's.

It answers as the functions do for a sidecar that is new and for assets that nobody has, and notes when each
was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

import uvloop

from sidecar.local.certificates import Tls
from sidecar.local.child import ServerError
from sidecar.local.ports import LOOPBACK, free_port

_HEAD_END = b"\r\n\r\n"
_START_SECONDS = 10.0
_FRESH: Mapping[str, Any] = {
    "register": {"epoch": 1, "lastSeq": 0, "contractVersion": 3},
    "ping": {"contractVersion": 3},
    "versions": {"versions": [], "cursor": None},
    "heartbeat": None,
    "unfinishedScenes": {"scenes": [], "cursor": None},
}


class ConvexStub:
    """A server, used as a context manager. ``acknowledged`` says when, in ns of the monotonic clock."""

    def __init__(self, tls: Tls | None = None) -> None:
        """Choose a port."""
        self.port = free_port()
        self.acknowledged: dict[str, int] = {}  # by session, scene and name
        self.calls: Counter[str] = Counter()
        self.first_call: float | None = None  # monotonic: the sidecar is there
        self._tls = tls
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="bench-convex", daemon=True)
        self._serving = threading.Event()
        self._wanted = 0
        self._reached = threading.Event()
        self._trouble: BaseException | None = None

    @property
    def url(self) -> str:
        """The address."""
        return self.url_by(self.port)

    def url_by(self, port: int) -> str:
        """Return the address by another port, where something lies between."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{port}"

    def __enter__(self) -> Self:
        """Start. Raises TimeoutError."""
        self._thread.start()
        if not self._serving.wait(_START_SECONDS):
            raise TimeoutError("the stub of Convex does not start")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def expect(self, count: int) -> Callable[[float], bool]:
        """Return what waits so many seconds for so many acknowledged assets, and tells whether they are.

        It raises ServerError where a call was none that a sidecar makes.
        """
        self._wanted, self._reached = count, threading.Event()
        self._look()
        return self._wait

    def _wait(self, seconds: float) -> bool:
        reached = self._reached.wait(seconds)
        if self._trouble is not None:
            raise ServerError(f"the stub of Convex: {self._trouble!r}")
        return reached

    def answer(self, body: bytes) -> bytes:
        """Answer one call."""
        call = json.loads(body)
        name = call["path"].partition(":")[2].removesuffix("Internal")
        self.calls[name] += 1
        self.first_call = self.first_call or time.monotonic()
        value = {"status": "success", "value": self._value(name, call["args"]), "logLines": []}
        return json.dumps(value, separators=(",", ":")).encode()

    def answered(self, body: bytes) -> None:
        """Note what was acknowledged just now."""
        if b":applyAssets" not in body[:100]:
            return
        now = time.monotonic_ns()
        batch = json.loads(body)["args"]
        for op in batch["ops"]:
            if op["kind"] == "put":
                self.acknowledged[f"{batch['sessionId']}/{op['entityId']}/{op['name']}"] = now
        self._look()

    def _look(self) -> None:
        if self._wanted and len(self.acknowledged) >= self._wanted:
            self._reached.set()

    def _failed(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """Keep a mistake of ours; a connection that breaks is none."""
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError):
            self._trouble = error
            self._reached.set()

    def _value(self, name: str, args: Mapping[str, Any]) -> Any:
        match name:
            case "applyAssets":
                return [_applied(op) for op in args["ops"]]
            case "currentAssets":
                return [None] * len(args["slots"])
            case "expire":
                return [True] * len(args["versions"])
            case _:
                return _FRESH[name]

    def _serve(self) -> None:
        context = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls.certificate, self._tls.key)
        listening = self._loop.create_server(
            lambda: _Connection(self), LOOPBACK, self.port, ssl=context, backlog=512
        )
        server = self._loop.run_until_complete(listening)
        self._loop.set_exception_handler(self._failed)
        self._serving.set()
        self._loop.run_forever()
        server.close()
        self._loop.close()


class _Connection(asyncio.Protocol):
    """One connection, with one call at a time on it."""

    def __init__(self, stub: ConvexStub) -> None:
        self._stub = stub
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep whom to answer."""
        self._transport = cast("asyncio.WriteTransport", transport)  # TCP's and TLS' both are

    def data_received(self, data: bytes) -> None:
        """Answer once a call is there whole."""
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            length = _length(bytes(self._buffer[:end]))
            begin = end + len(_HEAD_END)
            if len(self._buffer) < begin + length:
                return
            body = bytes(self._buffer[begin : begin + length])
            del self._buffer[: begin + length]
            answer = self._stub.answer(body)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head % len(answer) + answer)
            self._stub.answered(body)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _applied(op: Mapping[str, Any]) -> dict[str, Any]:
    result = {"opId": op["opId"], "outcome": "applied"}
    return {**result, "version": 1} if op["kind"] == "put" else result
