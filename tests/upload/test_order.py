"""When files arrive over a line that is too narrow for all of them, on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.clock import Clock
from sidecar.core.model import Part, StoredObject, Transfer
from sidecar.core.upload_order import CROWD
from sidecar.journal.stores.roots import Roots
from sidecar.upload.limits import MemoryBudget
from sidecar.upload.s3.uplink import Uplink
from sidecar.upload.store import Body, ObjectSpec, OpenUpload
from tests.support import journals
from tests.support.memory_store import MemoryStore
from tests.support.virtual import InlineWriter, virtually

from .rig import Hooked, Rig, content, running

UNIT = 1024  # bytes of a part; the line carries one a second
FILM_PARTS = 20
FILM = FILM_PARTS * UNIT
SMALL = UNIT // 2
LOOK_SECONDS = 0.25

Arrivals = Mapping[str, float]


@dataclass(slots=True)
class NarrowStore(MemoryStore):
    """All bodies on their way share one line."""

    left: list[list[float]] = field(default_factory=list)

    async def put(self, spec: ObjectSpec, body: Body, *, checksum: str, once: bool = False) -> StoredObject:
        """Store, once it is here."""
        await self._carried(body.length_bytes)
        return await MemoryStore.put(self, spec, body, checksum=checksum, once=once)

    async def put_part(self, upload: OpenUpload, body: Body, *, number: int) -> Part:
        """Store, once it is here."""
        await self._carried(body.length_bytes)
        return await MemoryStore.put_part(self, upload, body, number=number)

    async def _carried(self, length_bytes: int) -> None:
        mine = [float(length_bytes)]
        self.left.append(mine)
        try:
            while mine[0] > 0:
                await asyncio.sleep(LOOK_SECONDS)
                mine[0] -= LOOK_SECONDS * UNIT / len(self.left)
        finally:
            self.left.remove(mine)


@dataclass(slots=True)
class Folder:
    """A rig behind the narrow line."""

    rig: Rig
    clock: Clock
    known: dict[str, Transfer] = field(default_factory=dict)

    async def put(self, name: str, size_bytes: int, *, priority: int = 3) -> Transfer:
        """Let a file be ready."""
        transfer = await self.rig.file(content(size_bytes), name, priority=priority)
        self.known[name] = transfer
        return transfer

    async def arrivals(self) -> Arrivals:
        """Wait until all are there; tell when each was."""
        begun, found = self.clock.monotonic(), dict[str, float]()
        while len(found) < len(self.known):
            await asyncio.sleep(LOOK_SECONDS)
            rows = self.rig.journal.db.execute("SELECT id FROM transfers WHERE state = 'uploaded'")
            there = {row["id"] for row in rows}
            for name, transfer in self.known.items():
                if transfer.row_id in there:
                    found.setdefault(name, self.clock.monotonic() - begun)
        return found


Play = Callable[[Folder], Awaitable[Arrivals]]


@pytest.fixture
def over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Play], Arrivals]]:
    """Play something over the line."""
    monkeypatch.setattr("sidecar.core.parts.PART_BYTES_MIN", UNIT)
    monkeypatch.setattr("sidecar.core.upload_window.HEAVY_BYTES", UNIT)

    with closing(journals.open_journal(tmp_path)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")  # no power is cut here

        async def played(play: Play, clock: Clock) -> Arrivals:
            rig = Rig(
                folder=tmp_path,
                bucket="lessons",
                store=Hooked(NarrowStore()),
                writer=InlineWriter(journal),
                budget=MemoryBudget(8 * UNIT, turn=Uplink(most=40).turn),
                part_bytes=UNIT,
            )
            return await play(Folder(rig=rig, clock=clock))

        yield lambda play: virtually(lambda clock: played(play, clock))


async def shipped(folder: Folder, **changes: Any) -> Arrivals:
    """Ship what is there."""
    async with running(folder.rig.stage(clock=folder.clock, **changes)):
        return await folder.arrivals()


def test_films_arrive_one_after_another(over: Callable[[Play], Arrivals]) -> None:
    """The first of 32 in a 32nd of the time, and the line never stands still."""

    async def play(folder: Folder) -> Arrivals:
        for n in range(32):
            await folder.put(f"{n:02}.mp4", FILM)
        return await shipped(folder)

    found = over(play)
    assert sorted(found, key=found.__getitem__) == sorted(found)
    assert found["00.mp4"] <= 1.3 * FILM_PARTS
    assert found["31.mp4"] <= 1.05 * 32 * FILM_PARTS


def test_a_film_that_is_begun_is_not_overtaken_by_an_older_or_a_shorter_one(
    over: Callable[[Play], Arrivals],
) -> None:
    """What became ready later waits, though it was seen first; so it is in the next life."""

    async def play(folder: Folder) -> Arrivals:
        rig = folder.rig
        old = await folder.put("old.mp4", FILM)
        rig.journal.db.execute("UPDATE transfers SET held = 1 WHERE id = ?", [old.row_id])
        begun = await folder.put("begun.mp4", 4 * FILM)
        async with running(rig.stage(clock=folder.clock)):
            await asyncio.sleep(FILM_PARTS)
            await folder.put("short.mp4", FILM // 2)
            rig.journal.db.execute("UPDATE transfers SET held = 0 WHERE id = ?", [old.row_id])
            await rig.writer.do(Roots.unblock_root, "/")  # wakes the stage
            await asyncio.sleep(FILM_PARTS)
        assert (await rig.now(begun)).may_upload
        await folder.put("new.mp4", FILM)
        return await shipped(folder)

    found = over(play)
    assert found["begun.mp4"] == min(found.values())
    assert found["new.mp4"] == max(found.values())


@pytest.mark.parametrize(("priority", "size_bytes"), [(3, SMALL), (1, SMALL), (1, 4 * UNIT)])
def test_what_is_small_or_more_urgent_waits_for_no_film(
    priority: int, size_bytes: int, over: Callable[[Play], Arrivals]
) -> None:
    """Though films hold every place: for the bodies that are on their way, and no more."""
    began = 10.0

    async def play(folder: Folder) -> Arrivals:
        for n in range(6):
            await folder.put(f"{n}.mp4", 10 * FILM)
        async with running(folder.rig.stage(clock=folder.clock, concurrency=4)):
            await asyncio.sleep(began)
            folder.known.clear()
            await folder.put("late.mp4", size_bytes, priority=priority)
            return await folder.arrivals()

    found = over(play)
    assert found["late.mp4"] <= 4 * (1 + size_bytes / UNIT)  # each of four bodies gets a quarter of the line


def test_a_film_in_flight_gives_way_at_its_next_part(over: Callable[[Play], Arrivals]) -> None:
    """1,024 parts, four on their way: thumbnails and chunks wait for one at most, and nothing is cut off."""
    begun: list[str] = []

    async def play(folder: Folder) -> Arrivals:
        store = folder.rig.store
        await folder.put("film.mp4", 1024 * UNIT, priority=5)
        async with running(folder.rig.stage(clock=folder.clock, concurrency=4)):
            await asyncio.sleep(20.0)
            folder.known.clear()
            begun.extend(store.calls)
            for n in range(4):
                await folder.put(f"{n}.png", SMALL, priority=0)
                await folder.put(f"{n}.mp4", UNIT - 1, priority=3)
            found = await folder.arrivals()
        begun[:] = store.calls[len(begun) : [n for n, one in enumerate(store.calls) if one == "put"][-1]]
        return found

    over(play)
    assert begun.count("put") == 7, "and the last one"
    assert sum(one.startswith("part") for one in begun) <= 1


@pytest.mark.parametrize("concurrency", [4, 32])
def test_thumbnails_without_end_do_not_starve_films(
    concurrency: int, over: Callable[[Play], Arrivals]
) -> None:
    """As many as fill all places, and the line: what is less urgent gets an eighth, of two kinds in turn."""
    parts = 4

    async def play(folder: Folder) -> Arrivals:
        async def thumbnails() -> None:
            for n in itertools.count():
                await folder.rig.file(content(SMALL), f"{n}.png", priority=0)
                if n > 2 * CROWD * concurrency:
                    await asyncio.sleep(0.45)

        flood = asyncio.create_task(thumbnails())
        await asyncio.sleep(1.0)
        await folder.put("film.mp4", parts * UNIT)
        await folder.put("combined.mp4", parts * UNIT, priority=5)
        try:
            return await asyncio.wait_for(shipped(folder, concurrency=concurrency), 300.0)
        finally:
            flood.cancel()

    found = over(play)
    assert max(found.values()) <= 1.5 * 8 * 2 * parts


def test_a_film_is_not_starved_by_small_files(over: Callable[[Play], Arrivals]) -> None:
    """As much of them as of it goes meanwhile."""

    async def play(folder: Folder) -> Arrivals:
        await folder.put("film.mp4", FILM)
        for n in range(8 * FILM_PARTS):
            await folder.put(f"{n}.png", SMALL)
        return await shipped(folder)

    found = over(play)
    assert found["film.mp4"] <= 2.6 * FILM_PARTS
    assert max(found.values()) <= 1.1 * 5 * FILM_PARTS
