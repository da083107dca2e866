"""Bodies go by our own client or by the client library, plain or in TLS: the server sees no difference."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.core.errors import ErrorKind, SidecarError
from sidecar.core.model import MIB
from sidecar.local.seaweed import SeaweedServer
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload
from tests.support.memory_store import checksum_of
from tests.support.outside import Authority, tls_before
from tests.support.seaweed import store_on

LARGE = os.urandom(5 * MIB + 1)
SMALL = LARGE[:1000]
KEYS = ("a b+%é/語~*'().mp4", "a/=,;:@&$!?#[]<>.mp4", "x" * 200)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Open a file of one part."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(LARGE)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(params=[(tls, by) for tls in ("plain", "TLS") for by in ("ours", "the library's")])
async def store(
    request: pytest.FixtureRequest, seaweed: SeaweedServer, bucket: str, tmp_path: Path
) -> AsyncIterator[S3Store]:
    """Open one store after the other, each on an empty bucket."""
    tls, by = request.param
    async with AsyncExitStack() as stack:
        changes = {}
        if tls == "TLS":
            authority = Authority(tmp_path)
            front = tls_before(
                urlsplit(seaweed.endpoint_url).port or 0, authority.server_context("127.0.0.1")
            )
            port = await stack.enter_async_context(front)
            changes = {"endpoint_url": f"https://127.0.0.1:{port}", "ca_bundle": str(authority.pem)}
        opened = await stack.enter_async_context(store_on(seaweed, bucket, **changes))
        if by != "ours":
            opened._calls._bodies = opened._calls._client
        yield opened


def spec(bucket: str, key: str = "k.mp4") -> ObjectSpec:
    """Return the spec of an object."""
    about = {"transfer": "01J", "title": "caf%C3%A9  au lait"}
    return ObjectSpec(
        bucket=bucket, key=key, content_type="video/mp4", cache_control="no-cache", metadata=about
    )


@pytest.mark.parametrize("read_before", [True, False])
async def test_a_body_is_stored_as_it_was_described(
    store: S3Store, seaweed: SeaweedServer, bucket: str, file: int, *, read_before: bool
) -> None:
    """Under odd keys, small and large, once; bytes that are others are refused."""
    data = SMALL if read_before else None
    small = Body(fd=-1 if read_before else file, offset_bytes=0, length_bytes=len(SMALL), data=data)
    for key in KEYS:
        await store.put(spec(bucket, key), small, checksum=checksum_of(SMALL), once=True)
        got = seaweed.client().get_object(Bucket=bucket, Key=key)
        assert (got["Body"].read(), got["ContentType"], got["CacheControl"]) == (
            SMALL,
            "video/mp4",
            "no-cache",
        )
        assert got["Metadata"] == dict(spec(bucket).metadata)
    with pytest.raises(SidecarError) as there:
        await store.put(spec(bucket, KEYS[0]), small, checksum=checksum_of(SMALL), once=True)
    assert (there.value.kind, there.value.code) == (ErrorKind.CONFLICT, "PreconditionFailed")
    with pytest.raises(SidecarError) as other:
        await store.put(spec(bucket), small, checksum=checksum_of(LARGE))
    assert (other.value.kind, other.value.maybe_done) == (ErrorKind.CORRUPT, False)
    assert await store.head("k.mp4") is None


async def test_a_part_is_stored_under_its_number(
    store: S3Store, seaweed: SeaweedServer, bucket: str, file: int
) -> None:
    """And its upload's own name, which is the store's to choose."""
    large = Body(fd=file, offset_bytes=0, length_bytes=len(LARGE))
    await store.put(spec(bucket, "whole"), large, checksum=checksum_of(LARGE))
    upload = OpenUpload(key=KEYS[0], upload_id=await store.create(spec(bucket, KEYS[0])))
    parts = [await store.put_part(upload, large, number=number) for number in (1, 2)]
    await store.complete(upload, parts, checksum=checksum_of(LARGE + LARGE))
    for key, data in (("whole", LARGE), (KEYS[0], LARGE + LARGE)):
        assert seaweed.client().get_object(Bucket=bucket, Key=key)["Body"].read() == data
