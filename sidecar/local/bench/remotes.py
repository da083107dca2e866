"""What one run is measured against: a fresh S3 server and a fresh stub of Convex, perhaps far away."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.local.certificates import Tls
from sidecar.local.child import ServerError
from sidecar.local.ports import LOOPBACK
from sidecar.local.seaweed import SeaweedServer

from .line import Lines
from .peers import Target
from .stub import ConvexStub

BUCKET = "lessons"
_WARM, _WARM_UP = "warm/", 8  # its first writes make volumes
_LOOK_SECONDS = 0.01
_APPEAR_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remotes:
    """Both, as a client sees them."""

    server: SeaweedServer
    target: Target
    stub: ConvexStub
    convex_url: str

    def check(self, files: int, size: int) -> None:
        """Raise ServerError unless the bucket holds so many objects of so many bytes together."""
        found = list(_objects(self.server.client()))
        total = sum(item["Size"] for item in found)
        if (len(found), total) != (files, size):
            raise ServerError(
                f"{len(found)} objects of {total} bytes are in the bucket, not {files} of {size}"
            )

    def appearance(self) -> Appearance:
        """Begin to look for the first object."""
        return Appearance(self.server.client())


class Appearance:
    """Looks for the first object of a bucket, many times a second."""

    def __init__(self, client: Any) -> None:
        """Begin."""
        self._client = client
        self._seen: float | None = None
        self._thread = threading.Thread(target=self._look, name="bench-appearance", daemon=True)
        self._thread.start()

    def seen(self) -> float:
        """Wait for it; return when it was seen, monotonic. Raises ServerError."""
        self._thread.join(_APPEAR_SECONDS)
        if self._seen is None:
            raise ServerError("no object appeared in the bucket")
        return self._seen

    def is_seen(self, seconds: float) -> bool:
        """Wait a moment for it, and tell whether it was seen. Raises ServerError."""
        self._thread.join(seconds)
        return not self._thread.is_alive() and self.seen() > 0

    def _look(self) -> None:
        deadline = time.monotonic() + _APPEAR_SECONDS
        while time.monotonic() < deadline:
            if next(_objects(self._client), None) is not None:
                self._seen = time.monotonic()
                return
            time.sleep(_LOOK_SECONDS)


@contextmanager
def fresh(folder: Path, *, tls: Tls | None, lines: Lines, rtt_ms: int) -> Iterator[Remotes]:
    """Start both in a folder that goes with them. What was written before is on disk by then."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        server = stack.enter_context(SeaweedServer(bucket=BUCKET, folder=folder, tls=tls))
        for n in range(_WARM_UP):
            server.client().put_object(Bucket=BUCKET, Key=f"{_WARM}{n}", Body=b"-")
        stub = stack.enter_context(ConvexStub(tls))
        s3_port = stack.enter_context(lines.to(server.port, rtt_ms))
        convex_port = stack.enter_context(lines.to(stub.port, rtt_ms))
        os.sync()
        target = Target(
            url=f"{'https' if tls else 'http'}://{LOOPBACK}:{s3_port}",
            bucket=BUCKET,
            access_key=server.access_key,
            secret_key=server.secret_key,
            tls=tls,
        )
        yield Remotes(server=server, target=target, stub=stub, convex_url=stub.url_by(convex_port))


def _objects(client: Any) -> Iterator[Any]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        yield from (item for item in page.get("Contents", []) if not item["Key"].startswith(_WARM))
