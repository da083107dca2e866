"""A project as the version before the component installed it, its deployment, and who writes to it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sidecar.local.convex_server import ConvexServer
from sidecar.sync.install_files import stamped
from sidecar.sync.moving.deployment import Deployment
from sidecar.sync.moving.project import Home, Project
from sidecar.sync.moving.steps import migrate
from tests.support.convex import Caller, Refused, Sidecar, Signer, auth_config, put

FORMER = Path(__file__).parent / "former"
WRITERS = Signer("https://renderers.test")
SCHEMA = """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { sidecarTables } from "./sidecarTables";
export default defineSchema({ ...sidecarTables, lessons: defineTable({ title: v.string() }) });
"""
RULES = {  # of the file that every installation of before has: what a user fills in
    "  return false;": "  return true;",
    "issuer === process.env.SIDECAR_JWT_ISSUER": (
        '["https://renderers.test", process.env.SIDECAR_JWT_ISSUER].includes(issuer)'
    ),
    "keysOf(projectId: string)": "keysOf(_projectId: string)",
    "prefixes: [`${projectId}/`], hosts: []": 'prefixes: "any", hosts: "any"',
}
SESSION = "p/lesson"


def former_project(folder: Path) -> Path:
    """Lay out what the user had: our stamped files, and three files of the user's."""
    for source in FORMER.rglob("*.ts"):
        target = folder / source.relative_to(FORMER)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(stamped(source.read_text()))
    (folder / "auth.config.ts").write_text(auth_config(WRITERS))
    access = (FORMER / "sidecarAccess.ts").read_text()
    for default, rule in RULES.items():
        access = access.replace(default, rule)
    (folder / "sidecarAccess.ts").write_text(access)
    (folder / "schema.ts").write_text(SCHEMA)
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """The user's convex folder."""
    return former_project(tmp_path / "convex")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConvexServer]:
    """One server for all of these tests."""
    with ConvexServer(functions_dir=former_project(tmp_path_factory.mktemp("running") / "convex")) as server:
        yield server


@pytest.fixture
def server(running: ConvexServer, into: Path) -> ConvexServer:
    """The user's folder is deployed, and its tables are empty."""
    running.control("reset", {})
    running.deploy(into)
    return running


class KilledError(Exception):
    """The migration's process died here."""


class MortalDeployment(Deployment):
    """Dies after so many calls: before the last one was sent, or after it was carried out."""

    def __init__(self, server: ConvexServer, *, calls: int, after: bool) -> None:
        super().__init__(server.url, deploy_key=server.admin_key)
        self._left, self._after = calls, after

    def _post(self, kind: str, path: str, args: dict[str, Any]) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise KilledError
        answer = super()._post(kind, path, args)
        if self._left < 0:
            raise KilledError
        return answer


@dataclass(slots=True, kw_only=True)
class Killing:
    """Migrates by lives that end after three calls each, and before or after each deployment."""

    server: ConvexServer
    project: Project
    lives: int = 0
    phases: set[str] = field(default_factory=set)
    deaths: Iterator[int] = field(default_factory=itertools.count)

    def until_done(self, to: Home) -> None:
        """Begin lives until one comes to the end."""
        while not self.lived(to):
            assert self.lives < 2000, "it does not get on"

    def lived(self, to: Home) -> bool:
        """Begin one life; tell whether it came to the end."""
        self.lives += 1
        mortal = MortalDeployment(self.server, calls=3, after=self.lives % 2 == 0)
        try:
            with mortal as deployment:
                for step in migrate(self.project, deployment, to=to, deploy=self._deploy):
                    self.phases.add(step.phase)
        except KilledError:
            return False
        return True

    def _deploy(self) -> None:
        death = next(self.deaths) % 3
        if death == 0:
            raise KilledError
        self.server.deploy(self.project.into)
        if death == 1:
            raise KilledError


@dataclass(slots=True, kw_only=True)
class Writer:
    """A daemon as Convex sees it: sends op after op, each until it is settled, and buries none."""

    sidecar: Sidecar
    stop: threading.Event
    settled: int = 0
    refusals: set[str | None] = field(default_factory=set)
    error: BaseException | None = None

    def run(self) -> None:
        """Write versions of one slot until it is to stop."""
        try:
            while not self.stop.is_set():
                self._settle(put(f"{self.sidecar.sidecar_id}.mp4", content=f"C{self.settled}"))
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.error = error

    def _settle(self, op: dict[str, Any]) -> None:
        while True:
            try:
                outcome = self.sidecar.outcomes(op)
            except Refused as refused:
                self.refusals.add(refused.code)
                self.stop.wait(0.05)
                if self.stop.is_set():
                    return
            else:
                assert outcome == ["applied"], outcome
                self.settled += 1
                self.sidecar.acked_seq = op["seq"]
                self.stop.wait(0.02)
                return


@pytest.fixture
def connect(server: ConvexServer) -> Iterator[Callable[[str], Sidecar]]:
    """Make registered sidecars of one session."""
    callers = []

    def one(name: str) -> Sidecar:
        callers.append(Caller(server.url, f"Bearer {WRITERS.token(name)}"))
        return Sidecar(callers[-1], sidecar_id=name, session_id=SESSION)

    yield one
    for caller in callers:
        caller.__exit__()
