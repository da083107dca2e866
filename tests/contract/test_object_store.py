"""What every ObjectStore promises: the same tests over the fake and over two S3 servers."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from sidecar.core.clock import SystemClock
from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import MIB
from sidecar.local.ports import free_port
from sidecar.upload.s3.credentials import Keys
from sidecar.upload.s3.endpoint import S3Config
from sidecar.upload.s3.object_store import S3Store, open_store
from sidecar.upload.store import Body, ObjectSpec, ObjectStore, OpenUpload
from tests.support.memory_store import MemoryStore, checksum_of
from tests.support.seaweed import store_on
from tests.support.simulation.calm import calm_power
from tests.support.simulation.s3 import SimulatedS3

PART = 5 * MIB
CONTENT = os.urandom(2 * PART + 3)
RANGES = {1: (0, PART), 2: (PART, PART), 3: (2 * PART, 3)}
Spec = Callable[..., ObjectSpec]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Serve another S3, which knows the calls and checks no bytes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


STORES = ("memory", "forgetful memory", "simulation", "seaweed", "seaweed versioned", "moto")


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """Open one store after the other, each on an empty bucket."""
    if request.param == "simulation":
        yield SimulatedS3(calm_power())
        return
    if request.param in {"memory", "forgetful memory"}:
        yield MemoryStore(forgets=request.param == "forgetful memory")
        return
    if request.param == "moto":
        async with _on_moto(request.getfixturevalue("moto")) as opened:
            yield opened
        return
    server, bucket = request.getfixturevalue("seaweed"), request.getfixturevalue("bucket")
    if request.param == "seaweed versioned":
        server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    async with store_on(server, bucket) as opened:
        yield opened


@asynccontextmanager
async def _on_moto(url: str) -> AsyncIterator[ObjectStore]:
    keys = Keys(access_key_id="moto", secret_access_key="moto")
    bucket = f"moto-{secrets.token_hex(6)}"
    config = S3Config(bucket=bucket, region="us-east-1", endpoint_url=url, keys=lambda: keys)
    async with open_store(config, clock=SystemClock(), connections=16) as opened:
        await opened._calls._client.create_bucket(Bucket=bucket)
        yield opened


@pytest.fixture
def honest(request: pytest.FixtureRequest) -> None:
    """Pass over a store that is no evidence of integrity, or of what it does with an unknown upload."""
    if "moto" in request.node.callspec.id:
        pytest.skip("moto compares no checksum, and answers 500 for an unknown upload")


@pytest.fixture
def spec(store: ObjectStore) -> Spec:
    """Build the spec of an object in the store's bucket."""
    bucket = store._config.bucket if isinstance(store, S3Store) else "lessons"

    def build(key: str = "a/b.mp4", **metadata: str) -> ObjectSpec:
        return ObjectSpec(
            bucket=bucket, key=key, content_type="video/mp4", cache_control="no-cache", metadata=metadata
        )

    return build


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Open a file of two parts and three bytes."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def body(fd: int, offset: int = 0, length: int = 100) -> Body:
    """Return a range of the file."""
    return Body(fd=fd, offset_bytes=offset, length_bytes=length)


@contextmanager
def refused(kind: ErrorKind) -> Iterator[None]:
    """Expect a SidecarError of a kind that says it was not carried out."""
    with pytest.raises(SidecarError) as caught:
        yield
    assert (caught.value.kind, caught.value.maybe_done) == (kind, False), str(caught.value)


async def send(store: ObjectStore, upload: OpenUpload, fd: int, *numbers: int) -> list[Any]:
    """Send parts in the order that is asked for; return them by number."""
    parts = {n: await store.put_part(upload, body(fd, *RANGES[n]), number=n) for n in numbers}
    return [parts[n] for n in sorted(parts)]


async def begin(store: ObjectStore, spec: ObjectSpec) -> OpenUpload:
    """Open a multipart upload."""
    return OpenUpload(key=spec.key, upload_id=await store.create(spec))


async def opened(store: ObjectStore, prefix: str = "") -> set[OpenUpload]:
    """Return the open uploads."""
    return {found async for found in store.open_uploads(prefix=prefix)}


async def test_the_bucket_answers(store: ObjectStore) -> None:
    """A probe of a healthy store returns."""
    await store.probe()


async def test_what_was_put_is_described_by_head(store: ObjectStore, spec: Spec, file: int) -> None:
    """Size, our checksum and the metadata come back; the ETag is the one that PUT answered."""
    wanted = spec(transfer="01J", slot="s-_")
    stored = await store.put(wanted, body(file, 7, 1000), checksum=checksum_of(CONTENT[7:1007]))
    head = await store.head(wanted.key)
    assert head is not None
    assert (head.size_bytes, head.checksum) == (1000, checksum_of(CONTENT[7:1007]))
    assert dict(head.metadata) == {"transfer": "01J", "slot": "s-_"}
    assert (head.stored.etag, stored.key, stored.bucket) == (stored.etag, wanted.key, wanted.bucket)


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1])
async def test_any_size_is_stored(store: ObjectStore, spec: Spec, file: int, size: int) -> None:
    """Empty, one byte, and more than the adapter reads at once."""
    await store.put(spec(), body(file, 0, size), checksum=checksum_of(CONTENT[:size]))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert (head.size_bytes, head.checksum) == (size, checksum_of(CONTENT[:size]))


@pytest.mark.usefixtures("honest")
async def test_bytes_that_do_not_match_are_refused(store: ObjectStore, spec: Spec, file: int) -> None:
    """The object is not there, not even in part."""
    with refused(ErrorKind.CORRUPT):
        await store.put(spec(), body(file, 1, 1000), checksum=checksum_of(CONTENT[:1000]))
    assert await store.head("a/b.mp4") is None


async def test_a_file_that_became_shorter_is_corrupt(store: ObjectStore, spec: Spec, file: int) -> None:
    """It is the file's fault, not the network's."""
    with refused(ErrorKind.CORRUPT):
        await store.put(spec(), body(file, len(CONTENT) - 9, 10), checksum=checksum_of(b""))


async def test_what_is_to_be_stored_once_is_not_stored_again(
    store: ObjectStore, spec: Spec, file: int
) -> None:
    """A PUT that comes twice, or a Complete of what is there: HEAD tells."""
    first, later = checksum_of(CONTENT[:100]), checksum_of(CONTENT[:200])
    await store.put(spec(), body(file), checksum=first, once=True)
    upload = await begin(store, spec())
    parts = await send(store, upload, file, 1, 2, 3)
    with pytest.raises(SidecarError) as again:
        await store.put(spec(), body(file, 0, 200), checksum=later, once=True)
    assert (again.value.kind, again.value.maybe_done) == (ErrorKind.CONFLICT, True)
    if await _refuses_to_complete(store, upload, parts):
        await store.abort(upload)
        head = await store.head("a/b.mp4")
        assert head is not None
        assert (head.size_bytes, head.checksum) == (100, first)
        await store.put(spec(), body(file, 0, 200), checksum=later)
    assert await opened(store) == set()


async def _refuses_to_complete(store: ObjectStore, upload: OpenUpload, parts: list[Any]) -> bool:
    """Tell whether the store knows the condition of Complete, too; moto does not."""
    try:
        await store.complete(upload, parts, checksum=checksum_of(CONTENT), once=True)
    except SidecarError as error:
        return (error.kind, error.maybe_done) == (ErrorKind.CONFLICT, True)
    return False


async def test_an_object_that_is_not_there_has_no_head(store: ObjectStore) -> None:
    """None, not an error."""
    assert await store.head("nothing/here") is None


async def test_a_deleted_object_is_gone_and_may_be_deleted_again(
    store: ObjectStore, spec: Spec, file: int
) -> None:
    """Deleting is idempotent."""
    await store.put(spec(), body(file), checksum=checksum_of(CONTENT[:100]))
    await store.delete("a/b.mp4")
    await store.delete("a/b.mp4")
    assert await store.head("a/b.mp4") is None


async def test_objects_are_listed_below_a_prefix(store: ObjectStore, spec: Spec, file: int) -> None:
    """Each with its size, also with odd names; stores differ in their order."""
    keys = ["a/b.mp4", "a/b/c d.mp4", "a/b/Z&<é>.mp4", "a/b/🎬.mp4", "a/c.mp4"]
    for size, key in enumerate(keys):
        await store.put(spec(key), body(file, 0, size), checksum=checksum_of(CONTENT[:size]))
    found = {one.key: one.size_bytes async for one in store.list_objects(prefix="a/b")}
    assert found == {key: size for size, key in enumerate(keys) if key.startswith("a/b")}
    assert [one async for one in store.list_objects(prefix="nothing/")] == []


@pytest.mark.parametrize(
    "key",
    ["with space/a b.mp4", "emoji/🎬 é.mp4", "quotes/'\"`.mp4", "percent/100%25+x&y=z.mp4", "a/;?#@.mp4"],
)
async def test_odd_keys_are_kept_as_they_are(store: ObjectStore, spec: Spec, file: int, key: str) -> None:
    """Also in listings of open uploads."""
    await store.put(spec(key), body(file), checksum=checksum_of(CONTENT[:100]))
    head = await store.head(key)
    assert head is not None
    assert head.stored.key == key
    upload = await begin(store, spec(key))
    assert await opened(store, key) == {upload}
    await store.abort(upload)


async def test_odd_metadata_is_kept_as_it_is(store: ObjectStore, spec: Spec, file: int) -> None:
    """ASCII that means something in headers."""
    odd = {"a": "100%25", "b": 'x="y"; z,w', "c-d_e": "in  side"}
    await store.put(spec(**odd), body(file), checksum=checksum_of(CONTENT[:100]))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert dict(head.metadata) == odd


async def test_parts_in_any_order_become_the_object(store: ObjectStore, spec: Spec, file: int) -> None:
    """It is not visible before Complete, and whole after it."""
    upload = await begin(store, spec(transfer="01J"))
    parts = await send(store, upload, file, 3, 1, 2)
    assert [part.checksum for part in parts] == [checksum_of(CONTENT[o : o + n]) for o, n in RANGES.values()]
    assert await store.head("a/b.mp4") is None
    await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert (head.size_bytes, head.checksum) == (len(CONTENT), checksum_of(CONTENT))
    assert head.metadata["transfer"] == "01J"
    assert await opened(store) == set()


async def test_a_part_that_is_sent_twice_counts_once(store: ObjectStore, spec: Spec, file: int) -> None:
    """The last one counts."""
    upload = await begin(store, spec())
    await store.put_part(upload, body(file, 3, PART), number=1)
    parts = await send(store, upload, file, 1, 2, 3)
    await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert head.checksum == checksum_of(CONTENT)


async def test_parts_that_the_store_holds_are_known_by_their_bytes(
    store: ObjectStore, spec: Spec, file: int
) -> None:
    """Only those whose bytes are the ones asked for; they complete the object as if just sent."""
    upload = await begin(store, spec())
    first, second = await send(store, upload, file, 1, 2)
    bodies = {1: body(file, *RANGES[1]), 2: body(file, *RANGES[1]), 3: body(file, *RANGES[3])}
    assert await store.existing_parts(upload, bodies) == [first]
    held = await store.existing_parts(upload, {2: body(file, *RANGES[2])})
    assert held == [second]
    parts = [first, *held, *await send(store, upload, file, 3)]
    await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert head.checksum == checksum_of(CONTENT)


@pytest.mark.usefixtures("honest")
async def test_a_part_must_have_the_bytes_that_were_fingerprinted(
    store: ObjectStore, spec: Spec, file: int
) -> None:
    """Where the file was read before; others are refused, and do not take the place of the right ones."""
    upload = await begin(store, spec())
    known = {n: checksum_of(CONTENT[o : o + size]) for n, (o, size) in RANGES.items()}
    right = {n: replace(body(file, *RANGES[n]), checksum=known[n]) for n in RANGES}
    parts = [await store.put_part(upload, right[n], number=n) for n in RANGES]
    assert [part.checksum for part in parts] == list(known.values())
    with refused(ErrorKind.CORRUPT):
        await store.put_part(upload, replace(right[1], checksum=known[2]), number=1)
    await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    head = await store.head("a/b.mp4")
    assert head is not None
    assert head.checksum == checksum_of(CONTENT)


@pytest.mark.usefixtures("honest")
async def test_complete_refuses_parts_that_do_not_add_up(store: ObjectStore, spec: Spec, file: int) -> None:
    """The file changed while its parts were sent: nothing is visible, the upload stays open."""
    upload = await begin(store, spec())
    parts = await send(store, upload, file, 1, 2, 3)
    with refused(ErrorKind.CORRUPT):
        await store.complete(upload, parts, checksum=checksum_of(CONTENT[1:]))
    assert await store.head("a/b.mp4") is None
    assert await opened(store) == {upload}


@pytest.mark.usefixtures("honest")
async def test_complete_refuses_a_part_that_is_named_wrong(store: ObjectStore, spec: Spec, file: int) -> None:
    """Its answer was tampered with on the way: the ETag is not the one that the store gave."""
    upload = await begin(store, spec())
    first, *others = await send(store, upload, file, 1, 2, 3)
    wrong = [replace(first, etag='"00000000000000000000000000000000"'), *others]
    with refused(ErrorKind.CORRUPT):
        await store.complete(upload, wrong, checksum=checksum_of(CONTENT))
    assert await store.head("a/b.mp4") is None


async def test_another_bucket_is_refused(store: ObjectStore, spec: Spec, file: int) -> None:
    """What was journaled for an old bucket does not land in the new one unseen."""
    elsewhere = replace(spec(), bucket="old-bucket")
    with refused(ErrorKind.INVALID):
        await store.put(elsewhere, body(file), checksum=checksum_of(CONTENT[:100]))
    with refused(ErrorKind.INVALID):
        await store.create(elsewhere)
    assert await opened(store) == set()


async def test_complete_twice_is_success_or_not_found(store: ObjectStore, spec: Spec, file: int) -> None:
    """Servers differ; either way the object is there."""
    upload = await begin(store, spec())
    parts = await send(store, upload, file, 1, 2, 3)
    await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    try:
        again: str = (await store.complete(upload, parts, checksum=checksum_of(CONTENT))).key
    except SidecarError as error:
        again = error.kind
    assert again in {"a/b.mp4", ErrorKind.NOT_FOUND}
    head = await store.head("a/b.mp4")
    assert head is not None
    assert head.checksum == checksum_of(CONTENT)


async def test_abort_drops_an_upload_and_may_be_repeated(store: ObjectStore, spec: Spec, file: int) -> None:
    """An upload that is not there is success."""
    upload = await begin(store, spec())
    await send(store, upload, file, 1)
    await store.abort(upload)
    await store.abort(upload)
    assert await opened(store) == set()


@pytest.mark.usefixtures("honest")
async def test_an_aborted_upload_takes_no_part_and_no_complete(
    store: ObjectStore, spec: Spec, file: int
) -> None:
    """Both say NOT_FOUND, also for a part that is larger than any socket buffer."""
    upload = await begin(store, spec())
    parts = await send(store, upload, file, 1, 2, 3)
    await store.abort(upload)
    with refused(ErrorKind.NOT_FOUND):
        await store.put_part(upload, body(file, 0, PART), number=1)
    with refused(ErrorKind.NOT_FOUND):
        await store.complete(upload, parts, checksum=checksum_of(CONTENT))
    assert await store.head("a/b.mp4") is None


async def test_open_uploads_are_listed_by_prefix(store: ObjectStore, spec: Spec) -> None:
    """Two under one key are two."""
    first, second = await begin(store, spec("x/one")), await begin(store, spec("x/one"))
    other = await begin(store, spec("y/two"))
    assert await opened(store, "x/") == {first, second}
    assert await opened(store) == {first, second, other}
