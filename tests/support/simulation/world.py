"""The renderer's side: files as a script writes them, and every complete state that they ever had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sidecar.core.model import AssetType, Route
from tests.support.journals import route

from .disk import ROOT, Disk

SESSION = "demo/lesson"
PART_BYTES = 1024
LIGHT_BYTES = 256  # read when it is opened, and claimed with the intent to send it
MARKERS = {".complete": "complete", ".cancelled": "cancelled"}


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


@dataclass(slots=True, kw_only=True)
class World:
    """``states`` holds every complete content of each file, in their order."""

    disk: Disk = field(default_factory=Disk)
    states: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)  # by the script, not by the daemon

    def copy(self) -> World:
        """Return a world that changes by itself."""
        return World(
            disk=self.disk.copy(),
            states=dict(self.states),
            places=dict(self.places),
            growing=set(self.growing),
            deleted=set(self.deleted),
        )

    def write(
        self, place: Place, content: bytes, *, at_ns: int, in_place: bool = False, complete: bool = True
    ) -> None:
        """Write a file: a new one moved into its place, or the same one over."""
        self.disk.write(f"{ROOT}/{place.path}", content, in_place=in_place, at_ns=at_ns)
        self.places[place.path] = place
        self.deleted.discard(place.path)
        (self.growing.discard if complete else self.growing.add)(place.path)
        if complete:
            self.states[place.path] = (*self.states.get(place.path, ()), content)

    def mark(self, scene: str, *, at_ns: int, kind: str = "complete") -> None:
        """Write a scene's marker."""
        self.disk.write(f"{ROOT}/{SESSION}/{scene}/.{kind}", b"", at_ns=at_ns)

    def delete(self, place: Place) -> None:
        """Remove a file, if it is still there."""
        if (path := f"{ROOT}/{place.path}") in self.disk.names:
            self.disk.unlink(path)
        self.deleted.add(place.path)

    def files(self) -> Iterable[str]:
        """Return the paths, below the root, of everything that lies there."""
        return sorted(path.removeprefix(f"{ROOT}/") for path in self.disk.names)

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
