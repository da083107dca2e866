"""Makes one call of the S3 client: bounded in time, its failures translated, bodies read as they go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.upload.store import Body

from .body_client import BodyClient
from .bounded import READ
from .call import Call
from .clients import Clients
from .errors import FAULTS, from_disk, translate
from .payload import EXPECT_BYTES, RangePayload
from .prepared_heads import SmallPut
from .redirects import RedirectScope, is_redirect
from .refusals import Asker
from .response import is_without_uploads
from .uplink import Uplink

STALL_SECONDS = 30.0  # without a byte that arrives, or comes back; what is made of it: core/standstill.py
PROBE_SECONDS = 10.0  # HEAD asks little and follows every failure: an S3 that hangs must be named soon
COMPLETE_SECONDS = 600.0  # S3 joins thousands of parts before it answers

_UPLOADS = "ListMultipartUploads"
T = TypeVar("T")


class Calls:
    """The calls to one bucket. Nothing here retries."""

    def __init__(
        self,
        *,
        clients: Clients,
        bucket: str,
        clock: Clock,
        uplink: Uplink,
        throttle: Callable[[int], Awaitable[None]] | None,
    ) -> None:
        """``throttle`` is awaited with each chunk's size before it goes."""
        self.bucket = bucket
        self._client, self._bodies = clients.api, clients.bodies
        ours = clients.bodies if isinstance(clients.bodies, BodyClient) else None
        self._small = ours if throttle is None else None
        self._region = clients.region
        self._throttle, self._uplink = throttle, uplink
        self._remote_clock = RemoteClock(clock)
        uplink.ask = self._answers

    @property
    def skew_seconds(self) -> float | None:
        """Our clock minus S3's; None before its first answer."""
        return self._remote_clock.skew_seconds

    async def call(
        self, method: str, target: str, *, seconds: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Make one call without a body of the file's; ``seconds`` is its limit on standing still."""
        watch = self._uplink.call(STALL_SECONDS if seconds is None else seconds)
        return await self._watched(watch, self._client, method, target, fields)

    async def has_no_uploads(self, prefix: str) -> bool:
        """Tell whether S3 says in so many words that no multipart upload is open below a prefix.

        Else, and whatever else it says, the client library is to ask. Raises SidecarError.
        """
        if not isinstance(self._bodies, BodyClient):
            return False
        watch = self._uplink.call(STALL_SECONDS)
        with self._told(watch, operation=_UPLOADS, target=prefix or self.bucket):
            answer = await self._bodies.ask_for_uploads(prefix)
        if answer is None or answer.status != HTTPStatus.OK or not is_without_uploads(answer.body):
            return False
        self._remote_clock.learn(answer.headers.get("date"))
        return True

    async def send(self, method: str, body: Body, target: str, **fields: Any) -> dict[str, Any]:
        """Make a call with a body, which may take as long as it moves."""
        watch = self._uplink.call(STALL_SECONDS, length_bytes=body.length_bytes)
        payload = RangePayload(body, call=watch, throttle=self._throttle)
        try:
            return await self._watched(watch, self._bodies, method, target, fields | {"Body": payload})
        except SidecarError as error:
            if payload.failure is None:
                raise
            raise from_disk(payload.failure, operation=error.operation, target=target) from payload.failure

    async def put_small(self, put: SmallPut) -> dict[str, Any] | None:
        """Store an object that is in memory; None, and nothing was sent, where ``send`` has to do it."""
        if self._small is None or len(put.data) > EXPECT_BYTES:
            return None
        watch = self._uplink.call(STALL_SECONDS, length_bytes=len(put.data))
        try:
            request = await self._small.small_request(put)
            if request is None:
                return None
            with watch:
                answer = await self._small.put_small(request, watch)
        except FAULTS as error:
            if isinstance(error, ClientError) and is_redirect(error.response):
                self._small = None  # nothing was stored; those that go the way are asked for as large ones
                return None
            raise self._meaning(watch, error, operation="PutObject", target=put.spec.key) from error
        self._learn(answer)
        return answer

    async def _watched(
        self, watch: Call, client: Any, method: str, target: str, fields: dict[str, Any]
    ) -> dict[str, Any]:
        """Make one call of a client; its every failure becomes a SidecarError here."""
        with (
            self._told(watch, operation=_operation(method), target=target),
            RedirectScope(bucket=self.bucket, region=self._region) as way,
        ):
            answer = await self._ask(getattr(client, method), fields, way)
        self._learn(answer)
        return answer

    @contextmanager
    def _told(self, watch: Call, *, operation: str, target: str) -> Iterator[None]:
        """Watch over a call that is made inside; its failure becomes a SidecarError."""
        READ.set(watch.read)
        try:
            with watch:
                yield
        except FAULTS as error:
            raise self._meaning(watch, error, operation=operation, target=target) from error

    def _meaning(self, watch: Call, error: Exception, *, operation: str, target: str) -> SidecarError:
        self._learn(error.response if isinstance(error, ClientError) else {})
        asker = Asker(skew_seconds=self.skew_seconds, region=self._region)
        meaning = translate(error, operation=operation, target=target, asker=asker)
        return self._of_the_line(watch, meaning, answered=isinstance(error, ClientError))

    def _of_the_line(self, watch: Call, error: SidecarError, *, answered: bool) -> SidecarError:
        """Mark what is the line's fault and not the object's, and let the line learn from it."""
        if watch.ending is not None:
            error.code, error.maybe_done = watch.ending, True
        now = asyncio.get_running_loop().time()
        if error.kind is ErrorKind.THROTTLED:
            self._uplink.slowed(now)
        if not watch.length_bytes or (answered and not error.of_the_line):
            return error
        self._uplink.troubled(watch, now)
        if watch.ending is None and not answered and self._uplink.broke(error.target, now):
            error.code = "Broken"
        return error

    async def _ask(
        self, method: Callable[..., Awaitable[dict[str, Any]]], fields: dict[str, Any], way: RedirectScope
    ) -> dict[str, Any]:
        """Ask S3; again where it sends us to another of its own doors."""
        while True:
            try:
                return await method(Bucket=self.bucket, **fields)
            except ClientError as error:
                if not way.turn(error.response):
                    raise

    async def _answers(self) -> bool:
        """Tell whether S3 answers, whatever it says."""
        try:
            await self.call("head_bucket", self.bucket, seconds=PROBE_SECONDS)
        except SidecarError as error:
            return error.kind is not ErrorKind.NETWORK
        return True

    def _learn(self, answer: dict[str, Any]) -> None:
        """Take in S3's clock, of a refusal too: a clock that is wrong gets nothing else."""
        self._remote_clock.learn(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


@cache
def _operation(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


async def read(reader: Callable[[Body], T], body: Body, *, operation: str, target: str) -> T:
    """Read a body, off the event loop unless it was read before. Raises SidecarError."""
    if body.data is not None:
        return reader(body)
    try:
        return await asyncio.to_thread(reader, body)
    except OSError as error:
        raise from_disk(error, operation=operation, target=target) from error
