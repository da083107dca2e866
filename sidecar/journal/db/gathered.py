"""What a transaction notes while it runs, to be written once at its end: for all that it did.

It is dropped with what is rolled back, as rows are. ``JournalConnection.atomic`` sees to both.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sidecar.core.model import State

Scene = tuple[str, str]  # session and scene
EventRow = tuple[int, int, str, str | None]  # at_ms, transfer, event, detail


@dataclass(slots=True)
class VideoSteps:
    """What the transaction made of the transfers of one video's slot, by row."""

    came: set[int] = field(default_factory=set)  # they are ready or further now
    went: bool = False  # one that was before is no more
    dead: int = 0  # more
    abandoned: int = 0  # more

    def add(self, row_id: int, *, is_there: bool, was_there: bool) -> None:
        """Take in one step."""
        if is_there and not was_there:
            self.came.add(row_id)
        elif was_there and not is_there and row_id in self.came:
            self.came.discard(row_id)
        elif was_there and not is_there:
            self.went = True

    @property
    def matter(self) -> bool:
        """Whether the scene may count something else now."""
        return bool(self.came or self.went or self.dead or self.abandoned)


@dataclass(slots=True)
class Arrivals:
    """Content of a scene that is complete on disk since."""

    mtime_ns: int = 0  # the newest one's
    files: int = 0
    first_videos: int = 0  # that no other transfer of their slots stands beside: counted here alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Each in the order in which it came; whoever writes one of them empties it."""

    events: list[EventRow] = field(default_factory=list)
    touched: dict[Scene, None] = field(default_factory=dict)  # their facts may be others now
    new: dict[Scene, None] = field(default_factory=dict)  # Convex may not know something of them

    intents: dict[int, None] = field(default_factory=dict)  # transfers whose object may exist from here on
    counts: dict[State, list[int]] = field(default_factory=dict)  # more transfers, and more bytes
    present: Counter[int] = field(default_factory=Counter)  # more files, by root
    videos: dict[tuple[str, str, str], VideoSteps] = field(default_factory=dict)  # by scene and slot
    known: set[Scene] = field(default_factory=set)  # that have a row
    arrivals: dict[Scene, Arrivals] = field(default_factory=dict)

    def count(self, state: State, *, transfers: int, size_bytes: int) -> None:
        """Count more of a state, or fewer."""
        count = self.counts.setdefault(state, [0, 0])
        count[0] += transfers
        count[1] += size_bytes

    def arrive(self, session_id: str, scene_id: str, mtime_ns: int, *, is_first_video: bool = False) -> None:
        """Let a scene hear of content that is complete on disk."""
        arrivals = self.arrivals.get((session_id, scene_id))
        if arrivals is None:
            arrivals = self.arrivals[session_id, scene_id] = Arrivals()
        arrivals.mtime_ns = max(arrivals.mtime_ns, mtime_ns)
        arrivals.files += 1
        arrivals.first_videos += is_first_video

    def touch(self, session_id: str, scene_id: str | None) -> None:
        """Let a scene's facts be derived at the end."""
        if scene_id is not None:
            self.touched[session_id, scene_id] = None

    def bring_news(self, session_id: str, scene_id: str | None) -> None:
        """From here on all is reported of a scene, whatever Convex shows: it may not know something of it."""
        if scene_id is not None:
            self.new[session_id, scene_id] = None

    def clear(self) -> None:
        """Drop all of it."""
        self.events.clear()
        self.touched.clear()
        self.new.clear()
        self.intents.clear()
        self.counts.clear()
        self.present.clear()
        self.videos.clear()
        self.known.clear()
        self.arrivals.clear()
