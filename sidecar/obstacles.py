"""Names what of our own cannot be opened or read now: once when it begins, once when it is over.

``/status`` has it among its reasons, and ``explain`` names it; the log has one warning and one line at the
end. The stages share it, and use it on the event loop only. It is memory: what waits is in the journal.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from sidecar.core.clock import Clock
from sidecar.core.os_errors import hint, is_exhausted

PROCESS = "this process"  # stands for a path where nothing at all can be opened
LULL_SECONDS = 10.0  # without descriptors something now and then succeeds: that is not the end of it
KEPT_MAX = 1_000
LOGGED_MAX = 20  # lines about things that are in the way at once
SHOWN_MAX = 5

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Obstacle:
    """``path`` is absolute; ``why`` are the system's words. ``met`` and ``since`` are monotonic seconds."""

    path: str
    why: str
    hint: str | None
    since: float
    since_ms: int
    met: float
    logged: bool

    def __str__(self) -> str:
        """Say it as one sentence."""
        since = f"since {datetime.fromtimestamp(self.since_ms / 1000, UTC):%H:%M:%S} UTC"
        what = "can open no more files and connections" if self.path == PROCESS else "cannot be read"
        return f"{self.path} {what} {since}: {self.why}{f' ({self.hint})' if self.hint else ''}"


class Obstacles:
    """All obstacles that are known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Obstacle] = {}

    def __contains__(self, path: str) -> bool:
        """Tell whether a path itself is known to be in the way."""
        return path in self._known

    def failed(self, path: str, error: OSError) -> str:
        """Take in why a path could not be opened or read; return which path it is told of."""
        where = PROCESS if is_exhausted(error.errno) else path
        self.met(where, error.strerror or str(error), hint=hint(error))
        return where

    def met(self, path: str, why: str, *, hint: str | None = None) -> None:
        """Note that something is in the way, still or again."""
        now = self._clock.monotonic()
        if (known := self._known.get(path)) is not None:
            known.why, known.hint, known.met = why, hint, now
            return
        if len(self._known) >= KEPT_MAX:
            return
        logged = len(self._known) < LOGGED_MAX
        self._known[path] = Obstacle(
            path=path, why=why, hint=hint, since=now, since_ms=self._clock.wall_ms(), met=now, logged=logged
        )
        if logged:
            log.warning("cannot_be_read", path=path, why=why, hint=hint)

    def over(self, path: str) -> None:
        """Note that a path can be read again, or that nobody asks for it any more."""
        if (known := self._known.pop(path, None)) is not None and known.logged:
            seconds = round(self._clock.monotonic() - known.since, 1)
            log.info("can_be_read_again", path=path, seconds=seconds)

    def over_above(self, path: str) -> None:
        """Note that a file could be opened: no folder above it is in the way any more."""
        if self._known:
            for above in _upwards(path):
                self.over(above)

    def at(self, path: str) -> str | None:
        """Return what is in the way of a path, as a sentence: itself, a folder above it, or everything."""
        self._calm_down()
        for above in (path, *_upwards(path), PROCESS):
            if (known := self._known.get(above)) is not None:
                return str(known)
        return None

    def age_seconds(self, path: str) -> float:
        """Return for how long something has been in the way."""
        known = self._known.get(path)
        return self._clock.monotonic() - known.since if known else 0.0

    @property
    def are_there(self) -> bool:
        """Whether something is in the way of any file."""
        return bool(self._known)

    def idle(self, seconds: float) -> list[str]:
        """Return what nobody has met for so long."""
        now = self._clock.monotonic()
        return [known.path for known in self._known.values() if now - known.met > seconds]

    def reasons(self, *, said: Collection[str] = ()) -> list[str]:
        """Return the oldest as sentences, and how many there are more; ``said`` are named elsewhere."""
        self._calm_down()
        named = [known for known in self._known.values() if known.path not in said]
        more = len(named) - SHOWN_MAX
        at_least = "at least " if len(self._known) >= KEPT_MAX else ""
        rest = [f"{at_least}{more} more files or folders cannot be read"] if more > 0 else []
        return [*map(str, named[:SHOWN_MAX]), *rest]

    def _calm_down(self) -> None:
        """What concerns the whole process ends by not being met any more."""
        known = self._known.get(PROCESS)
        if known is not None and self._clock.monotonic() - known.met > LULL_SECONDS:
            self.over(PROCESS)


def _upwards(path: str) -> list[str]:
    """Return the folders above a path, the nearest first."""
    segments = path.split("/")
    return ["/".join(segments[:count]) or "/" for count in range(len(segments) - 1, 0, -1)]
