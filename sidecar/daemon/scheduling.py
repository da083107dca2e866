"""Tells the kernel how our threads wake up: while a crowd of small files is under way, after whoever runs.

A thread of Python that is woken on another core mostly finds the interpreter taken and goes to sleep again.
Under SCHED_BATCH (sched(7)) a thread that wakes up waits until whoever runs has had its turn. That took an
eighth of a burst's CPU away (two cores, seven pairs, 2026-11-30), and interrupts a renderer less. A file that
comes alone would be slower for it where a renderer takes all cores: 83 ms to Convex instead of 22. So it is
for crowds.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import structlog

_THREADS = Path("/proc/self/task")
log = structlog.get_logger()


class Scheduling:
    """The policy of all threads of this process, unless somebody chose one for it."""

    def __init__(self) -> None:
        """Leave a process alone that was started under another policy."""
        self._is_ours = os.sched_getscheduler(0) == os.SCHED_OTHER

    def crowd(self, is_there: bool) -> None:  # noqa: FBT001 - it is called back with it alone
        """Take in that a crowd is under way, or over. What is refused changes nothing but the cost."""
        if not self._is_ours:
            return
        policy = os.SCHED_BATCH if is_there else os.SCHED_OTHER
        try:
            for thread in _THREADS.iterdir():
                with suppress(ProcessLookupError):  # it ended meanwhile
                    os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))
        except OSError as error:  # a seccomp profile, or no /proc
            self._is_ours = False
            log.debug("scheduling_refused", error=str(error))
