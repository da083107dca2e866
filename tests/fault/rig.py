"""The real daemon between two proxies, and one renderer's file after another."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from tests.support.canary import Canary
from tests.support.faults import Dialect
from tests.support.loopthread import LoopThread
from tests.support.patience import DEADLINE_SECONDS
from tests.support.poller import Poller
from tests.support.proxy import FaultProxy
from tests.support.system import System, eventually
from tests.support.truth import Content, JournalFile, Sources, Truth

MIB = 1024 * 1024
PART_BYTES = 5 * MIB


class Rig(System):
    """``s3_proxy`` and ``convex_proxy`` stand in the daemon's way."""

    module = "tests.fault.daemon"  # with short time limits

    def __init__(self, folder: Path, s3: SeaweedServer, convex: ConvexServer, thread: LoopThread) -> None:
        """Start the proxies; the daemon does not run yet."""
        super().__init__(folder, s3, convex)
        self.canary = Canary(thread)
        self.s3_proxy = self._proxy(thread, "s3", s3.endpoint_url)
        self.convex_proxy = self._proxy(thread, "convex", convex.url)
        self.settings["s3"] |= {"endpoint_url": self.s3_proxy.url, "part_size": "5MiB"}
        self.settings["convex"] = {
            "url": self.convex_proxy.url,
            "auth": {"mode": "deploy_key", "deploy_key": convex.admin_key},
            "timeout": "1s",
            "batch": {"wait": "50ms"},
        }
        self.settings["retry"] = {"initial": "20ms", "max": "200ms", "breaker_reset": "100ms"}
        self.settings["watch"] = [{"root": str(self.root), "settle": "20ms"}]
        self.settings["entities"] = {"complete_after": "1h"}
        journal = JournalFile(Path(self.settings["journal"]["path"]))
        self.truth = Truth(client=self.client, bucket=self.bucket, table=convex.table, journal=journal)
        self.journal = journal
        self.sources = Sources()
        self.poller = Poller(s3._new_client, self.bucket)
        self.states: dict[str, list[Content]] = {}
        self.lives = 0
        self.broken = False
        self.said: list[str] = []  # every answer of /status and /metrics that a test asked for

    def _proxy(self, thread: LoopThread, name: str, url: str) -> FaultProxy:
        where = urlsplit(url)
        dialect = Dialect(name=name, elsewhere=self.canary.url)
        proxy = FaultProxy(thread, dialect, (where.hostname or "", where.port or 0))
        proxy.start()
        return proxy

    @property
    def runs(self) -> bool:
        """Whether the daemon runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def written(self) -> int:
        """How many states were written."""
        return sum(map(len, self.states.values()))

    def clear(self) -> None:
        """Heal the network."""
        self.s3_proxy.clear()
        self.convex_proxy.clear()

    def close(self) -> None:
        """Take the servers of ours off the network."""
        self.canary.stop()
        self.s3_proxy.stop()
        self.convex_proxy.stop()

    # -- the renderer ------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> str:
        """Write a file of this life as a renderer does that renames; returns the name in Convex."""
        path = self.root / "demo" / self.bucket / f"s{self.lives}" / name  # the tests share one Convex
        path.parent.mkdir(parents=True, exist_ok=True)
        self.poller.allow(data)
        draft = path.with_name(path.name + ".part")
        draft.write_bytes(data)
        draft.rename(path)
        self.sources.wrote(path)
        self.states.setdefault(path.name, []).append(Content.of(data))
        return path.name

    def data(self, size: int) -> bytes:
        """Return bytes of this life alone."""
        seed = f"{self.lives} {self.written}"
        return random.Random(seed).randbytes(size)

    # -- afterwards --------------------------------------------------------------------------------

    def quiet(self) -> bool:
        """Tell whether everything that was written is synced and nothing is owed."""
        assert self.process
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}")
        synced = self.journal.count("transfers WHERE state = 'synced'")
        return synced == self.written and self.journal.owes_nothing()

    def wait_quiet(self, *, seconds: float = DEADLINE_SECONDS) -> float:
        """Wait for it; return the seconds that it took."""
        began = time.monotonic()
        try:
            eventually("everything is synced and nothing is owed", self.quiet, seconds=seconds)
        except AssertionError as error:
            self.broken = True
            owed = self.journal.rows(
                "SELECT name, state, failures, error_message FROM transfers WHERE state <> 'synced'"
            )
            raise AssertionError(f"{error}\n{owed}\n{self.log.read_text()[-3000:]}") from error
        return time.monotonic() - began

    def verify(self) -> None:
        """Hold every invariant over everything that this rig has done."""
        wrong = self.truth.violations(self.states) + self.sources.untouched() + self.poller.torn
        wrong += self._leaks()
        wrong += ["I10: a redirect was followed with credentials"] * self._told_secrets(
            bytes(self.canary.heard)
        )
        spent = self.journal.rows("SELECT name, failures FROM transfers WHERE failures > 0")
        wrong += [f"attempts stay counted: {row}" for row in spent]
        self.broken = bool(wrong)
        if wrong:
            raise AssertionError("\n".join(wrong))

    def _leaks(self) -> list[str]:
        """I10: no secret in log, status, metrics or journal."""
        self.said += [json.dumps(self.status()), self._metrics()]
        places = {"log": self.log.read_bytes(), "answers": "".join(self.said).encode()}
        folder = Path(self.settings["journal"]["path"]).parent
        places |= {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return [f"I10: a secret in {where}" for where, data in places.items() if self._told_secrets(data)]

    def _told_secrets(self, data: bytes) -> bool:
        secrets = (self.s3.secret_key, self.convex.admin_key, "Signature=")
        return any(secret.encode() in data for secret in secrets)

    def _metrics(self) -> str:
        import urllib.request  # noqa: PLC0415 - used once

        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def errors(self) -> float:
        """Return how many errors the metrics count, of all kinds and stages."""
        lines = self._metrics().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("sidecar_errors_total{"))
