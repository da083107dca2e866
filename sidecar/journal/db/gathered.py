"""What a transaction notes while it runs, to be written once at its end: for all that it did.

It is dropped with what is rolled back, as rows are. ``JournalConnection.atomic`` sees to both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

EventRow = tuple[int, int, str, str | None]  # at_ms, transfer, event, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Each in the order in which it came; whoever writes one of them empties it."""

    events: list[EventRow] = field(default_factory=list)

    def clear(self) -> None:
        """Drop all of it."""
        self.events.clear()
