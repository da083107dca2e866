"""What a part costs us, and by awscrt: `python -m tests.bench.parts`. Not part of the test run.

Both send parts of 8 MiB to one SeaweedFS, in turn, with TLS and without. awscrt's client is given what it is
at its best with: one request for each part, no retries, a body that is read into its own buffer.
"""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awscrt import auth, http, io, s3

from sidecar.core.checksums import to_header
from sidecar.core.clock import SystemClock
from sidecar.core.model import MIB
from sidecar.daemon.process_memory import keep_heaps_small
from sidecar.files import checksum_of
from sidecar.local import certificates
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import open_store
from sidecar.upload.store import Body, ObjectSpec, ObjectStore, OpenUpload

PART_BYTES, PARTS, AT_ONCE, ROUNDS = 8 * MIB, 48, 8, 2
GBPS, MEMORY_BYTES = 100.0, 256 * MIB  # as many connections as there are parts; the least that it takes
Send = Callable[[int], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A server, and the part that is sent again and again."""

    server: SeaweedServer
    authority: str | None
    body: Body

    def config(self) -> S3Config:
        """Say where the bucket is."""
        keys = Keys(access_key_id=self.server.access_key, secret_access_key=self.server.secret_key)
        return S3Config(
            bucket=self.server.bucket,
            region=self.server.region,
            endpoint_url=self.server.endpoint_url,
            keys=lambda: keys,
            ca_bundle=self.authority,
        )

    def ours(self, store: ObjectStore, upload: OpenUpload) -> Send:
        """Send as the daemon does."""
        return lambda number: store.put_part(upload, self.body, number=number)

    def crt(self, upload: OpenUpload) -> Send:
        """Send by awscrt."""
        client, host = self._client(), self.server.endpoint_url.partition("//")[2]

        async def send(number: int) -> None:
            headers = {
                "Host": host,
                "Content-Length": str(self.body.length_bytes),
                "x-amz-checksum-crc64nvme": to_header(self.body.checksum or ""),
            }
            target = f"/{self.server.bucket}/{upload.key}?partNumber={number}&uploadId={upload.upload_id}"
            request = http.HttpRequest(
                "PUT", target, http.HttpHeaders(list(headers.items())), _Reader(self.body)
            )
            made = client.make_request(
                type=s3.S3RequestType.DEFAULT, operation_name="UploadPart", request=request
            )
            await asyncio.wrap_future(made.finished_future)

        return send

    def _client(self) -> Any:
        options = None
        if self.authority is not None:
            context = io.TlsContextOptions()
            context.override_default_trust_store_from_path(None, self.authority)
            options = io.ClientTlsContext(context).new_connection_options()
        keys = auth.AwsCredentialsProvider.new_static(self.server.access_key, self.server.secret_key)
        mode = s3.S3RequestTlsMode
        return s3.S3Client(
            region=self.server.region,
            tls_mode=mode.ENABLED if options else mode.DISABLED,
            tls_connection_options=options,
            signing_config=s3.create_default_s3_signing_config(
                region=self.server.region, credential_provider=keys
            ),
            throughput_target_gbps=GBPS,
            memory_limit=MEMORY_BYTES,
            retry_config=s3.S3RetryConfig(retry_mode=s3.S3RetryMode.NONE),
        )


class _Reader:
    """A body as awscrt reads one."""

    def __init__(self, body: Body) -> None:
        self._body, self._at = body, 0

    def read(self, _size: int = -1) -> bytes:
        raise NotImplementedError

    def readinto1(self, room: memoryview) -> int:
        left = self._body.length_bytes - self._at
        count = os.preadv(self._body.fd, [room[:left]], self._body.offset_bytes + self._at)
        self._at += count
        return count

    def seek(self, offset: int, _whence: int) -> None:
        self._at = offset


async def compare(bench: Bench, name: str) -> None:
    """Print what each takes."""
    config = bench.config()
    async with open_store(config, clock=SystemClock(), connections=2 * AT_ONCE) as store:
        for _ in range(ROUNDS):
            for way in ("ours", "awscrt"):
                spec = ObjectSpec(
                    bucket=config.bucket, key=way, content_type="video/mp4", cache_control=None, metadata={}
                )
                upload = OpenUpload(key=way, upload_id=await store.create(spec))
                send = bench.ours(store, upload) if way == "ours" else bench.crt(upload)
                await _all(send, AT_ONCE)  # opens the connections
                began, used = time.perf_counter(), time.process_time()
                await _all(send, PARTS)
                used, wall = time.process_time() - used, time.perf_counter() - began
                most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
                _tell(
                    f"{name:5} {way:6} {1000 * used / PARTS:5.1f} CPU ms each, {wall:.1f} s, peak {most} MiB"
                )
                await store.abort(upload)


def _tell(line: str) -> None:
    print(line)  # noqa: T201 - its purpose


async def _all(send: Send, parts: int) -> None:
    numbers = iter(range(1, parts + 1))

    async def some() -> None:
        for number in numbers:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def main() -> None:
    """Compare with TLS and without."""
    keep_heaps_small()
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        file = opened.enter_context((folder / "part").open("w+b"))
        file.write(os.urandom(MIB) * (PART_BYTES // MIB))
        file.flush()
        body = Body(
            fd=file.fileno(),
            offset_bytes=0,
            length_bytes=PART_BYTES,
            checksum=checksum_of(file.fileno(), 0, PART_BYTES),
        )
        tls = certificates.make(folder)
        os.environ["SSL_CERT_FILE"] = str(tls.authority)  # for SeaweedServer's own client
        for made in (tls, None):
            server = opened.enter_context(SeaweedServer(tls=made))
            authority = str(made.authority) if made else None
            await compare(Bench(server=server, authority=authority, body=body), "TLS" if made else "plain")


if __name__ == "__main__":
    asyncio.run(main())
