"""Lives of the real daemon on shared servers: started by fork, killed by the shim, watched from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.forked import Forked, Nursery
from tests.support.patience import DEADLINE_SECONDS
from tests.support.shim.board import Board, Kill, build
from tests.support.system import eventually

CONVERGE_SECONDS = DEADLINE_SECONDS  # I6; a life that owes nothing difficult takes half a second
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """What all lives share. ``folder`` is in memory where there is such a place: a kill loses no page."""

    folder: Path
    s3: SeaweedServer
    convex: ConvexServer
    bucket: str
    nursery: Nursery


@contextlib.contextmanager
def laboratory(folder: Path, s3: SeaweedServer, convex: ConvexServer) -> Iterator[Lab]:
    """Build the shim, start the parent of all lives under it."""
    nursery = Nursery(folder, env={"LD_PRELOAD": str(build(folder)), "UV_USE_IO_URING": "0"})
    bucket = f"crash-{secrets.token_hex(8)}"
    s3.client().create_bucket(Bucket=bucket)
    try:
        nursery.open()
        yield Lab(folder=folder, s3=s3, convex=convex, bucket=bucket, nursery=nursery)
    finally:
        nursery.close()


@dataclass(slots=True, kw_only=True)
class Case:
    """One journal and one folder over all its lives, and what was written there."""

    lab: Lab
    name: str
    kills: list[Kill] = field(default_factory=list)  # one for each of the first lives
    disk: Path | None = None  # where journal and renders lie, if not in memory: then renders are fsynced
    journal_folder: Path | None = None
    limits: dict[str, int] = field(default_factory=dict)
    rescan: str = "30s"
    settings: dict[str, Any] = field(default_factory=dict)
    states: dict[str, list[bytes]] = field(default_factory=dict)  # every complete state a file ever had
    deleted: set[str] = field(default_factory=set)  # files whose end we do not ask for
    removed: set[str] = field(default_factory=set)  # files that the renderer deleted, which means a removal
    identities: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    killed_at: list[str] = field(default_factory=list)
    effects: list[int] = field(default_factory=list)  # of each life
    after_kill: Callable[[], None] = lambda: None
    drained: bool = False  # it ended by itself, owing nothing
    life: Forked | None = None
    folder: Path = field(init=False)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        """Make the folder, the board and the settings."""
        self.folder = self.lab.folder / self.name
        self.folder.mkdir()
        self.root.mkdir(parents=True)
        self.board = Board(self.folder / "board")
        self._configure()

    @property
    def root(self) -> Path:
        """The watched folder."""
        return (self.disk or self.folder) / "renders"

    @property
    def journal(self) -> Path:
        """The journal."""
        return (self.journal_folder or (self.disk or self.folder) / "journal") / "journal.db"

    @property
    def log(self) -> Path:
        """What all lives printed."""
        return self.folder / "log"

    def _configure(self) -> None:
        s3 = self.lab.s3
        base: dict[str, Any] = {
            "sidecar_id": f"sc-{self.name}",
            "watch": [{"root": str(self.root), "settle": "20ms", "rescan": self.rescan}],
            "s3": {
                "bucket": self.lab.bucket,
                "endpoint_url": s3.endpoint_url,
                "access_key_id": s3.access_key,
                "secret_access_key": s3.secret_key,
                "part_size": "5MiB",
            },
            "convex": {"url": self.lab.convex.url, "auth": {"mode": "none"}, "batch": {"wait": "20ms"}},
            "journal": {"path": str(self.journal)},
            "retry": {"initial": "50ms", "max": "500ms", "breaker_reset": "200ms"},
            "status": {"listen": "127.0.0.1:0", "socket": str(self.folder / "s.sock")},
        }
        for section, values in self.settings.items():
            base[section] = {**base.get(section, {}), **values} if isinstance(values, dict) else values
        (self.folder / "sidecar.yaml").write_text(json.dumps(base, indent=1))

    # -- lives -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life, with the next kill that is planned."""
        self.board.begin(self.kills.pop(0) if self.kills else None)
        ports = [url.rsplit(":", 1)[1] for url in (self.lab.s3.endpoint_url, self.lab.convex.url)]
        env = {
            "SHIM_BOARD": str(self.board.path),
            "SHIM_JOURNAL": str(self.journal.parent),
            "SHIM_ROOT": str(self.root),
            "SHIM_PORTS": ",".join(ports),
        }
        config = self.folder / "sidecar.yaml"
        self.life = self.lab.nursery.start(config, self.log, env=env, limits=self.limits)

    def buried(self) -> bool:
        """Whether the life has ended by the shim's hand; any other end is a failure."""
        assert self.life
        if self.life.poll() is None:
            return False
        self.effects.append(self.board["count"])
        assert self.board["killed"], f"the daemon ended by itself with {self.life.returncode}"
        assert self.life.returncode == -signal.SIGKILL
        self.killed_at.append(f"{self.board['kill_at']}: {self.board.where}")
        return True

    def until(self, what: str, condition: Callable[[], bool], *, seconds: float = CONVERGE_SECONDS) -> None:
        """Live, and live again after each kill, until the condition is true."""

        def is_true() -> bool:
            if condition():
                return True
            if self.life is None:
                self.start()
            elif self.buried():
                self.life = None
                self.after_kill()
            return False

        eventually(what, is_true, seconds=seconds)

    def drain(self) -> None:
        """SIGTERM until a life ends by itself, which it must do with nothing owed."""
        while True:
            self.until("the daemon has started", lambda: self.ask("/healthz") is not None)
            assert self.life
            self.life.send_signal(signal.SIGTERM)
            status = self.life.wait(CONVERGE_SECONDS)
            self.effects.append(self.board["count"])
            if status == 0:
                self.drained = True
                return
            assert self.board["killed"], f"the daemon ended by itself with {status}"
            self.killed_at.append(f"{self.board['kill_at']}: {self.board.where}")
            self.life = None
            self.after_kill()

    def end(self) -> None:
        """End the life there is, as a crash would."""
        if self.life and not self.drained:
            if self.life.poll() is not None:  # its kill came after the quiet
                assert self.board["killed"], "the daemon ended by itself"
            else:
                self.life.kill()
                self.life.wait(CONVERGE_SECONDS)
            self.effects.append(self.board["count"])
        self.life = None

    def close(self) -> None:
        """Leave nothing behind."""
        self.end()
        self.board.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- the daemon's own word -----------------------------------------------------------------------

    def ask(self, where: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the endpoint over its socket; None while it does not answer."""
        connection = _Connection(str(self.folder / "s.sock"))
        try:
            data = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if data else {}
            connection.request("POST" if data else "GET", where, body=data, headers=headers)
            return json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def reasons(self) -> str:
        """Return why /status is degraded; "" where it is not."""
        status = self.ask("/status")
        return "" if status is None or status["state"] == "ok" else " | ".join(status["reasons"]) or "?"

    def rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        """Ask the journal, read-only; nothing while it cannot be asked."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as db:
                return db.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def has(self, query: str, *values: str | int) -> bool:
        """Whether a query of the journal finds something."""
        return bool(self.rows(query, *values))

    def quiet(self) -> bool:
        """Whether the newest content of every file is synced and nothing owed but a clean-up's last look."""
        owed = self.rows(
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM debts WHERE due < 1e300)"
            " + (SELECT count(*) FROM"
            " transfers WHERE state IN ('discovered', 'ready', 'uploaded', 'dead') OR lease OR may_upload)"
            " + (SELECT count(*) FROM removals) + (SELECT count(*) FROM expiries)"
        )
        if owed != [(0,)]:
            return False
        there = self.states.keys() - self.deleted - self.removed
        return self._synced() >= set(map(self._now, there)) and not any(map(self.known, self.removed))

    def known(self, path: str) -> bool:
        """Whether the journal remembers a file."""
        folder, _, name = path.rpartition("/")
        return self.has("SELECT 1 FROM files WHERE folder = ? AND name = ?", folder, name)

    def synced(self, path: str) -> bool:
        """Whether the journal holds the file as it is now as synced."""
        return self._now(path) in self._synced()

    def _synced(self) -> set[tuple[Any, ...]]:
        """Return what the journal holds as synced, file by file."""
        return set(
            self.rows(
                "SELECT f.folder, f.name, f.inode, f.size, f.mtime_ns FROM files f"
                " JOIN transfers t ON t.id = f.transfer WHERE t.state = 'synced'"
            )
        )

    def _now(self, path: str) -> tuple[Any, ...]:
        """Return the file as it is now, in the journal's terms."""
        folder, _, name = path.rpartition("/")
        found = os.stat(self.root / path)  # noqa: PTH116 - one call
        return folder, name, found.st_ino, found.st_size, found.st_mtime_ns

    # -- the renderer --------------------------------------------------------------------------------

    def write(self, path: str, data: bytes) -> None:
        """Give a file new content in one step, as a rename does."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.draft")
        draft.write_bytes(data)
        self.state(path, data)
        self.flush(draft)
        draft.rename(target)
        for folder in (target.parent, *target.parent.parents):
            if folder.is_relative_to(self.root):
                self.flush(folder)
        self.seal(path)
        self.removed.discard(path)

    def remove(self, path: str) -> None:
        """Delete a file: its asset is to go, too."""
        (self.root / path).unlink()
        del self.identities[path]
        self.removed.add(path)

    def flush(self, path: Path) -> None:
        """A renderer that survives a power cut, where one may come."""
        if self.disk is not None:
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def state(self, path: str, data: bytes) -> None:
        """Note a complete state that a file is about to have."""
        self.states.setdefault(path, []).append(data)

    def seal(self, path: str) -> None:
        """Remember what the file looks like: nobody but us may change it."""
        self.identities[path] = _identity(self.root / path)

    def untouched(self) -> None:
        """I8."""
        for path, identity in self.identities.items():
            if path not in self.deleted:
                assert _identity(self.root / path) == identity, f"{path} was touched"
                assert (self.root / path).read_bytes() == self.states[path][-1], path


def _identity(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)
