"""The sidecar under measure: a real daemon as a process, between a real S3 server and the stub of Convex."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from sidecar.local.child import Child, ServerError, wait
from sidecar.local.ports import LOOPBACK, free_port

from .peers import Target
from .usage import PeakMemory, cpu_seconds

SIDECAR_ID = "sidecar-bench"
START_SECONDS = 900.0  # a million files
WAIT_SECONDS = 3600.0
_LOOK_SECONDS = 0.1
_FOREIGN = ("AWS_", "PYTHONDONTWRITEBYTECODE")  # what is installed was compiled, and is not at each start


class Daemon:
    """One life. ``began`` is when it was started, monotonic; ``memory`` watches it from then on."""

    def __init__(self, folder: Path, root: Path, target: Target, convex_url: str) -> None:
        """Write the settings into ``folder``, where the journal is kept, too."""
        self.began = 0.0
        self.memory: PeakMemory | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        config = folder / "sidecar.yaml"
        config.write_text(json.dumps(self._settings(folder, root, target, convex_url)))
        config.chmod(0o600)
        trust = {} if target.tls is None else {"SSL_CERT_FILE": str(target.tls.authority)}
        environment = {k: v for k, v in target.environment().items() if not k.startswith(_FOREIGN)}
        self._child = Child(
            name="the sidecar",
            argv=[sys.executable, "-m", "sidecar", "run", "--config", config],
            log=folder / "sidecar.log",
            env={**environment, **trust},
        )
        self._http = httpx.Client(base_url=f"http://{LOOPBACK}:{self._port}", trust_env=False, timeout=60)

    @property
    def pid(self) -> int:
        """The process. Raises ServerError where it has ended."""
        if (pid := self._child.pid) is None:
            raise ServerError(f"the sidecar ended with {self._child.returncode}:\n{self._child.tail()}")
        return pid

    def __enter__(self) -> Self:
        """Start it."""
        self.began = time.monotonic()
        self._child.start()
        self.memory = PeakMemory(self.pid)
        return self

    def __exit__(self, *_: object) -> None:
        """End it as a crash would: all of it is thrown away."""
        self.peak()
        self._child.kill()
        self._http.close()

    def until_ready(self) -> float:
        """Wait until it answers that it is; return the seconds since its start."""
        wait(self._child.until(self._is_ready, timeout_seconds=START_SECONDS))
        return time.monotonic() - self.began

    def until(self, what: str, reached: Callable[[float], bool]) -> None:
        """Wait for something that is told elsewhere, while it runs. Raises ServerError."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not reached(_LOOK_SECONDS):
            pid = self.pid
            if time.monotonic() > deadline:
                raise ServerError(f"the sidecar (pid {pid}): not {what} within {WAIT_SECONDS:g} s")

    def transfers(self) -> dict[str, int]:
        """Return how many transfers are in each state."""
        return dict(self._status()["transfers"])

    def until_synced(self, count: int) -> None:
        """Wait until its journal knows that so many are."""

        def known(pause: float) -> bool:
            time.sleep(pause)
            return self.transfers()["synced"] >= count

        self.until("synced", known)

    def cpu(self) -> float:
        """Return the CPU seconds that it has used until now."""
        return cpu_seconds(self.pid)

    def watch_again(self) -> None:
        """Forget the most memory until now."""
        self.peak()
        self.memory = PeakMemory(self.pid)

    def peak(self) -> float:
        """Return the most memory, in MiB, since its start or since it was watched again; the watch ends."""
        return self.memory.end() if self.memory is not None else 0.0

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _status(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._http.get("/status").json()
        except httpx.TransportError as error:
            raise ServerError(f"the sidecar does not answer ({error!r}):\n{self._child.tail()}") from error
        return answer

    def _settings(self, folder: Path, root: Path, target: Target, convex_url: str) -> dict[str, Any]:
        return {
            "sidecar_id": SIDECAR_ID,
            "watch": [{"root": str(root)}],
            "s3": {
                "bucket": target.bucket,
                "endpoint_url": target.url,
                "addressing": "path",
                "access_key_id": target.access_key,
                "secret_access_key": target.secret_key,
                "ca_bundle": None if target.tls is None else str(target.tls.authority),
            },
            "convex": {"url": convex_url, "auth": {"mode": "none"}},
            "journal": {"path": str(folder / "journal.db")},
            "status": {"listen": f"{LOOPBACK}:{self._port}"},
        }
