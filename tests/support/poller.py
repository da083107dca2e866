"""I2, while it happens: every object is read the moment it appears, and must be one complete state."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any, Self

POLL_SECONDS = 0.1
REST_MIN = 8  # times the CPU time of the last look: many objects cost the cores that the daemon needs


class Poller:
    """A thread that lists the bucket without end. ``allow`` a state before it is written."""

    def __init__(self, client: Callable[[], Any], bucket: str) -> None:
        """``client`` makes a boto3 client."""
        self._client, self._bucket = client(), bucket
        self._allowed: set[bytes] = set()
        self._seen: set[tuple[str, str, str]] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self.torn: list[str] = []
        self.looked = 0

    @property
    def seen(self) -> int:
        """How many different objects were read."""
        return len(self._seen)

    def allow(self, data: bytes) -> None:
        """Name one complete state."""
        self._allowed.add(hashlib.sha256(data).digest())

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look once more and end."""
        self._end.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        took_seconds = 0.0
        while not self._end.wait(max(POLL_SECONDS, REST_MIN * took_seconds)):
            began = time.thread_time()
            self._look()
            took_seconds = time.thread_time() - began
        self._look()

    def _look(self) -> None:
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
            for item in [item for page in pages for item in page.get("Contents", [])]:
                version = (item["Key"], item["ETag"], str(item["LastModified"]))
                if version not in self._seen:
                    self._read(item["Key"])
                    self._seen.add(version)
        except Exception:  # noqa: BLE001 - the server is killed on purpose; what was missed is read later
            return
        self.looked += 1

    def _read(self, key: str) -> None:
        data = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        if hashlib.sha256(data).digest() not in self._allowed:
            self.torn.append(f"I2: {key} with {len(data)} bytes is no complete state")
