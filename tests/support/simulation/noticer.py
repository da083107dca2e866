"""The watch stage's part, scripted: lists the world, asks the script what is complete, reads it as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sidecar.core.model import Fingerprint, Observation, StatIdentity, Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.files import identity_of
from sidecar.journal.db.connection import Topic
from sidecar.journal.stores.completion import Completion
from sidecar.journal.stores.files import Files
from sidecar.journal.stores.recovery import Recovery
from sidecar.journal.stores.repairs import Repairs
from sidecar.journal.stores.scenes import Scenes
from sidecar.watch.complete.fingerprint import Vanished, take
from sidecar.watch.deletion.removals import RemovalDetector
from sidecar.watch.os.worker_threads import WorkerThreads
from sidecar.watch.scan.mount_points import MountPoints

from .disk import ROOT
from .journal import InlineJournal
from .loop import VirtualClock
from .machine import ROOT_PLACE
from .outside import Outside
from .power import Power
from .world import MARKERS, PART_BYTES, SESSION

T = TypeVar("T")
AGAIN_SECONDS = 20.0
SLUGGISH_SECONDS = 0.3  # so that a change may also be noticed after it did its harm


class _WorkerThreads:
    """What a thread would do is done at once."""

    async def do(self, work: Callable[[], T]) -> T:
        return work()


class Noticer:
    """One life's. ``listed`` is set once the first listing is in the journal."""

    def __init__(
        self,
        outside: Outside,
        journal: InlineJournal,
        power: Power,
        *,
        clock: VirtualClock,
        removal: str,
        first_looks: bool,
    ) -> None:
        """``run`` does it. ``removal`` is the setting, ``first_looks`` the scenario's."""
        self._makes_first_looks = first_looks
        self._outside, self._journal, self._power, self._removal = outside, journal, power, removal
        self._absences = RemovalDetector(
            root=ROOT,
            removal=removal,
            between_seconds=AGAIN_SECONDS,
            journal=journal,
            threads=cast("WorkerThreads", _WorkerThreads()),
            clock=clock,
            others_listed=lambda _at: True,
        )
        self._news = outside.news = journal.subscribe(Topic.CANDIDATES)
        self._told: dict[str, int] = {}
        self._unsure = False
        self._seen_ns = -1  # the disk's newest change that was listed
        self.listed = asyncio.Event()

    async def run(self) -> None:
        """List and look, at every change, and again while something is not what it seems."""
        while True:
            self._news.clear()
            await self._power.pause(SLUGGISH_SECONDS)
            await self.scan()
            self.listed.set()
            await self._grant()
            try:
                async with asyncio.timeout(AGAIN_SECONDS if self._unsure or self._outside.wishes else None):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def scan(self) -> None:
        """List what has changed, and look at every candidate."""
        changed_ns = self._outside.world.disk.time_ns
        if self._unsure or changed_ns != self._seen_ns:
            may_be_removed = self._removal != "keep" and bool(self._outside.world.deleted)
            self._unsure, self._seen_ns = may_be_removed, changed_ns
            places = await self._absences.begin()
            await self._list(places)
            await self._absences.end(places)
        for candidate in await self._journal.do(Completion.candidates):
            await self._look_at(candidate)

    async def _list(self, places: MountPoints | None) -> None:
        if places is not None:
            places.see("", ROOT_PLACE, device_above=None)
        found = self._found()
        folders = {path.rpartition("/")[0] for path in found}
        folders.update(await self._journal.do(Files.folders, ROOT, after="", limit=1000))
        for folder in sorted(folders):
            is_clear = places is not None and places.are_the_same(folder)
            await self._list_folder(folder, found, spared=not is_clear)

    async def _list_folder(self, folder: str, found: dict[str, StatIdentity], *, spared: bool) -> None:
        known = await self._journal.do(Files.known, ROOT, folder)
        here = {path.rpartition("/")[2]: path for path in found if path.rpartition("/")[0] == folder}
        places = self._outside.world.places
        seen = [
            Observation(root=ROOT, path=path, identity=found[path], route=places[path].route)
            for name, path in here.items()
            if name not in MARKERS and (known.get(name) is None or known[name].identity != found[path])
        ]
        if seen:
            await self._journal.do(Files.observe, seen, await self._first_looks(seen))
        for name in sorted(here.keys() & MARKERS.keys()):
            await self._tell(here[name], MARKERS[name], found[here[name]].mtime_ns)
        if missing := [f"{folder}/{name}" for name in sorted(known.keys() - here.keys())]:
            self._unsure = True  # until a second listing does not show them either
            await self._journal.do(Files.missing, ROOT, missing, spared=spared)

    async def _first_looks(self, seen: Sequence[Observation]) -> dict[int, Fingerprint]:
        """Look at files before they are journaled that are no candidates yet."""
        if not self._makes_first_looks:
            return {}
        waiting = {one.path for one in await self._journal.do(Completion.candidates)}
        found = dict[int, Fingerprint]()
        for number, path in enumerate(one.path for one in seen):
            if path in waiting or path in self._outside.world.growing:
                continue
            content = await asyncio.to_thread(self._read, path)
            if isinstance(content, Fingerprint):
                found[number] = content
        return found

    def _found(self) -> dict[str, StatIdentity]:
        disk = self._outside.world.disk
        return {
            path: identity_of(disk.stat(f"{ROOT}/{path}"))  # type: ignore[arg-type]
            for path in self._outside.world.files()
            if not (name := path.rpartition("/")[2]).startswith(".") or name in MARKERS
        }

    async def _tell(self, path: str, kind: str, mtime_ns: int) -> None:
        if self._told.get(path) == mtime_ns:
            return
        scene = path.split("/")[-2]
        await self._journal.do(
            Scenes.mark_scene,
            project_id="demo",
            session_id=SESSION,
            scene_id=scene,
            marker=kind,
            mtime_ns=mtime_ns,
        )
        self._told[path] = mtime_ns

    async def _look_at(self, candidate: Transfer) -> None:
        if candidate.path in self._outside.world.growing:
            if candidate.awaits_lookup:
                await self._journal.do(Recovery.candidate_written, candidate.row_id)
            return
        found = await asyncio.to_thread(self._read, candidate.path)
        if isinstance(found, Fingerprint):
            await self._record(Completion.complete, candidate.row_id, found)
        elif found is None:
            await self._record(Completion.vanish, candidate.row_id)
        else:
            self._unsure = True

    def _read(self, path: str) -> Fingerprint | object | None:
        try:
            identity = identity_of(self._outside.world.disk.stat(f"{ROOT}/{path}"))  # type: ignore[arg-type]
        except FileNotFoundError:
            return None
        found = take(ROOT, path, expected=identity, part_bytes=PART_BYTES)
        return None if isinstance(found, Vanished) else found

    async def _record(self, method: Callable[..., Any], *args: object) -> None:
        try:
            await self._journal.do(method, *args)
        except (LookupError, IllegalTransitionError):
            return  # the row went on without us, as in the daemon

    async def _grant(self) -> None:
        """Do what the operator asks for, again and again: an answer may still be on its way."""
        if "requeue" in self._outside.wishes:
            await self._journal.do(Repairs.requeue)
