"""S3 as one life reaches it: ``MemoryStore`` through calls that may be lost, doubled or cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from sidecar.core.model import Part, StoredObject
from sidecar.upload.store import Body, ListedObject, ObjectHead, ObjectSpec, OpenUpload

from .power import Power

T = TypeVar("T")


def done(call: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, to its end."""
    try:
        call.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("a call in memory waited")


class SimulatedS3:
    """``ObjectStore`` for one life."""

    def __init__(self, power: Power) -> None:
        """The bucket is the outside's."""
        self._power = power

    async def probe(self) -> None:
        """HeadBucket."""
        await self._power.call("s3.probe", lambda o: done(o.bucket.probe()), changes=False)

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store an object whole."""
        return await self._power.call(
            "s3.put", lambda o: done(o.bucket.put(spec, body, checksum=checksum, once=once)), changes=True
        )

    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload."""
        return await self._power.call("s3.create", lambda o: done(o.bucket.create(spec)), changes=True)

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Send a part."""
        return await self._power.call(
            "s3.part", lambda o: done(o.bucket.put_part(upload, body, number=number)), changes=True
        )

    async def existing_parts(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Tell which parts are there already."""
        return await self._power.call(
            "s3.parts", lambda o: done(o.bucket.existing_parts(upload, bodies)), changes=False
        )

    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Join the parts."""
        return await self._power.call(
            "s3.complete",
            lambda o: done(o.bucket.complete(upload, parts, checksum=checksum, once=once)),
            changes=True,
        )

    async def abort(self, upload: OpenUpload) -> None:
        """Drop an upload."""
        await self._power.call("s3.abort", lambda o: done(o.bucket.abort(upload)), changes=True)

    async def head(self, key: str) -> ObjectHead | None:
        """Describe an object."""
        return await self._power.call("s3.head", lambda o: done(o.bucket.head(key)), changes=False)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self._power.call("s3.delete", lambda o: done(o.bucket.delete(key)), changes=True)

    async def list_objects(self, *, prefix: str) -> AsyncIterator[ListedObject]:
        """List objects."""
        for found in await self._power.call(
            "s3.objects", lambda o: done(_gathered(o.bucket.list_objects(prefix=prefix))), changes=False
        ):
            yield found

    async def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List open uploads."""
        for found in await self._power.call(
            "s3.uploads", lambda o: done(_gathered(o.bucket.open_uploads(prefix=prefix))), changes=False
        ):
            yield found


async def _gathered(listing: AsyncIterator[T]) -> list[T]:
    return [found async for found in listing]
