"""The renderer's side: real files in a folder in memory, written as a script says, and what they were."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.core.model import AssetType, Route
from tests.support.journals import route

from .convex import Deployment
from .loop import VirtualLoop, wall_ms

SESSION = "demo/lesson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file of the world and where it belongs; the checker knows it by ``slot``."""

    scene: str
    name: str
    kind: AssetType = AssetType.VIDEO_CHUNK
    fixed: bool = False  # its key holds no transfer id

    @property
    def path(self) -> str:
        """Below the root."""
        return f"{SESSION}/{self.scene}/{self.name}"

    @property
    def slot(self) -> tuple[str, ...]:
        """The slot in Convex."""
        if self.kind is AssetType.MANIFEST:
            return (SESSION, "session", SESSION, str(self.kind), self.name)
        return (SESSION, "scene", self.scene, str(self.kind), self.name)

    @property
    def route(self) -> Route:
        """What the rules would say."""
        found = route(self.name, scene=self.scene, kind=self.kind)
        return replace(found, key=f"fixed/{self.path}") if self.fixed else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something happens ``at`` seconds, or when the ``nth`` call to a remote of that name begins."""

    act: Callable[[World], None]
    at: float | None = None
    call: str = ""
    nth: int = 1


@dataclass(slots=True, kw_only=True)
class World:
    """``time`` is the history's, between lives. ``states`` holds every complete content of each file."""

    folder: Path
    time: float = 0.0
    loop: VirtualLoop | None = None  # the one that lives now
    states: dict[str, list[bytes]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)  # by the script, not by the daemon
    wishes: list[str] = field(default_factory=list)  # what an operator asks for until it is granted
    news: asyncio.Event | None = None
    end_life: Callable[[], None] = lambda: None
    deployment: Deployment | None = None
    begun: int = 0  # files written so far: no two share a time of change
    done: set[int] = field(default_factory=set)  # steps
    called: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The history's time."""
        return self.time if self.loop is None else self.loop.now

    @property
    def root(self) -> Path:
        """Where the renderer writes."""
        return self.folder / "renders"

    def write(self, place: Place, content: bytes, *, in_place: bool = False, complete: bool = True) -> None:
        """Write a file: a new one moved into its place, or the same one over."""
        path = self.root / place.path
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path if in_place else path.with_name(f".{path.name}.tmp")
        target.write_bytes(content)
        self.begun += 1
        mtime_ns = wall_ms(self.now) * 1_000_000 + self.begun
        os.utime(target, ns=(mtime_ns, mtime_ns))
        if not in_place:
            target.replace(path)
        self.places[place.path] = place
        self.deleted.discard(place.path)
        (self.growing.discard if complete else self.growing.add)(place.path)
        if complete:
            self.states.setdefault(place.path, []).append(content)
        self._tell()

    def mark(self, scene: str, kind: str = "complete") -> None:
        """Write a scene's marker."""
        path = self.root / SESSION / scene / f".{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.begun += 1
        mtime_ns = wall_ms(self.now) * 1_000_000 + self.begun
        os.utime(path, ns=(mtime_ns, mtime_ns))
        self._tell()

    def delete(self, place: Place) -> None:
        """Remove a file."""
        (self.root / place.path).unlink(missing_ok=True)
        self.deleted.add(place.path)
        self._tell()

    def wish(self, what: str) -> None:
        """An operator asks for something, and goes on asking."""
        self.wishes.append(what)
        self._tell()

    def restart(self) -> None:
        """Somebody asks the daemon to end, and starts it again."""
        self.end_life()

    def present(self) -> dict[str, Place]:
        """Return the complete files that the script has not deleted."""
        return {
            path: place
            for path, place in self.places.items()
            if path not in self.growing and path not in self.deleted
        }

    def scenes(self) -> set[str]:
        """Return the scenes that have files."""
        return {place.scene for place in self.present().values() if place.kind is not AssetType.MANIFEST}

    def heard(self, name: str, steps: Sequence[Step]) -> None:
        """A call begins: do what waits for it."""
        self.called[name] = self.called.get(name, 0) + 1
        for number, step in enumerate(steps):
            if step.call == name and step.nth == self.called[name] and number not in self.done:
                self.done.add(number)
                step.act(self)

    def pass_time(self, now: float, steps: Sequence[Step]) -> None:
        """Do what is due by ``now``, each step at its own time."""
        due = [
            (step.at, n)
            for n, step in enumerate(steps)
            if step.at is not None and step.at <= now and n not in self.done
        ]
        for at, number in sorted(due):
            self.time = max(self.time, at)
            self.done.add(number)
            steps[number].act(self)
        self.time = max(self.time, now)

    def next_at(self, steps: Sequence[Step]) -> float | None:
        """Return when the next step is due."""
        return min(
            (step.at for n, step in enumerate(steps) if step.at is not None and n not in self.done),
            default=None,
        )

    def clear(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _tell(self) -> None:
        if self.news is not None:
            self.news.set()
