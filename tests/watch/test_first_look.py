"""New files that are looked at before they are journaled: what is complete is journaled once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.account import FileClass
from sidecar.core.model import State, StatIdentity
from sidecar.core.paths import absolute
from sidecar.journal.journal import Journal
from sidecar.journal.stores.stream_pieces import StreamPieces
from sidecar.local.bench.data import film, thumbnail
from sidecar.watch.complete import candidates, first_look
from sidecar.watch.complete.probe import ProbeRequest, ProbeResult, probe
from sidecar.watch.os.filesystem import Filesystems, ReadinessMethod

from .conftest import World, running
from .test_playlists import LIST, put_playlist, until_held

FILM, OTHER = "p/s/one/video/film.mp4", "p/s/one/thumbnails/other.png"
LONG_SECONDS = 20.0


class Gate:
    """Stands behind the looks of the stage: holds up those at one path, once, and counts all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: str = FILM) -> None:
        """Wait for as long as it takes, instead of journaling what was not looked at in time."""
        self.looked = list[str]()
        self.is_held, self.may_go_on = threading.Event(), threading.Event()
        self._path = path
        monkeypatch.setattr(candidates, "probe", self._probe)
        monkeypatch.setattr(first_look, "LOOK_SECONDS", LONG_SECONDS)

    def _probe(self, request: ProbeRequest, *args: Any, **kwargs: Any) -> ProbeResult:
        result = probe(request, *args, **kwargs)
        self.looked.append(absolute(request.root, request.path))
        if request.path == self._path:
            self.hold()
        return result

    def hold(self) -> None:
        """Wait, but for the first who comes nobody."""
        if not self.is_held.is_set():
            self.is_held.set()
            assert self.may_go_on.wait(LONG_SECONDS)

    async def until_held(self, world: World) -> None:
        """Wait until one is held up."""

        async def is_held() -> bool:
            return self.is_held.is_set()

        await world.until(is_held)


def content(number: int = 1) -> bytes:
    """Return a small whole film, another one for each call."""
    return b"".join(film(1000 + number))


async def events(world: World) -> list[tuple[str, str]]:
    """Return all events with their transfers' paths."""

    def ask(journal: Journal) -> list[tuple[str, str]]:
        rows = journal.db.execute("SELECT name, event FROM transfers t JOIN events e ON e.transfer = t.id")
        return [tuple(row) for row in rows]

    return await world.writer.run(ask)


async def test_what_waits_is_looked_at_once_and_journaled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row of it was ever discovered; its history has both steps all the same."""
    gate = Gate(monkeypatch, "")
    (tmp_path / "renders" / FILM).parent.mkdir(parents=True)
    (tmp_path / "renders" / FILM).write_bytes(content())
    async with running(tmp_path) as world:
        states = await world.states()
        assert states == {FILM: [State.READY]}
        assert world.stage.pending() == []
        world.put(OTHER, thumbnail(2000))
        await world.until_ready(OTHER)
        assert sorted(await events(world)) == [
            ("film.mp4", "completed"),
            ("film.mp4", "discovered"),
            ("other.png", "completed"),
            ("other.png", "discovered"),
        ]
        await world.stage.scan_now()
        assert len(gate.looked) == 2


async def test_who_is_killed_between_look_and_journal_has_seen_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start finds it again."""
    gate = Gate(monkeypatch)
    async with running(tmp_path) as world:
        world.put(FILM, content())
        await gate.until_held(world)
        await world.end()
        gate.may_go_on.set()
        assert await world.rows() == []
    async with running(tmp_path) as world:
        assert await world.states() == {FILM: [State.READY]}


async def test_nobody_is_told_that_all_is_done_while_a_file_is_looked_at(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pending though no journal has it, and a scan is not over before it is journaled."""
    gate = Gate(monkeypatch)
    world.put(FILM, content())
    await gate.until_held(world)
    (pending,) = world.stage.pending()
    assert (pending.path, pending.file_class, pending.is_journaled) == (FILM, FileClass.SETTLING, False)
    scan = asyncio.create_task(world.stage.scan_now())
    await asyncio.wait({scan}, timeout=0.3)
    assert not scan.done()
    assert await world.rows() == []
    gate.may_go_on.set()
    await scan
    assert (await world.states(), world.stage.pending()) == ({FILM: [State.READY]}, [])


async def test_a_file_that_changes_before_it_is_journaled_is_sent_as_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is one state of it, and the next one is found."""
    gate = Gate(monkeypatch)
    world.put(FILM, content(1))
    await gate.until_held(world)
    world.put("p/s/draft.tmp", content(2)).rename(world.root / FILM)
    gate.may_go_on.set()

    async def is_newest() -> bool:
        rows = await world.rows()
        return bool(rows) and (rows[-1].state, rows[-1].size_bytes) == (State.READY, len(content(2)))

    await world.until(is_newest)
    assert [row.state for row in await world.rows()] == [State.SUPERSEDED, State.READY]


async def test_a_playlist_that_comes_before_it_is_journaled_holds_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look found none, and the playlist found nothing in the journal to be taken back."""
    gate = Gate(monkeypatch, "")
    ask: Callable[[ProbeRequest, StatIdentity], str | None] = world.stage._candidates._withhold_reason

    def ask_and_wait(request: ProbeRequest, looks: StatIdentity) -> str | None:
        why = ask(request, looks)
        if request.path == FILM:
            gate.hold()
        return why

    monkeypatch.setattr(world.stage._candidates, "_withhold_reason", ask_and_wait)
    world.put(FILM, content())
    await gate.until_held(world)
    put_playlist(world, "p/s/one/video/index.m3u8", LIST % b"film.mp4")
    scan = asyncio.create_task(world.stage.scan_now())  # the events' way is held up by the look

    async def is_known() -> bool:
        return bool(await world.writer.do(StreamPieces.playlists))

    await world.until(is_known)
    gate.may_go_on.set()
    await scan
    await until_held(world, FILM)


async def test_a_look_that_hangs_holds_up_no_listing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is journaled as what it is, and all else goes on without first looks."""
    gate = Gate(monkeypatch)
    monkeypatch.setattr(first_look, "LOOK_SECONDS", 0.1)
    world.put(FILM, content())
    try:
        await gate.until_held(world)
        world.put(OTHER, thumbnail(2000))
        await world.until_ready(OTHER)
        await world.until_ready(FILM)  # by the look of a candidate
    finally:
        gate.may_go_on.set()


async def test_of_two_files_of_a_slot_one_is_refused_and_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each listing shows it anew."""
    gate = Gate(monkeypatch, "")
    roots = [tmp_path / "renders", tmp_path / "more"]
    for number, root in enumerate(roots):
        (root / FILM).parent.mkdir(parents=True)
        (root / FILM).write_bytes(content(number))
    async with running(tmp_path, more_roots=(roots[1],)) as world:
        await world.stage.scan_now()
        await world.stage.scan_now()
        assert [row.state for row in await world.rows()] == [State.READY]
        assert sum(root.counts[FileClass.REFUSED] for root in world.stage.status()) == 1
        assert sorted(gate.looked) == sorted(str(root / FILM) for root in roots)


async def test_a_candidate_is_not_looked_at_anew_by_each_listing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looks of its own: of a first one it would be read twice."""
    file = world.put(FILM, content()[:-1])

    async def is_candidate() -> bool:
        return [one.is_journaled for one in world.stage.pending()] == [True]

    await world.until(is_candidate)

    async def fail(*_: Any) -> None:
        pytest.fail("a first look")

    monkeypatch.setattr(world.stage._candidates._first_looks, "_look", fail)
    await world.stage.scan_now()
    assert [one.file_class for one in world.stage.pending()] == [FileClass.INCOMPLETE]
    file.write_bytes(content())
    await world.until_ready(FILM)


async def test_where_quiet_alone_tells_nothing_is_read_before_it_is_journaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first look would be in vain."""
    monkeypatch.setattr(Filesystems, "measure", lambda *_: ReadinessMethod.SETTLE)
    monkeypatch.setattr(first_look.FirstLooks, "_look", None)
    async with running(tmp_path, settle=0.1) as world:
        world.put(FILM, content())
        await world.until_ready(FILM)
