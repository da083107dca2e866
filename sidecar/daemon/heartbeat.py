"""The heartbeat: a beat proves that the loop turns, and that the journal answers and is in its place.

It feeds /healthz and systemd's watchdog. An outage, a full disk or a wrong key never stops it: a
restart would not cure them.
"""

from __future__ import annotations

import asyncio
import os

import sdnotify

from sidecar.core.clock import Clock
from sidecar.journal.journal import Journal
from sidecar.journal.writer import JournalWriter

BEAT_SECONDS = 1.0
LIMIT_SECONDS = 60.0


class Heartbeat:
    """Remembers when the loop and the journal last beat."""

    def __init__(self, *, journal: JournalWriter, clock: Clock) -> None:
        """``WATCHDOG_USEC`` and ``NOTIFY_SOCKET`` come from systemd; without them it only remembers."""
        self._journal, self._clock = journal, clock
        self._loop_beat = self._journal_beat = clock.monotonic()
        self._systemd = sdnotify.SystemdNotifier()
        self._watchdog_seconds = _watchdog_seconds(os.environ.get("WATCHDOG_USEC", "0"))

    async def run(self) -> None:
        """Beat until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat_loop())
            tasks.create_task(self._beat_journal())

    def ages(self) -> dict[str, float]:
        """Return the age in seconds of the newest beat of each; waiting out a full disk is life, too."""
        now = self._clock.monotonic()
        waiting = self._journal.trouble is not None
        return {"loop": now - self._loop_beat, "journal": 0.0 if waiting else now - self._journal_beat}

    def notify(self, state: str) -> None:
        """Tell systemd, where it listens."""
        self._systemd.notify(state)

    async def _beat_loop(self) -> None:
        fed = 0.0
        while True:
            self._loop_beat = now = self._clock.monotonic()
            alive = all(age < LIMIT_SECONDS for age in self.ages().values())
            if self._watchdog_seconds and alive and now - fed >= self._watchdog_seconds / 3:
                self.notify("WATCHDOG=1")
                fed = now
            await asyncio.sleep(BEAT_SECONDS)

    async def _beat_journal(self) -> None:
        while True:
            await self._journal.run(Journal.beat)
            self._journal_beat = self._clock.monotonic()
            await asyncio.sleep(BEAT_SECONDS)


def _watchdog_seconds(text: str) -> float:
    """Return how often systemd wants to hear of us; what is no number does not come from systemd."""
    try:
        return max(int(text), 0) / 1e6
    except (ValueError, OverflowError):
        return 0.0
