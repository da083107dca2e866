"""The real daemon between the two local servers: what ``dev`` and ``demo`` run.

Everything lives in one temporary folder and goes with it: the bucket, the Convex tables, the journal.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import httpx
from ruamel.yaml import YAML

from .child import Child, ServerError, neutral_environment, wait_async
from .convex_reader import ConvexReader
from .convex_server import ConvexServer
from .front_end import Lesson, Viewer, serving
from .ports import LOOPBACK, free_port, is_free
from .seaweed import SeaweedServer

READY_SECONDS = 60.0
GRACE_SECONDS = 5
DRAIN_SECONDS = GRACE_SECONDS + 5.0
STATUS_PORT = 9745  # where commands look for a daemon by themselves
SOCKET_FOLDER_BYTES_MAX = 90  # a socket's whole name has at most 107
TRY_LATER = 75
CONVEX_PORT = 3210  # where Convex's own tools listen: a front end's settings stay as they are


class Stack:
    """The servers and the daemon that watches ``root`` (default: a folder of its own)."""

    def __init__(
        self, *, root: Path | None = None, say: Callable[[str], None], lesson: Lesson | None = None
    ) -> None:
        """``say`` hears one line per step of the start; the first one ever takes longer.

        With a ``lesson`` there is a page that shows it.
        """
        self._say = say
        self._folder = Path(tempfile.mkdtemp(prefix="sidecar-"))
        self.root = root or self._folder / "renders"
        self.root.mkdir(parents=True, exist_ok=True)
        self.s3 = SeaweedServer(folder=self._folder / "s3")
        self.daemon = Child(
            name="the sidecar",
            argv=[sys.executable, "-m", "sidecar", "run", "--config", self.config],
            log=self._folder / "sidecar.log",
            env=neutral_environment(),
        )
        self._status_port = STATUS_PORT
        self.socket = _short(self._folder) / "sidecar.sock"
        self._lesson = lesson
        self._viewer = Viewer()
        self.page_url = ""
        self.convex_url = ""  # for official clients too; known once started
        self._exits = AsyncExitStack()

    @property
    def config(self) -> Path:
        """The daemon's configuration, an example of a small one."""
        return self._folder / "sidecar.yaml"

    @property
    def status_url(self) -> str:
        """The address of the local endpoint."""
        return f"http://{LOOPBACK}:{self._status_port}"

    def reader(self) -> ConvexReader:
        """Return a client of Convex that sees what a player sees. The caller closes it."""
        return ConvexReader(self.convex_url)

    async def status(self) -> dict[str, Any]:
        """Return what ``/status`` says. Raises ServerError if the daemon does not answer."""
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                answer: dict[str, Any] = (await http.get(f"{self.status_url}/status")).json()
        except httpx.TransportError as error:
            raise ServerError(f"the sidecar does not answer ({error!r}):\n{self.daemon.tail()}") from error
        return answer

    async def __aenter__(self) -> Self:
        """Start all three and wait until each answers. Raises ServerError."""
        try:
            await self._start()
        except BaseException:
            await self._stop(drain=False)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End the daemon, then the servers; remove the folder.

        The daemon ships what it still owes, unless an error or an interruption makes that pointless.
        """
        await self._stop(drain=kind is None)

    async def _start(self) -> None:
        self._say("starting S3 (SeaweedFS)")
        await self._exits.enter_async_context(self.s3)
        await asyncio.to_thread(self.s3.open_to_browsers)
        self._say("starting Convex (the functions, served on this machine)")
        self.convex_url = await self._start_convex(CONVEX_PORT if is_free(CONVEX_PORT) else 0)
        self._say("starting the sidecar")
        if not is_free(STATUS_PORT):
            self._say(f"port {STATUS_PORT} is taken, by another sidecar perhaps: another port is used")
            self._status_port = free_port()
        await self._start_daemon()
        if self._lesson is not None:
            self._say("building the page")
            self.page_url = await asyncio.to_thread(self._start_page, self._lesson)

    def _start_page(self, lesson: Lesson) -> str:
        page = serving(self._folder / "front-end", lesson, convex_url=self.convex_url, viewer=self._viewer)
        return self._exits.enter_context(page).url

    async def _start_convex(self, port: int) -> str:
        """Start it and return its address; where somebody has taken its port meanwhile, with another one."""
        server = ConvexServer(
            dev_auth=True,
            jwt=self._viewer.trust,
            port=port,
            progress=self._say,
            environment={
                "SIDECAR_S3_ENDPOINT": self.s3.endpoint_url,
                "SIDECAR_S3_REGION": self.s3.region,
                "SIDECAR_S3_ACCESS_KEY_ID": self.s3.access_key,
                "SIDECAR_S3_SECRET_ACCESS_KEY": self.s3.secret_key,
            },
        )
        try:
            return (await self._exits.enter_async_context(server)).url
        except ServerError:
            if not port or is_free(port):
                raise
        return await self._start_convex(0)

    async def _start_daemon(self) -> None:
        """Start it; where somebody else has taken its port meanwhile, once more with another one."""
        self._write_config()
        self.daemon.start()
        try:
            await wait_async(self.daemon.until(self._ready, timeout_seconds=READY_SECONDS))
        except ServerError:
            if self.daemon.returncode != TRY_LATER or self._status_port != STATUS_PORT:
                raise
            self._say(f"port {STATUS_PORT} was taken meanwhile: another port is used")
            self._status_port = free_port()
            await self._start_daemon()

    async def _stop(self, *, drain: bool) -> None:
        try:
            if drain:
                await asyncio.to_thread(self.daemon.stop, grace_seconds=DRAIN_SECONDS)
        finally:  # also where somebody loses patience
            self.daemon.kill()
            await self._exits.aclose()
            for folder in {self._folder, self.socket.parent}:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _ready(self) -> bool:
        """Tell whether our daemon is: asked by its socket, for the port may be another one's."""
        by = httpx.HTTPTransport(uds=str(self.socket))
        try:
            with httpx.Client(transport=by, timeout=1.0, trust_env=False) as http:
                return http.get(f"{self.status_url}/readyz").is_success and self.daemon.running
        except httpx.TransportError:
            return False

    def _write_config(self) -> None:
        with self.config.open("w", encoding="utf-8") as file:
            YAML().dump(self._settings(), file)
        self.config.chmod(0o600)

    def _settings(self) -> dict[str, Any]:
        return {
            "watch": [{"root": str(self.root)}],
            "s3": {
                "bucket": self.s3.bucket,
                "region": self.s3.region,
                "endpoint_url": self.s3.endpoint_url,
                "addressing": "path",
                "access_key_id": self.s3.access_key,
                "secret_access_key": self.s3.secret_key,
            },
            "convex": {"url": self.convex_url, "auth": {"mode": "none"}},
            "journal": {"path": str(self._folder / "journal.db")},
            "shutdown": {"grace": f"{GRACE_SECONDS}s"},
            "status": {
                "listen": f"{LOOPBACK}:{self._status_port}",
                "socket": str(self.socket),
            },
        }


def _short(folder: Path) -> Path:
    """Return the folder, or where its name leaves no room for a socket's another one."""
    if len(os.fsencode(folder)) <= SOCKET_FOLDER_BYTES_MAX:
        return folder
    return Path(tempfile.mkdtemp(prefix="sidecar-", dir="/tmp"))


def addresses(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield what a person needs in order to look around, as (what, where)."""
    if stack.page_url:
        yield "page", stack.page_url
    yield "watching", str(stack.root)
    yield "S3", f"{stack.s3.endpoint_url}  bucket {stack.s3.bucket}"
    yield "S3 keys", f"AWS_ACCESS_KEY_ID={stack.s3.access_key}"
    yield "", f"AWS_SECRET_ACCESS_KEY={stack.s3.secret_key}"
    yield "Convex", stack.convex_url
    yield "subscribe", f'new ConvexClient("{stack.convex_url}")'
    yield "", "  .onUpdate(api.scenes.bySession, { sessionId }, ...)"
    yield "sidecar", f"{stack.status_url}/status"
    yield "settings", f"export SIDECAR_CONFIG={stack.config}"
    yield "", "  then: sidecar status --watch, explain, dead-letters requeue ..."
    yield "its log", str(stack.daemon.log)
