"""The watch stage's part, scripted: lists the world, asks the script what is complete, reads it as ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sidecar.core.model import Fingerprint, Observation, StatIdentity, Transfer
from sidecar.core.states import IllegalTransitionError
from sidecar.files import identity_of
from sidecar.journal.journal import Journal, Topic
from sidecar.watch.fingerprint import Vanished, take

from .journal import InlineJournal
from .power import Power
from .world import SESSION, World

LISTING_SECONDS = 30.0  # every change rings; absence needs a second listing
SLUGGISH_SECONDS = 0.3  # so that a change may also be noticed after it did its harm
MARKERS = {".complete": "complete", ".cancelled": "cancelled"}


class Noticer:
    """One life's."""

    def __init__(self, world: World, journal: InlineJournal, power: Power) -> None:
        """``run`` does it."""
        self._world, self._journal, self._power = world, journal, power
        self._root = str(world.root)
        self._news = journal.subscribe(Topic.CANDIDATES)
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """List and look, at every change and every few seconds."""
        self._world.news = self._news
        while True:
            self._news.clear()
            await self._power.pause(SLUGGISH_SECONDS)
            await self._list()
            await self._look()
            await self._grant()
            try:
                async with asyncio.timeout(LISTING_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _list(self) -> None:
        found = await asyncio.to_thread(self._found)
        folders = {path.rpartition("/")[0] for path in found}
        folders.update(await self._journal.do(Journal.folders, self._root, after="", limit=1000))
        for folder in sorted(folders):
            known = await self._journal.do(Journal.known, self._root, folder)
            here = {path.rpartition("/")[2]: path for path in found if path.rpartition("/")[0] == folder}
            seen = [
                Observation(
                    root=self._root, path=path, identity=found[path], route=self._world.places[path].route
                )
                for name, path in here.items()
                if name not in MARKERS and (known.get(name) is None or known[name].identity != found[path])
            ]
            if seen:
                await self._journal.do(Journal.observe, seen)
            for name in sorted(here.keys() & MARKERS.keys()):
                await self._tell(here[name], MARKERS[name], found[here[name]].mtime_ns)
            if missing := [f"{folder}/{name}" for name in sorted(known.keys() - here.keys())]:
                await self._journal.do(Journal.missing, self._root, missing)

    def _found(self) -> dict[str, StatIdentity]:
        found: dict[str, StatIdentity] = {}
        for folder, _, names in os.walk(self._root):
            for name in sorted(names):
                if name.endswith(".tmp") or (name.startswith(".") and name not in MARKERS):
                    continue
                path = Path(folder) / name
                found[str(path.relative_to(self._root))] = identity_of(path.stat())
        return dict(sorted(found.items()))

    async def _tell(self, path: str, kind: str, mtime_ns: int) -> None:
        if self._told.get(path) == mtime_ns:
            return
        scene = path.split("/")[-2]
        await self._journal.do(
            Journal.mark_scene,
            project_id="demo",
            session_id=SESSION,
            scene_id=scene,
            marker=kind,
            mtime_ns=mtime_ns,
        )
        self._told[path] = mtime_ns

    async def _look(self) -> None:
        for candidate in await self._journal.do(Journal.candidates):
            await self._look_at(candidate)

    async def _look_at(self, candidate: Transfer) -> None:
        if candidate.path in self._world.growing:
            return
        found = await asyncio.to_thread(self._read, candidate.path)
        if isinstance(found, Fingerprint):
            await self._record(Journal.complete, candidate.id, found)
        elif found is None:
            await self._record(Journal.vanish, candidate.id)

    def _read(self, path: str) -> Fingerprint | object | None:
        try:
            identity = identity_of((Path(self._root) / path).stat())
        except FileNotFoundError:
            return None
        found = take(self._root, path, expected=identity)
        return None if isinstance(found, Vanished) else found

    async def _record(self, method: Callable[..., Any], *args: object) -> None:
        try:
            await self._journal.do(method, *args)
        except (LookupError, IllegalTransitionError):
            return  # the row went on without us, as in the daemon

    async def _grant(self) -> None:
        """Do what the operator asks for, again and again: an answer may still be on its way."""
        if "requeue" in self._world.wishes:
            await self._journal.do(Journal.requeue)
