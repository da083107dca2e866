"""Synchronous code and coroutines, closed and forked platforms: what cannot work says so in one sentence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, assert_type

import pytest

import sidecar
from sidecar import AssetReference, AssetType, ClosedError, ForkedError, LibraryError, WrongLoopError
from sidecar import settings as sidecar_settings
from sidecar.library import connection
from sidecar.library.reading import Reading

Settings = dict[str, Any]
OFF: Settings = {"s3": {"bucket": "none"}, "convex": {"sync": "off"}}


def test_synchronous_code_stores_on_the_loop_thread(settings: Settings, tmp_path: Path) -> None:
    """Two platforms of one process share the thread."""
    source = tmp_path / "scene.py"
    source.write_text("print()")
    with sidecar.open(settings) as platform, sidecar.open(settings) as other:
        found = platform.assets.store_scene_asset_sync(
            "intro", AssetType.SOURCE_CODE, source, session_id="p/s"
        )
        assert_type(found, AssetReference)
        assert platform.loop is other.loop
    assert found.version == 1


async def test_a_synchronous_call_refuses_inside_a_running_loop(tmp_path: Path) -> None:
    """It would block the very loop that it waits for."""
    async with sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as platform:
        with pytest.raises(WrongLoopError, match="await the coroutine instead"):
            platform.assets.get_asset_url_sync("id")
        with pytest.raises(WrongLoopError), sidecar.open(OFF):
            pass


async def test_a_platform_of_another_loop_says_so(tmp_path: Path) -> None:
    """What lives on the loop thread is not awaited elsewhere; nor is one platform opened twice."""
    platform = sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}})
    await asyncio.to_thread(platform.__enter__)
    with pytest.raises(WrongLoopError, match="another event loop"):
        await platform.assets.get_asset_url("id")
    with pytest.raises(LibraryError, match="open already"):
        await platform.__aenter__()
    await asyncio.to_thread(platform.__exit__)


async def test_a_platform_that_is_not_open_says_so(tmp_path: Path) -> None:
    """Before its block and after it."""
    platform = sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}})
    with pytest.raises(ClosedError, match="with"):
        await platform.assets.get_asset_url("id")
    async with platform:
        pass
    with pytest.raises(ClosedError, match="with"):
        await platform.assets.store_scene_asset("s", AssetType.THUMBNAIL, "x.png", session_id="p/s")


async def test_every_call_after_the_block_says_that_the_platform_is_closed(tmp_path: Path) -> None:
    """Coroutines and twins alike; a twin does not open it again in silence."""
    async with sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as platform:
        pass
    with pytest.raises(ClosedError, match="not open"):
        await platform.assets.get_asset_url("id")
    with pytest.raises(ClosedError, match="not open"):
        await platform.storage.presign("key")
    with pytest.raises(ClosedError, match="not open"):
        await asyncio.to_thread(platform.storage.presign_sync, "key")
    with pytest.raises(ClosedError, match="not open"):
        await platform.__aexit__()


async def test_what_could_not_be_opened_opens_at_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not open already."""

    class FailingOnce(Reading):
        failures = 1

        def __init__(self, settings: sidecar_settings.Settings) -> None:
            if FailingOnce.failures:
                FailingOnce.failures -= 1
                raise OSError("no descriptor is left")
            super().__init__(settings)

    monkeypatch.setattr(connection, "Reading", FailingOnce)
    platform = sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}})
    with pytest.raises(OSError, match="no descriptor"):
        await platform.__aenter__()
    with pytest.raises(ClosedError, match="not open"):
        await platform.assets.get_asset_url("id")
    async with platform:
        assert platform.loop is asyncio.get_running_loop()


async def test_who_waits_may_ask_until_the_platform_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is delivered within the grace is told as delivered: that asks the cache."""
    platform = sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}})
    await platform.__aenter__()
    asked = list[object]()

    async def closing() -> None:
        asked.append((platform.reading, platform.delivery, platform.loop))

    monkeypatch.setattr(platform.delivery, "close", closing)
    await platform.__aexit__()
    assert len(asked) == 1


def test_a_fork_is_told_to_open_one_of_its_own(tmp_path: Path) -> None:
    """A prefork worker opens after its fork."""
    with sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as platform:
        read, write = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                platform.assets.get_asset_url_sync("id")
            except ForkedError as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.close(write)
        said = os.read(read, 1000).decode()
        os.close(read)
        os.waitpid(pid, 0)
    assert "open one in the child" in said


def test_a_fork_that_ends_in_the_ordinary_way_ends_well(tmp_path: Path) -> None:
    """It leaves the block of its parent's platform by an error of its own; the parent stores on."""
    script = tmp_path / "forks.py"
    source = tmp_path / "a.py"
    source.write_text("print()")
    script.write_text(f"""
import os, sys, sidecar
keys = {{"access_key_id": "a", "secret_access_key": "b"}}
s3 = {{"bucket": "none", "endpoint_url": "http://127.0.0.1:9", **keys}}
off = {{"s3": s3, "convex": {{"sync": "off"}}, "shutdown": {{"grace": "10ms"}}}}
with sidecar.open(off | {{"journal": {{"path": "{tmp_path}/j.db"}}}}) as platform:
    store = platform.assets.store_scene_asset_sync
    store("intro", "source_code", "{source}", session_id="p/s", wait=False)
    if (child := os.fork()) == 0:
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    store("outro", "source_code", "{source}", session_id="p/s", wait=False)
""")
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "3\n"


def test_importing_sidecar_loads_nothing_heavy() -> None:
    """Names are loaded when they are asked for: counted, since a busy machine's milliseconds say little."""
    script = (
        "import sys, typing, importlib; before = set(sys.modules); import sidecar\n"
        "print(*(set(sys.modules) - before)); assert 'open' in dir(sidecar)\n"
        "from sidecar import AssetType, UrlType; print('pydantic' in sys.modules)\n"
        "from sidecar import *; print(repr(open('/dev/null').read()))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:3] == ["sidecar", "False", "''"]


def test_every_public_name_is_there() -> None:
    """A name in ``__all__`` that nobody can import would be found by a stranger first."""
    assert [name for name in sidecar.__all__ if getattr(sidecar, name, None) is None] == []
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(sidecar, "no_such_name")  # noqa: B009 - a type checker knows that it is not there
    stub = Path(sidecar.__file__).with_name("__init__.pyi").read_text()
    assert (
        stub.partition("__all__ = [")[2] == "".join(f'\n    "{name}",' for name in sidecar.__all__) + "\n]\n"
    )
    assert asyncio.iscoroutinefunction(sidecar.AssetManager.store_scene_asset)
    assert not asyncio.iscoroutinefunction(sidecar.AssetManager.store_scene_asset_sync)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ({"scene_id": "a\0b"}, ValueError),
        ({"scene_id": 5}, TypeError),
        ({"session_id": "lesson"}, ValueError),
        ({"name": "a/b.py"}, ValueError),
        ({"name": ""}, ValueError),
        ({"index": 1.5}, TypeError),
        ({"content_type": "x\r\ny: z"}, ValueError),
        ({"metadata": {"$a": "x"}}, ValueError),
        ({"asset_type": "movie"}, ValueError),
    ],
)
async def test_what_no_remote_would_take_is_refused_at_the_call(
    tmp_path: Path, what: dict[str, Any], error: type[Exception]
) -> None:
    """The argument is named, and nothing of it is journaled."""
    source = tmp_path / "a.py"
    source.write_text("print()")
    said: dict[str, Any] = {"scene_id": "intro", "asset_type": AssetType.SOURCE_CODE, "session_id": "p/s"}
    async with sidecar.open(OFF | {"journal": {"path": str(tmp_path / "j.db")}}) as platform:
        with pytest.raises(error, match=next(iter(what))):
            await platform.assets.store_scene_asset(path=source, wait=False, **said | what)
        with pytest.raises(ValueError, match="key is empty"):
            await platform.storage.upload(source, "", "p/s/intro", "scene")
    assert list(tmp_path.glob("j.db.lib/*")) == []
