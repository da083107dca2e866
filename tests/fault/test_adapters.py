"""Each call of each port, through every fault: it returns what is true or raises SidecarError, in time."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sidecar.core import standstill
from sidecar.core.clock import SystemClock
from sidecar.core.errors import SidecarError
from sidecar.local.convex_server import ConvexServer
from sidecar.local.seaweed import SeaweedServer
from sidecar.settings import from_mapping
from sidecar.sync.convex import ConvexStore, open_store
from sidecar.upload.s3 import calls
from sidecar.upload.s3.object_store import S3Store
from sidecar.upload.store import Body, ObjectSpec, OpenUpload
from tests.support.canary import Canary
from tests.support.faults import Dialect, Fault
from tests.support.loopthread import LoopThread
from tests.support.memory_store import checksum_of
from tests.support.proxy import FaultProxy
from tests.support.seaweed import store_on

LIMIT_SECONDS = 0.7  # instead of 60 and 90
PART = os.urandom(100_000)  # the last one may be small
FORGED = {Fault.WRONG_ETAG, Fault.ERROR_IN_200, Fault.ERROR_IN_200_AFTER, Fault.EMPTY_200, Fault.FOREIGN_PAGE}
# aiobotocore leaves a connection that broke in an answer's body to the garbage collector, which closes it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
S3_ONLY = {Fault.WRONG_ETAG, Fault.REDIRECT_REGION, Fault.EARLY_REFUSAL, Fault.RESET_IN_BODY}


@pytest.fixture
def canary(network: LoopThread) -> Iterator[Canary]:
    """Listen where redirects point."""
    canary = Canary(network)
    yield canary
    canary.stop()


@pytest.fixture
def proxy_to(network: LoopThread, canary: Canary) -> Iterator[Callable[[str, str], FaultProxy]]:
    """Put proxies before servers."""
    made: list[FaultProxy] = []

    def put(name: str, url: str) -> FaultProxy:
        where = urlsplit(url)
        dialect = Dialect(name=name, elsewhere=canary.url)
        proxy = FaultProxy(network, dialect, (where.hostname or "", where.port or 0))
        proxy.start()
        made.append(proxy)
        return proxy

    yield put
    for proxy in made:
        proxy.clear()
        proxy.stop()


@pytest.fixture
async def objects(
    seaweed: SeaweedServer,
    bucket: str,
    proxy_to: Callable[[str, str], FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[S3Store, FaultProxy]]:
    """Open the S3 adapter behind a proxy."""
    monkeypatch.setattr(calls, "STALL_SECONDS", LIMIT_SECONDS * 2)
    monkeypatch.setattr(calls, "PROBE_SECONDS", LIMIT_SECONDS * 2)
    monkeypatch.setattr(calls, "COMPLETE_SECONDS", LIMIT_SECONDS * 2)
    monkeypatch.setattr(standstill, "FORWARD_SECONDS_MAX", LIMIT_SECONDS)
    proxy = proxy_to("s3", seaweed.endpoint_url)
    async with store_on(seaweed, bucket, endpoint_url=proxy.url) as store:
        yield store, proxy
    gc.collect()


async def outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a call returned, or its SidecarError; anything else is the test's failure."""
    began = time.monotonic()
    try:
        result = await call()
    except SidecarError as error:
        result = error
    assert time.monotonic() - began < 20
    assert not isinstance(result, SidecarError) or (result.operation and "\n" not in result.message)
    return result


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_call_of_the_object_store_tells_the_truth(
    objects: tuple[S3Store, FaultProxy], fault: Fault, bucket: str, canary: Canary, tmp_path: Path
) -> None:
    """What it returns is there, with these bytes; what failed said so; nobody else heard our keys."""
    store, proxy = objects
    path = tmp_path / "part"
    path.write_bytes(PART)
    fd = os.open(path, os.O_RDONLY)
    try:
        await _every_call(store, proxy, fault, bucket, Body(fd=fd, offset_bytes=0, length_bytes=len(PART)))
    finally:
        os.close(fd)
    assert bytes(canary.heard) == b""


async def _every_call(store: S3Store, proxy: FaultProxy, fault: Fault, bucket: str, body: Body) -> None:
    small = Body(fd=-1, offset_bytes=0, length_bytes=100, data=PART[:100])
    whole, part = checksum_of(PART[:100]), checksum_of(PART)

    def spec(key: str) -> ObjectSpec:
        return ObjectSpec(
            bucket=bucket, key=key, content_type="video/mp4", cache_control=None, metadata={"transfer": key}
        )

    async def faulted(call: Callable[[], Awaitable[Any]]) -> Any:
        proxy.arm(fault)
        result = await outcome(call)
        proxy.clear()
        return result

    assert isinstance(await faulted(store.probe), SidecarError | None)
    put = await faulted(lambda: store.put(spec("put"), small, checksum=whole))
    head = await store.head("put")
    if not isinstance(put, SidecarError):
        assert head is not None
        assert (head.size_bytes, head.checksum) == (100, whole)
    elif not put.maybe_done:
        assert head is None
    created = await faulted(lambda: store.create(spec("film")))
    upload_id = created if isinstance(created, str) else await store.create(spec("film"))
    upload = OpenUpload(key="film", upload_id=upload_id)
    stored = await faulted(lambda: store.put_part(upload, body, number=1))
    if isinstance(stored, SidecarError) or fault is Fault.WRONG_ETAG:
        stored = await store.put_part(upload, body, number=1)
    completed = await faulted(lambda: store.complete(upload, [stored], checksum=part))
    film = await store.head("film")
    if not isinstance(completed, SidecarError) or film is not None:
        assert film is not None
        assert (film.size_bytes, film.checksum) == (len(PART), part)
        assert not isinstance(completed, SidecarError) or completed.maybe_done
    found = await faulted(lambda: store.head("film"))
    assert (
        isinstance(found, SidecarError) or found == film or fault in FORGED
    )  # a HEAD has no body to judge by
    await faulted(lambda: _listed(store))
    await faulted(lambda: store.abort(upload))
    deleted = await faulted(lambda: store.delete("put"))
    assert isinstance(deleted, SidecarError) or await store.head("put") is None


async def _listed(store: S3Store) -> list[OpenUpload]:
    return [found async for found in store.open_uploads(prefix="")]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in S3_ONLY])
async def test_every_call_of_the_metadata_store_tells_the_truth(
    convex_server: ConvexServer,
    proxy_to: Callable[[str, str], FaultProxy],
    fault: Fault,
    canary: Canary,
) -> None:
    """A registration that is returned is the server's; what failed said so; nobody else heard our key."""
    proxy = proxy_to("convex", convex_server.url)
    auth = {"mode": "deploy_key", "deploy_key": convex_server.admin_key}
    settings = from_mapping(
        {
            "watch": [{"root": "/renders"}],
            "s3": {"bucket": "lessons"},
            "convex": {"url": proxy.url, "auth": auth, "timeout": "700ms"},
        }
    ).convex
    name = f"adapter-{fault.name.lower()}"
    async with open_store(settings, sidecar_id=name, clock=SystemClock(), version="1") as store:
        await _every_metadata_call(store, proxy, fault, name)
    assert bytes(canary.heard) == b""


async def _every_metadata_call(store: ConvexStore, proxy: FaultProxy, fault: Fault, name: str) -> None:
    truth = await store.register(sidecar_id=name, journal_id="j1")
    for call in (store.probe, lambda: store.register(sidecar_id=name, journal_id="j1")):
        proxy.arm(fault)
        result = await outcome(call)
        proxy.clear()
        assert result is None or isinstance(result, SidecarError) or result == truth
