"""S3 as one life reaches it: a bucket in memory, through calls that may be lost, doubled or cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from sidecar.core.model import Part, StoredObject
from sidecar.upload.store import Body, ObjectHead, ObjectSpec, OpenUpload
from tests.support.memory_store import MemoryStore

from .power import Power


class Bucket(MemoryStore):
    """The bucket itself, which remembers every content that was ever visible in it."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.seen: list[tuple[str, bytes]] = []

    def note(self, key: str) -> None:
        """Remember what became visible."""
        self.seen.append((key, self.objects[key][1]))


def done(call: object) -> object:
    """Run a coroutine that never waits, to its end."""
    try:
        call.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a call in memory waited")


class SimulatedS3:
    """``ObjectStore`` for one life."""

    def __init__(self, bucket: Bucket, power: Power) -> None:
        """``bucket`` outlives us."""
        self._bucket, self._power = bucket, power

    async def probe(self) -> None:
        """HeadBucket."""
        await self._power.call("s3.probe", lambda: None, changes=False)

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store an object whole."""

        def commit() -> StoredObject:
            stored = done(self._bucket.put(spec, body, checksum=checksum, once=once))
            self._bucket.note(spec.key)
            assert isinstance(stored, StoredObject)
            return stored

        return await self._power.call("s3.put", commit, changes=True)

    async def create(self, spec: ObjectSpec) -> str:
        """Open a multipart upload."""
        return await self._power.call("s3.create", lambda: str(done(self._bucket.create(spec))), changes=True)

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Send a part."""

        def commit() -> Part:
            part = done(self._bucket.put_part(upload, body, number=number))
            assert isinstance(part, Part)
            return part

        return await self._power.call("s3.part", commit, changes=True)

    async def held(self, upload: OpenUpload, bodies: Mapping[int, Body]) -> list[Part]:
        """Tell which parts are there already."""

        def compare() -> list[Part]:
            parts = done(self._bucket.held(upload, bodies))
            assert isinstance(parts, list)
            return parts

        return await self._power.call("s3.parts", compare, changes=False)

    async def complete(
        self, upload: OpenUpload, parts: Sequence[Part], *, checksum: str, once: bool = False
    ) -> StoredObject:
        """Join the parts."""

        def commit() -> StoredObject:
            is_new = upload.upload_id not in self._bucket.completed
            stored = done(self._bucket.complete(upload, parts, checksum=checksum, once=once))
            if is_new:
                self._bucket.note(upload.key)
            assert isinstance(stored, StoredObject)
            return stored

        return await self._power.call("s3.complete", commit, changes=True)

    async def abort(self, upload: OpenUpload) -> None:
        """Drop an upload."""
        await self._power.call("s3.abort", self._doing(lambda: self._bucket.abort(upload)), changes=True)

    async def head(self, key: str) -> ObjectHead | None:
        """Describe an object."""

        def look() -> ObjectHead | None:
            head = done(self._bucket.head(key))
            assert head is None or isinstance(head, ObjectHead)
            return head

        return await self._power.call("s3.head", look, changes=False)

    async def delete(self, key: str) -> None:
        """Delete an object."""
        await self._power.call("s3.delete", self._doing(lambda: self._bucket.delete(key)), changes=True)

    async def open_uploads(self, *, prefix: str) -> AsyncIterator[OpenUpload]:
        """List open uploads."""

        def listing() -> list[OpenUpload]:
            return [
                OpenUpload(key=upload.spec.key, upload_id=upload_id)
                for upload_id, upload in self._bucket.uploads.items()
                if upload.spec.key.startswith(prefix)
            ]

        for found in await self._power.call("s3.list", listing, changes=False):
            yield found

    def _doing(self, call: Callable[[], object]) -> Callable[[], None]:
        return lambda: void(done(call()))


def void(_result: object) -> None:
    """Forget a result."""
