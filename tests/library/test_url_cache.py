"""Where an asset is, is remembered for a while: never an old place, and not at the price of an outage."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from sidecar.core.clock import SystemClock
from sidecar.library.cached_asset import CachedAsset, UrlCache
from sidecar.library.security import AccessDeniedError, SecurityManager
from sidecar.library.url_cache import (
    AssetLookup,
    MemoryUrlCache,
    NoUrlCache,
    open_url_cache,
)
from sidecar.local.ports import free_ports
from sidecar.settings.urls import Urls
from tests.support.clock import ManualClock
from tests.support.patience import DEADLINE_SECONDS

if TYPE_CHECKING:
    from sidecar.library.redis_cache import RedisUrlCache

redis_cache = pytest.importorskip(
    "sidecar.library.redis_cache", reason="redis-py is not installed (pip install 'render-sidecar[redis]')"
)
SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(
    SERVER is None, reason="redis-server is not installed (apt-get install redis-server)"
)
ASSET = CachedAsset(
    id="a", bucket="lessons", key="k.1.mp4", version=1, public_url="https://cdn.example.com/k.1.mp4"
)
SHORT_SECONDS = 0.25
NEWER = replace(ASSET, key="k.2.mp4", version=2)


class Server:
    """A Redis of the test's own, without a disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        (self.port,) = free_ports(1)
        self._argv = [str(SERVER), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._argv += ["--dir", str(folder), *options]
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        pytest.fail("redis-server did not start")

    def stop(self) -> None:
        """Kill it; what it had is gone."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Start one."""
    started = Server(tmp_path)
    yield started
    started.stop()


Opened = Callable[..., "RedisUrlCache"]


@pytest.fixture
async def cache_on(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    """Return what opens caches in a server, which may be slow here without being away."""
    monkeypatch.setattr(redis_cache, "CALL_SECONDS", DEADLINE_SECONDS)
    opened: list[RedisUrlCache] = []

    def open_one(
        server: Server, clock: Any = None, scope: str = "x lessons", **settings: Any
    ) -> RedisUrlCache:
        urls = Urls.model_validate({"cache": server.url, **settings})
        opened.append(redis_cache.RedisUrlCache(urls, scope=scope, clock=clock or SystemClock()))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=needs_redis)])
async def cache(request: pytest.FixtureRequest, cache_on: Opened) -> UrlCache:
    """Open either."""
    if request.param == "memory":
        return MemoryUrlCache(seconds=60, clock=ManualClock())
    return cache_on(request.getfixturevalue("server"))


async def test_what_is_known_is_not_asked_again(cache: UrlCache) -> None:
    """Once per asset; of what is not there, each time."""
    asked: list[str] = []

    async def ask(asset_id: str) -> CachedAsset | None:
        asked.append(asset_id)
        return ASSET if asset_id == "a" else None

    lookup = AssetLookup(cache=cache, ask=ask)
    assert [await lookup.find("a") for _ in range(3)] == [ASSET] * 3
    assert [await lookup.find("b") for _ in range(2)] == [None, None]
    assert asked == ["a", "b", "b"]


async def test_a_replaced_asset_is_never_seen_as_it_was(cache: UrlCache) -> None:
    """Not even by who asked Convex before the replacement and puts the answer in after it."""
    answer = asyncio.Event()

    async def slow(_asset_id: str) -> CachedAsset:
        await answer.wait()
        return ASSET

    async def never(_asset_id: str) -> CachedAsset:
        raise AssertionError

    late = asyncio.create_task(AssetLookup(cache=cache, ask=slow).find("a"))
    lookup = AssetLookup(cache=cache, ask=never)
    await lookup.replaced(NEWER)
    answer.set()
    await late
    assert await lookup.find("a") == NEWER


async def test_who_hears_late_of_a_replacement_takes_nothing_back(cache: UrlCache) -> None:
    """Two callers of one program may tell the same floor, one after the newer asset came in."""
    await cache.forget("a", before=NEWER.version)
    await cache.put(NEWER)
    await cache.forget("a", before=NEWER.version)
    assert await cache.get("a") == NEWER


async def test_a_removed_asset_is_forgotten(cache: UrlCache) -> None:
    """Until it is there anew."""
    lookup = AssetLookup(cache=cache, ask=lambda _: asyncio.sleep(0))
    await lookup.replaced(NEWER)
    await lookup.removed("a", version=2)
    await cache.put(NEWER)
    assert await lookup.find("a") is None
    again = replace(ASSET, version=3)
    await cache.put(again)
    assert await lookup.find("a") == again


def test_a_signed_address_has_no_place_in_it() -> None:
    """What is kept is exactly this."""
    assert [one.name for one in fields(CachedAsset)] == ["id", "bucket", "key", "version", "public_url"]


async def test_an_entry_lives_for_a_bounded_time() -> None:
    """And there are at most so many, the longest unused going first."""
    clock = ManualClock()
    cache = MemoryUrlCache(seconds=60, clock=clock, most=2)
    await cache.put(ASSET)
    clock.advance(59)
    assert await cache.get("a") == ASSET
    clock.advance(1)
    assert await cache.get("a") is None
    for name in ("a", "b"):
        await cache.put(replace(ASSET, id=name))
    assert await cache.get("a")
    await cache.put(replace(ASSET, id="c"))
    assert [await cache.get(name) is not None for name in "abc"] == [True, False, True]


async def test_who_may_see_an_asset_is_asked_before_the_cache() -> None:
    """An entry gives nobody access."""
    cache = MemoryUrlCache(seconds=60, clock=ManualClock())
    await cache.put(ASSET)
    calls: list[str] = []

    class Platform:
        """A platform whose rules admit nobody."""

        @property
        def loop(self) -> Any:
            """None of these calls is synchronous."""
            raise AssertionError

        @property
        def reading(self) -> Any:
            """Ask this."""
            return self

        @property
        def assets(self) -> Any:
            """Sign with this."""
            return self

        async def ask(self, _what: str, _question: Callable[[Any], Any]) -> Any:
            """Refuse."""
            calls.append("asked")
            return False

        async def sign_judged(
            self, asset_id: str, judge: Callable[[], Any], *, expiration: int
        ) -> str | None:
            """Take what is cached, once it is admitted."""
            if not await judge():
                return None
            calls.append("cache")
            return str((await cache.get(asset_id), expiration))

    with pytest.raises(AccessDeniedError):
        await SecurityManager(Platform()).generate_secure_asset_url("a", None)
    assert calls == ["asked"]


@needs_redis
async def test_programs_share_what_is_known_for_a_bounded_time(server: Server, cache_on: Opened) -> None:
    """Each deployment and bucket for itself; Redis itself lets go of it."""
    ours, theirs = cache_on(server, cache_for=0.3), cache_on(server)
    await ours.put(ASSET)
    assert await theirs.get("a") == ASSET
    other = cache_on(server, scope="y lessons")
    assert await other.get("a") is None
    deadline = time.monotonic() + DEADLINE_SECONDS
    while await theirs.get("a") is not None:
        assert time.monotonic() < deadline


@needs_redis
@pytest.mark.parametrize("gone", ["killed", "hanging"])
async def test_a_redis_that_is_away_costs_little_and_nothing_goes_wrong(
    server: Server, gone: str, cache_on: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three calls are tried, each for a quarter of a second; then it rests, and one warning names it."""
    clock = ManualClock()
    cache = cache_on(server, clock)
    lookup = AssetLookup(cache=cache, ask=lambda _: _returned(NEWER))
    await cache.put(NEWER)
    monkeypatch.setattr(redis_cache, "CALL_SECONDS", SHORT_SECONDS)
    server.process.send_signal(signal.SIGKILL if gone == "killed" else signal.SIGSTOP)
    with structlog.testing.capture_logs() as events:
        assert [await lookup.find("a") for _ in range(20)] == [NEWER] * 20
    assert [event["event"] for event in events] == ["url_cache_is_away"]
    assert "redis://" not in str(events)
    assert cache._failures == redis_cache.FAILURES
    monkeypatch.setattr(redis_cache, "CALL_SECONDS", DEADLINE_SECONDS)
    if gone == "hanging":
        server.process.send_signal(signal.SIGCONT)
    else:
        server.stop()
        server.start()
    with structlog.testing.capture_logs() as events:
        clock.advance(redis_cache.REST_SECONDS)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while await cache.get("a") != NEWER:
            assert time.monotonic() < deadline
            await lookup.find("a")
            clock.advance(redis_cache.REST_SECONDS)
    assert "url_cache_is_back" in [event["event"] for event in events]


async def _returned(asset: CachedAsset) -> CachedAsset:
    return asset


@needs_redis
async def test_what_redis_did_not_hear_is_not_believed(
    server: Server, cache_on: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement during an outage: the old entry goes before anything else is asked."""
    clock = ManualClock()
    cache, other = cache_on(server, clock), cache_on(server)
    await cache.put(ASSET)
    monkeypatch.setattr(redis_cache, "CALL_SECONDS", SHORT_SECONDS)
    server.process.send_signal(signal.SIGSTOP)
    for _ in range(redis_cache.FAILURES):
        await cache.get("b")
    await cache.forget("a", before=2)
    server.process.send_signal(signal.SIGCONT)
    monkeypatch.setattr(redis_cache, "CALL_SECONDS", DEADLINE_SECONDS)
    assert await cache.get("a") is None  # Redis still rests
    deadline = time.monotonic() + DEADLINE_SECONDS
    while cache._owed:
        assert time.monotonic() < deadline
        clock.advance(redis_cache.REST_SECONDS)
        assert await cache.get("a") is None
    assert await other.get("a") is None
    await other.put(ASSET)
    assert await other.get("a") is None


@needs_redis
async def test_what_redis_has_not_heard_yet_is_not_believed_either(
    server: Server, cache_on: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of much that was replaced Redis is told some at each call; the rest is known here."""
    monkeypatch.setattr(redis_cache, "_PAID_AT_ONCE", 1)
    clock = ManualClock()
    cache = cache_on(server, clock)
    await cache.put(ASSET)
    cache._rests_until = clock.monotonic() + 1
    for asset_id in ("b", "c", "a"):
        await cache.forget(asset_id, before=2)
    clock.advance(2)
    assert [await cache.get("a") for _ in range(4)] == [None] * 4
    assert not cache._owed


@needs_redis
async def test_more_than_can_be_remembered_makes_all_doubtful(
    server: Server, monkeypatch: pytest.MonkeyPatch, cache_on: Opened
) -> None:
    """Until every entry of that time has ended."""
    monkeypatch.setattr(redis_cache, "OWED_MAX", 3)
    clock = ManualClock()
    cache = cache_on(server, clock)
    await cache.put(ASSET)
    cache._rests_until = clock.monotonic() + 1
    for number in range(5):
        await cache.forget(f"b{number}", before=2)
    clock.advance(2)
    assert await cache.get("a") is None
    clock.advance(60)
    assert await cache.get("a") == ASSET


@needs_redis
@pytest.mark.parametrize(
    "value",
    [
        b"", b"1 ", b"1 null", b"1 {", b"x", b"1 []", b'1 {"id": "a"}',
        b"1 " + json.dumps({"id": "b", "bucket": "l", "key": "k", "version": 1, "public_url": "u"}).encode(),
        b"1 " + json.dumps({"id": "a", "bucket": "l", "key": "", "version": 1, "public_url": "u"}).encode(),
        b"1 " + json.dumps({"id": "a", "bucket": "l", "key": 7, "version": 1, "public_url": "u"}).encode(),
    ],
)  # fmt: skip
async def test_a_damaged_or_foreign_value_is_none(server: Server, value: bytes, cache_on: Opened) -> None:
    """And is written over."""
    cache = cache_on(server)
    await cache._connected().set(cache._prefix + "a", value)
    assert await cache.get("a") is None
    await cache.put(ASSET)
    assert await cache.get("a") == ASSET


@needs_redis
async def test_answers_are_not_mixed_up_when_callers_give_up(server: Server, cache_on: Opened) -> None:
    """Hundreds of look-ups on few connections, every other one cancelled in its middle."""
    cache = cache_on(server)
    names = [f"asset-{number}" for number in range(40)]
    for name in names:
        await cache.put(replace(ASSET, id=name, key=f"{name}.mp4"))
    for _ in range(5):
        tasks = [asyncio.create_task(cache.get(name)) for name in names]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for name, asset in zip(names, found, strict=True):
            assert not isinstance(asset, CachedAsset) or asset.key == f"{name}.mp4"


@needs_redis
async def test_the_password_is_read_for_each_connection_and_told_nobody(
    tmp_path: Path, cache_on: Opened
) -> None:
    """A file that is not there yet is an outage; a wrong password is one, too."""
    file = tmp_path / "password"
    server = Server(tmp_path, "--requirepass", "s3cret")
    clock = ManualClock()
    cache = cache_on(server, clock, redis_password_file=file)
    with structlog.testing.capture_logs() as events:
        for text in (None, "wrong", "s3cret"):
            if text is not None:
                file.write_text(text)
                os.utime(file, (1, len(text)))
            await cache.put(ASSET)
            assert (await cache.get("a") is not None) is (text == "s3cret")
            clock.advance(redis_cache.REST_SECONDS)
    assert not {"wrong", "s3cret"} & set(str(events).split("'"))
    server.stop()


def test_the_settings_say_which_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis without its extra is one sentence; a password in an address is refused."""
    clock = ManualClock()
    assert isinstance(open_url_cache(Urls(cache="none"), scope="", clock=clock), NoUrlCache)
    assert isinstance(open_url_cache(Urls(), scope="", clock=clock), MemoryUrlCache)
    assert isinstance(
        open_url_cache(Urls(cache="rediss://r:1/0"), scope="", clock=clock), redis_cache.RedisUrlCache
    )
    for wrong in ("redis://:secret@r", "redis://r?x=1", "http://r", "redis://", "redis://r:x"):
        with pytest.raises(ValueError, match=r"redis_password|write none, memory or|is no address"):
            Urls(cache=wrong)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "sidecar.library.redis_cache")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'render-sidecar\[redis\]'"):
        open_url_cache(Urls(cache="redis://r"), scope="", clock=clock)
