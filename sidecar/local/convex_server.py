"""The local Convex server as a child process: the real functions behind Convex's wire, in memory.

For ``sidecar dev``, ``sidecar demo`` and the tests; never imported by the daemon.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from .child import Child, ServerError, neutral_environment, wait, wait_async
from .convex_modules import PACKAGES, find_node, modules_folder

FUNCTIONS = Path(str(files("sidecar.sync"))) / "functions"
READY_SECONDS = 60.0
_CONTROL_SECONDS = 60.0
_LOG = "server.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtTrust:
    """Whose tokens the functions accept: what auth.config.ts reads from the deployment's environment."""

    issuer: str
    jwks_data_uri: str
    audience: str | None = None  # without one every token of the issuer is for us

    def environment(self) -> dict[str, str]:
        """Return the variables."""
        variables = {"SIDECAR_JWT_ISSUER": self.issuer, "SIDECAR_JWKS_DATA_URI": self.jwks_data_uri}
        return variables | ({"SIDECAR_JWT_AUDIENCE": self.audience} if self.audience else {})


class ConvexServer:
    """A Convex deployment on this machine. Use it as a context manager, sync or async.

    ``url`` and ``admin_key`` (for ``Authorization: Convex <key>``) are known once it has started.
    """

    def __init__(
        self,
        *,
        functions_dir: Path | None = None,
        dev_auth: bool = False,
        jwt: JwtTrust | None = None,
        redact: bool = False,
        port: int = 0,
        progress: Callable[[str], None] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Serve the packaged functions, or those of ``functions_dir``.

        ``dev_auth``: calls without Authorization act as the sidecar that their arguments name, and
        everybody may read. ``redact``: errors as in production. ``progress`` hears one sentence if npm
        packages must be installed first. ``arguments`` are further ones of server.mjs, ``environment`` holds
        further variables of the deployment.
        """
        self.url = ""
        self.admin_key = ""
        self._functions_dir = functions_dir
        self._dev_auth = dev_auth
        self._environment = {**(jwt.environment() if jwt else {}), **(environment or {})}
        self._progress = progress
        self._flags = [
            *("--port", str(port), *arguments),
            *(["--dev-auth"] if dev_auth else []),
            *(["--redact"] if redact else []),
        ]
        self._workspace = Path()
        self._deployments = 0
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the server and wait until it answers. Raises ServerError."""
        try:
            self._prepare()
            wait(self._starting())
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._child:
            self._child.kill()

    def stop(self) -> None:
        """End the server; its tables are gone."""
        self.kill()  # it keeps nothing that an orderly end would save
        if self._workspace != Path():
            shutil.rmtree(self._workspace, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start without blocking the event loop for long."""
        try:
            await asyncio.to_thread(self._prepare)
            await wait_async(self._starting())
        except BaseException:  # a cancelled start leaves nothing either
            self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await asyncio.to_thread(self.stop)

    def control(self, what: str, body: Any = None) -> Any:
        """Ask the control endpoint (see server/control.mjs); with a body, ``{}`` too, it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/__local/{what}", data=data)  # noqa: S310 - our own url
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy
        with opener.open(request, timeout=_CONTROL_SECONDS) as answer:
            return json.load(answer)

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return every document of a table."""
        rows: list[dict[str, Any]] = self.control(f"table/{name}")
        return rows

    def deploy(self, functions_dir: Path) -> None:
        """Put other functions over the same documents, as ``npx convex deploy`` does.

        Raises ServerError for what Convex would refuse: functions that do not compile, a schema that the
        documents do not fit.
        """
        self._deployments += 1
        workspace = self._workspace / f"deployment-{self._deployments}"
        modules = modules_folder(node=find_node())
        assemble(workspace, modules, functions_dir=functions_dir, dev_auth=self._dev_auth)
        try:
            self.control("deploy", {"dir": str(workspace / "convex")})
        except urllib.error.HTTPError as error:
            raise ServerError(f"the functions were not deployed: {json.load(error)['message']}") from error

    def _prepare(self) -> None:
        node = find_node()
        modules = modules_folder(node=node, progress=self._progress)
        self._workspace = Path(tempfile.mkdtemp(prefix="sidecar-convex-"))
        assemble(self._workspace, modules, functions_dir=self._functions_dir, dev_auth=self._dev_auth)
        self._child = Child(
            name="the local Convex server",
            argv=[node.binary, "server.mjs", "--bundle", "bundle", *self._flags],
            log=self._workspace / _LOG,
            cwd=self._workspace,
            env=neutral_environment() | self._environment,
        )

    def _starting(self) -> Iterator[None]:
        if self._child is None:
            raise ServerError("the local Convex server was not prepared")
        self._child.start()
        yield from self._child.until(self._has_spoken, timeout_seconds=READY_SECONDS)

    def _has_spoken(self) -> bool:
        """Read the address, which is the first line of its output once it listens."""
        for line in (self._workspace / _LOG).read_text(errors="replace").splitlines(keepends=True):
            if line.startswith('{"url":') and line.endswith("\n"):
                hello = json.loads(line)
                self.url, self.admin_key = hello["url"], hello["adminKey"]
                return True
        return False


def assemble(
    workspace: Path, modules: Path, *, functions_dir: Path | None = None, dev_auth: bool = False
) -> None:
    """Lay a Convex project out in ``workspace``, so that every import finds its module as it would there."""
    overlays = [PACKAGES / "dev"] if dev_auth else []
    for layer in (PACKAGES / "project", functions_dir or FUNCTIONS, *overlays):
        _copy(layer, workspace / "convex")
    _copy(PACKAGES / "server", workspace / "server")
    for name in ("server.mjs", "package.json", "eslint.config.mjs"):
        shutil.copyfile(PACKAGES / name, workspace / name)
    (workspace / "node_modules").symlink_to(modules / "node_modules")


def _copy(source: Path, target: Path) -> None:
    """Copy a tree over another, without the modes of a read-only installation."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
