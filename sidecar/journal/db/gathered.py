"""What a transaction notes while it runs, to be written once at its end: for all that it did.

It is dropped with what is rolled back, as rows are. ``JournalConnection.atomic`` sees to both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Scene = tuple[str, str]  # session and scene
Arrival = tuple[str, str, int]  # of content: session, scene, mtime_ns
EventRow = tuple[int, int, str, str | None]  # at_ms, transfer, event, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Each in the order in which it came; whoever writes one of them empties it."""

    events: list[EventRow] = field(default_factory=list)
    touched: dict[Scene, None] = field(default_factory=dict)  # their facts may be others now
    new: dict[Scene, None] = field(default_factory=dict)  # Convex may not know something of them

    known: set[Scene] = field(default_factory=set)  # that have a row
    arrivals: list[Arrival] = field(default_factory=list)

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
        self.known.clear()
        self.arrivals.clear()
