"""The whole system as a black box: the real daemon as a process, a real S3 server, the real functions.

The checks here share no code with the daemon: files are compared with boto3's downloads, Convex is
read by its own tables, status by plain HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from awscrt.checksums import crc64nvme

from sidecar.local.child import neutral_environment
from sidecar.local.convex_server import ConvexServer
from sidecar.local.ports import free_port
from sidecar.local.seaweed import SeaweedServer
from tests.support.forked import Forked, shared

T = TypeVar("T")
PAUSE_SECONDS_MAX = 0.15


def eventually(what: str, condition: Callable[[], T], *, seconds: float = 90.0) -> T:
    """Poll until a condition is true and return its value; fail with its name at the deadline."""
    deadline = time.monotonic() + seconds
    pause_seconds = 0.02
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what} (last: {value!r})")
        time.sleep(pause_seconds)  # longer each time: asking costs the cores that the answer needs
        pause_seconds = min(pause_seconds * 1.2, PAUSE_SECONDS_MAX)
    return value


def checksum(data: bytes) -> str:
    """Return what Convex must show for these bytes."""
    return "crc64nvme:" + base64.b64encode(crc64nvme(data).to_bytes(8)).decode()


class System:
    """One daemon with a bucket, a journal and a folder of its own, on shared servers."""

    module = "sidecar"  # what runs as the daemon
    fresh = False  # a process of its own from the beginning, not forked from one that has imported all

    def __init__(self, folder: Path, s3: SeaweedServer, convex: ConvexServer) -> None:
        """Make the bucket and the settings; nothing runs yet."""
        self.folder, self.s3, self.convex = folder, s3, convex
        self.root = folder / "renders"
        self.root.mkdir()
        self.bucket = "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]
        self.client = s3.client()
        self.client.create_bucket(Bucket=self.bucket)
        self.port = free_port()
        self.sidecar_id = f"sidecar-{self.bucket}"
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.env: dict[str, str] = {}  # of the daemon, besides our own
        self.settings: dict[str, Any] = {
            "sidecar_id": self.sidecar_id,
            "watch": [{"root": str(self.root)}],
            "s3": {
                "bucket": self.bucket,
                "endpoint_url": s3.endpoint_url,
                "access_key_id": s3.access_key,
                "secret_access_key": s3.secret_key,
            },
            "convex": {"url": convex.url, "auth": {"mode": "none"}},
            "journal": {"path": str(folder / "journal" / "journal.db")},
            "retry": {"initial": "100ms", "max": "2s", "breaker_reset": "1s"},
            "status": {"listen": f"127.0.0.1:{self.port}", "socket": str(folder / "s.sock")},
        }

    # -- the daemon -------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        """Everything the daemon printed."""
        return self.folder / "daemon.log"

    def write_config(self) -> Path:
        """Write the settings; JSON is YAML."""
        path = self.folder / "sidecar.yaml"
        path.write_text(json.dumps(self.settings, indent=1))
        return path

    def start(self, *, ready: bool = True, env: Mapping[str, str] | None = None) -> None:
        """Start the daemon, and wait until it is ready."""
        config, more = self.write_config(), {**self.env, **(env or {})}
        if self.fresh:
            argv = [sys.executable, "-m", self.module, "run", "--config", str(config)]
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    argv, stdout=output, stderr=subprocess.STDOUT, env=neutral_environment() | more
                )
        else:
            self.process = shared().start(config, self.log, env=more, module=self.module)
        if ready:
            eventually("the daemon is ready", self._ready)

    def kill(self) -> None:
        """End the daemon as a crash would."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self, *, seconds: float = 40.0) -> int:
        """Send SIGTERM; return the exit status."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def _ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log.read_text()}")
        try:
            return self.get("/readyz") is not None
        except (urllib.error.URLError, ConnectionError):
            return False

    def run(self, *args: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one `sidecar` command."""
        return subprocess.run(
            [sys.executable, "-m", "sidecar", *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # -- its own word ------------------------------------------------------------------------------

    def get(self, where: str, **query: str | bytes) -> Any:
        """Ask the endpoint; JSON."""
        text = urllib.parse.urlencode(query)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{where}?{text}", timeout=30) as answer:
            return json.load(answer)

    def status(self) -> dict[str, Any]:
        """Return /status."""
        return dict(self.get("/status"))

    def explain(self, path: Path | bytes) -> dict[str, Any]:
        """Return /explain of a path."""
        return dict(self.get("/explain", path=os.fsencode(path)))

    def settled(self) -> bool:
        """Whether nothing is on its way any more."""
        return _is_settled(self.status()["transfers"])

    def wait_settled(self, *, synced: int | None = None, seconds: float = 180.0) -> None:
        """Wait until nothing is on its way (and so many transfers are synced)."""

        def done() -> bool:
            counts = self.status()["transfers"]
            return _is_settled(counts) and (synced is None or counts["synced"] >= synced)

        eventually(f"everything is settled (synced: {synced})", done, seconds=seconds)

    # -- the truth ---------------------------------------------------------------------------------

    def objects(self) -> dict[str, bytes]:
        """Download everything in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {k: self.client.get_object(Bucket=self.bucket, Key=k)["Body"].read() for k in keys}

    def keys(self) -> list[str]:
        """List the bucket."""
        answer = self.client.list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Contents", [])]

    def open_uploads(self) -> list[str]:
        """List the keys of open multipart uploads."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Uploads", [])]

    def assets(self) -> list[dict[str, Any]]:
        """Return Convex's rows of this bucket."""
        rows: list[dict[str, Any]] = self.convex.control("table/renderSidecar/assets")
        return [row for row in rows if f"/{self.bucket}/" in row["s3Url"]]

    def check(self, files: Mapping[str, bytes]) -> None:
        """Every file is one equal object and one row with its size, checksum and URL; nothing else is."""
        objects, rows = self.objects(), self.assets()
        by_key = {row["s3Key"]: row for row in rows}
        assert sorted(map(checksum, objects.values())) == sorted(map(checksum, files.values()))
        assert set(by_key) == set(objects)
        for name, data in files.items():
            found = [r for r in rows if r["name"] == Path(name).name and r["checksum"] == checksum(data)]
            assert found, name
            assert any(objects[row["s3Key"]] == data and row["size"] == len(data) for row in found), name
        assert self.open_uploads() == []


def _is_settled(counts: Mapping[str, int]) -> bool:
    return not any(counts[state] for state in ("discovered", "ready", "uploaded"))


def write(path: Path, data: bytes) -> bytes:
    """Write a file with its folders, in place; returns the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data
