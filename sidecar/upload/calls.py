"""One call of the S3 client: bounded in time, its failures translated, bodies read as they go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from sidecar.core.clock import Clock, RemoteClock
from sidecar.core.errors import SidecarError

from .answers import read_as_s3
from .deadline import Deadline
from .errors import FAULTS, from_disk, translate
from .payload import CHUNK_BYTES, RangePayload
from .redirects import Way, go_the_way
from .refusals import Asker
from .store import Body

STALL_SECONDS = 30.0
PROBE_SECONDS = 10.0  # HEAD asks little and follows every failure: an S3 that hangs must be named soon
SLOWEST_BYTES_PER_SECOND = 8 * 1024  # a body that goes slower is dripped on purpose
COMPLETE_SECONDS = 600.0  # S3 joins thousands of parts before it answers

T = TypeVar("T")


class Calls:
    """The calls to one bucket. Nothing here retries."""

    def __init__(
        self, *, client: Any, bucket: str, clock: Clock, pace: Callable[[int], Awaitable[None]]
    ) -> None:
        """``client`` is aioboto3's; ``pace`` is awaited with each chunk's size before it goes."""
        self._client, self._bucket, self._pace = client, bucket, pace
        self._remote_clock = RemoteClock(clock)
        client.meta.events.register_last("before-call.s3", _expect_for_large_bodies_only)
        client.meta.events.register_last("before-call.s3", go_the_way)
        client.meta.events.register_last("before-parameter-build.s3", _stay_in_our_region)
        # botocore's own look for errors in a 200 is at s3.*, and comes after what is at *.*
        client.meta.events.register("before-parse.*.*", read_as_s3)

    @property
    def skew_seconds(self) -> float | None:
        """Our clock minus S3's; None before its first answer."""
        return self._remote_clock.skew_seconds

    async def call(
        self, method: str, target: str, *, deadline: Deadline | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Make one call of the client; its every failure becomes a SidecarError here."""
        operation = "".join(word.capitalize() for word in method.split("_"))
        try:
            async with deadline or Deadline(STALL_SECONDS):
                answer = await self._ask(method, fields)
        except FAULTS as error:
            self._learn(error.response if isinstance(error, ClientError) else {})
            asker = Asker(skew_seconds=self.skew_seconds, region=self._client.meta.region_name)
            raise translate(error, operation=operation, target=target, asker=asker) from error
        self._learn(answer)
        return answer

    async def send(self, method: str, body: Body, target: str, **fields: Any) -> dict[str, Any]:
        """Make a call with a body; the time limit starts anew with every chunk."""
        slowest_seconds = STALL_SECONDS + body.length_bytes / SLOWEST_BYTES_PER_SECOND
        deadline = Deadline(STALL_SECONDS, total_seconds=slowest_seconds)
        payload = RangePayload(body, pace=deadline.around(self._pace))
        try:
            return await self.call(method, target, deadline=deadline, Body=payload, **fields)
        except SidecarError as error:
            if payload.failure is None:
                raise
            raise from_disk(payload.failure, operation=error.operation, target=target) from payload.failure

    async def _ask(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Ask S3; again where it sends us to another of its own doors."""
        with Way(bucket=self._bucket, region=self._client.meta.region_name) as way:
            while True:
                try:
                    answer: dict[str, Any] = await getattr(self._client, method)(
                        Bucket=self._bucket, **fields
                    )
                except ClientError as error:
                    if not way.turn(error.response):
                        raise
                else:
                    return answer

    def _learn(self, answer: dict[str, Any]) -> None:
        """Take in S3's clock, of a refusal too: a clock that is wrong gets nothing else."""
        self._remote_clock.learn(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))


async def read(reader: Callable[[Body], T], body: Body, *, operation: str, target: str) -> T:
    """Read a body off the event loop. Raises SidecarError."""
    try:
        return await asyncio.to_thread(reader, body)
    except OSError as error:
        raise from_disk(error, operation=operation, target=target) from error


def _expect_for_large_bodies_only(params: dict[str, Any], **_: Any) -> None:
    """Ask S3 before sending a large body, so that a refusal is read and not lost in a reset connection.

    For a small body the question costs a round trip and saves nothing.
    """
    body = params.get("body")
    if isinstance(body, RangePayload) and len(body) <= CHUNK_BYTES:
        params["headers"].pop("Expect", None)


def _stay_in_our_region(context: dict[str, Any], **_: Any) -> None:
    """Take a redirect for an error: s3.region is set, and botocore asks a redirecting HeadBucket for ever."""
    context.setdefault("s3_redirect", {})["redirected"] = True
