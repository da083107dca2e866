"""Decides when the ops of a session go to Convex: at once while there is little to do, in full calls else.

An op goes at once, unless more of its session will be there in a moment: files of it that are ready and wait
for a place among the uploads. Then its ops gather for one call, until they fill it, nothing waits any more or
``convex.batch.wait`` is over. The same holds where all that waits are openings: facts that say no more of a
scene than that something is on its way, which an op of its own will say soon.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingOps:
    """What one session would tell now, ``count`` ops; ``since`` (monotonic) nothing else kept the oldest.

    ``only_openings``: they are facts of scenes that are under way. ``files_wait``: files of the session are
    ready, and nobody uploads them yet.
    """

    count: int
    since: float
    only_openings: bool = False
    files_wait: bool = False


def due_at(waiting: WaitingOps, *, most: int, wait_seconds: float) -> float:
    """Return when the ops go (monotonic): ``most`` at once fill a call, ``wait_seconds`` are the longest."""
    if waiting.count >= most or not (waiting.files_wait or waiting.only_openings):
        return waiting.since
    return waiting.since + wait_seconds
