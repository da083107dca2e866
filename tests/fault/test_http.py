"""HTTP as it is: through fronts with manners of their own, and instead of S3 by others than S3."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from sidecar.core.clock import SystemClock
from sidecar.core.errors import SidecarError
from sidecar.core.model import Part
from sidecar.core.retry import Blame, ProbeAnswer, blame
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from sidecar.settings import from_mapping
from sidecar.sync.convex import open_store
from sidecar.upload.s3 import connection
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload, is_stale
from tests.support.front import Front, Manner, Talk, front_before
from tests.support.http1 import answer
from tests.support.manners import CONNECTIONS, S3_ALONE
from tests.support.memory_store import checksum_of
from tests.support.seaweed import store_on

LARGE = os.urandom(6 * 1024 * 1024)
MANNERS = {**CONNECTIONS, **S3_ALONE}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Body]:
    """Open a file that is large enough for parts, and to be asked about first."""
    path = tmp_path_factory.mktemp("http") / "film.mp4"
    path.write_bytes(LARGE)
    fd = os.open(path, os.O_RDONLY)
    yield Body(fd=fd, offset_bytes=0, length_bytes=len(LARGE))
    os.close(fd)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait shortly for 100 Continue."""
    monkeypatch.setattr(connection, "CONTINUE_SECONDS", 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A bucket, and the store that sees it through a front."""

    bucket: str
    seaweed: SeaweedServer
    store: S3Store
    front: Front

    def spec(self, key: str) -> ObjectSpec:
        """Return the spec of an object."""
        about = {"transfer": key}
        return ObjectSpec(
            bucket=self.bucket, key=key, content_type="video/mp4", cache_control=None, metadata=about
        )

    def versions(self) -> list[tuple[str, int]]:
        """Return every version that the bucket keeps."""
        found = self.seaweed.client().list_object_versions(Bucket=self.bucket)
        return sorted((version["Key"], version["Size"]) for version in found.get("Versions", []))

    def open_uploads(self) -> list[str]:
        """Return the open uploads' IDs."""
        found = self.seaweed.client().list_multipart_uploads(Bucket=self.bucket)
        return [upload["UploadId"] for upload in found.get("Uploads", [])]


@pytest.fixture
async def shop(request: pytest.FixtureRequest, seaweed: SeaweedServer, bucket: str) -> AsyncIterator[Shop]:
    """Put the test's front before a bucket that keeps versions."""
    seaweed.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    async with (
        front_before(seaweed.endpoint_url, request.param) as front,
        store_on(seaweed, bucket, endpoint_url=front.url) as store,
    ):
        yield Shop(bucket=bucket, seaweed=seaweed, store=store, front=front)


async def sent_small(shop: Shop, key: str) -> None:
    """PUT as the stage does: what may have been carried out is looked for."""
    small = Body(fd=-1, offset_bytes=0, length_bytes=100, data=LARGE[:100])
    whole = checksum_of(LARGE[:100])
    try:
        await shop.store.put(shop.spec(key), small, checksum=whole, once=True)
    except SidecarError as error:
        head = await shop.store.head(key)
        if not is_stale(error) or head is None or head.checksum != whole:
            raise


async def opened(shop: Shop, key: str) -> OpenUpload:
    """Create as the stage does: once more where the connection was cut."""
    try:
        return OpenUpload(key=key, upload_id=await shop.store.create(shop.spec(key)))
    except SidecarError as error:
        if not is_stale(error):
            raise
    return OpenUpload(key=key, upload_id=await shop.store.create(shop.spec(key)))


@pytest.mark.parametrize("shop", MANNERS.values(), ids=MANNERS.keys(), indirect=True)
async def test_every_call_succeeds_through_every_front(shop: Shop, large: Body) -> None:
    """The bytes are there, once, and every answer is true."""
    store, whole = shop.store, checksum_of(LARGE)
    await store.probe()
    for number in range(3):
        await sent_small(shop, f"small-{number}")
    await store.put(shop.spec("large"), large, checksum=whole, once=True)
    upload = await opened(shop, "film")
    part = await store.put_part(upload, large, number=1)
    assert [found.etag for found in await store.existing_parts(upload, {1: large})] == [part.etag]
    await store.complete(upload, [part], checksum=whole)
    for key in ("large", "film"):
        head = await store.head(key)
        assert head is not None
        assert (head.size_bytes, head.checksum, head.metadata["transfer"]) == (len(LARGE), whole, key)
    assert abs(store.skew_seconds or 0) < 60
    await store.abort(await opened(shop, "never"))
    await store.delete("small-2")
    listed = [found.key async for found in store.list_objects(prefix="")]
    assert sorted(listed) == ["film", "large", "small-0", "small-1"]
    sizes = {"film": len(LARGE), "large": len(LARGE)}
    assert shop.versions() == [(key, sizes.get(key, 100)) for key in [*sorted(listed), "small-2"]]


@pytest.mark.parametrize("shop", [S3_ALONE["417 to Expect"]], indirect=True)
async def test_a_store_that_knows_no_expect_is_not_asked_twice(shop: Shop, large: Body) -> None:
    """One request more, not one for each body."""
    for number in range(3):
        await shop.store.put(shop.spec(f"k{number}"), large, checksum=checksum_of(LARGE))
    assert len([line for line in shop.front.asked if line.startswith("PUT")]) == 4


@pytest.mark.parametrize("shop", [S3_ALONE["no 100 Continue"]], indirect=True)
async def test_a_store_that_never_says_continue_is_soon_not_waited_for(
    shop: Shop, large: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second for every part would be longer than the part."""
    for number in range(3):
        await shop.store.put(shop.spec(f"k{number}"), large, checksum=checksum_of(LARGE))
    monkeypatch.setattr(connection, "CONTINUE_SECONDS", 3600.0)
    await shop.store.put(shop.spec("k"), large, checksum=checksum_of(LARGE))


PAGE = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Down for maintenance<hr></body></html>"
STRICT = b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>maintenance</body></html>'


def instead(status: int, body: bytes, **headers: str) -> Manner:
    """Answer this to everything, in the remote's place."""

    async def manner(talk: Talk) -> bool:
        said = answer(status, "As It Is", b"" if talk.method == "HEAD" else body, **headers)
        await talk.say(said.raw(("Connection", "close")))
        return False

    return manner


async def nothing_to_say(talk: Talk) -> bool:
    """Say 204 where S3 never does."""
    return await instead(200 if talk.method == "DELETE" else 204, b"")(talk)


ELSEWHERE = "http://192.0.2.1:9000/lessons"
SUCCESSES = {
    "a page": instead(200, PAGE, Content_Type="text/html"),
    "a page with an ETag": instead(200, PAGE, Content_Type="text/html", ETag='"5f3c"'),
    "a page that is XML": instead(200, STRICT, Content_Type="application/xhtml+xml"),
    "nothing": instead(200, b""),
    "JSON": instead(200, b'{"ok": "maintenance"}'),
    "204": nothing_to_say,
}
REFUSALS = {
    **{status: instead(status, PAGE, Content_Type="text/html") for status in (401, 403, 404, 407, 408, 413)},
    **{status: instead(status, PAGE, Content_Type="text/html") for status in (421, 429, 431, 499, 500, 502)},
    **{status: instead(status, PAGE, Content_Type="text/html") for status in (503, 520, 522, 525, 527, 530)},
    302: instead(302, PAGE, Location=ELSEWHERE),
    307: instead(307, PAGE, Location=ELSEWHERE),
    308: instead(308, PAGE, Location=ELSEWHERE),
}


async def refusals(shop: Shop, large: Body) -> dict[str, SidecarError]:
    """Make every call through a front that carries none out; return how each failed."""
    upload_id = shop.seaweed.client().create_multipart_upload(Bucket=shop.bucket, Key="film")["UploadId"]
    shop.seaweed.client().put_object(Bucket=shop.bucket, Key="old", Body=b"old")
    upload, store, whole = OpenUpload(key="film", upload_id=upload_id), shop.store, checksum_of(LARGE)
    part = await _part(shop, upload, large)

    async def listing() -> None:
        async for _ in store.list_objects(prefix=""):
            pass

    async def uploads() -> None:
        async for _ in store.open_uploads(prefix=""):
            pass

    failed: dict[str, SidecarError] = {}
    for name, call in {
        "put": store.put(shop.spec("new"), large, checksum=whole),
        "create": store.create(shop.spec("other")),
        "part": store.put_part(upload, large, number=2),
        "held": store.existing_parts(upload, {1: large}),
        "complete": store.complete(upload, [part], checksum=whole),
        "abort": store.abort(upload),
        "delete": store.delete("old"),
        "list": listing(),
        "uploads": uploads(),
    }.items():
        with pytest.raises(SidecarError) as caught:
            await call
        failed[name] = caught.value
    assert shop.versions() == [("old", 3)]
    assert shop.open_uploads() == [upload_id]
    return failed


async def _part(shop: Shop, upload: OpenUpload, large: Body) -> Part:
    async with store_on(shop.seaweed, shop.bucket) as store:
        return await store.put_part(upload, large, number=1)


@pytest.mark.parametrize("shop", SUCCESSES.values(), ids=SUCCESSES.keys(), indirect=True)
async def test_a_success_that_is_not_s3s_is_none(shop: Shop, large: Body) -> None:
    """Whatever it looks like, nothing is believed, it is named, and no object is at fault."""
    for name, error in (await refusals(shop, large)).items():
        fault = blame(error.kind, redacted=error.redacted, probe=ProbeAnswer(), others_succeeded=True)
        assert fault is not Blame.OBJECT, (name, error)


@pytest.mark.parametrize("shop", REFUSALS.values(), ids=REFUSALS.keys(), indirect=True)
async def test_a_refusal_that_is_not_s3s_is_told_in_its_own_words(
    shop: Shop, large: Body, request: pytest.FixtureRequest
) -> None:
    """The status decides, the page is quoted, and a redirect names the host that gets nothing."""
    status = request.node.callspec.id
    for name, error in (await refusals(shop, large)).items():
        assert status in error.message, (name, error)
        assert "maintenance" in error.message, (name, error)
        assert status[0] != "3" or "192.0.2.1:9000" in (error.hint or "")
        assert status != "407" or "a proxy answered" in error.message


@pytest.mark.parametrize("manner", CONNECTIONS.values(), ids=CONNECTIONS.keys())
async def test_every_call_of_convex_succeeds_through_every_front(
    convex_server: ConvexServer, manner: Manner
) -> None:
    """Its calls may arrive twice; what is returned is the server's word."""
    async with front_before(convex_server.url, manner) as front:
        auth = {"mode": "deploy_key", "deploy_key": convex_server.admin_key}
        settings = from_mapping(
            {
                "watch": [{"root": "/renders"}],
                "s3": {"bucket": "lessons"},
                "convex": {"url": front.url, "auth": auth, "timeout": "10s"},
            }
        ).convex
        name = f"front-{id(manner)}"
        async with open_store(settings, sidecar_id=name, clock=SystemClock(), version="1") as store:
            first = await store.register(sidecar_id=name, journal_id="j1")
            for _ in range(3):
                await store.probe()
            assert (await store.register(sidecar_id=name, journal_id="j1")) == first
            assert abs(store.skew_seconds or 0) < 60
