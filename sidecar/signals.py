"""Keeps what signals tell the process, from its first moment to its last.

The kernel drops a signal to PID 1 that has no handler, and ends any other process by it; a loop's own
handlers are gone before its process is. So plain handlers stand for the whole life: an inbox is the daemon's
first act, before its imports, and keeps what comes until somebody listens. A SIGTERM during the imports is
remembered and not obeyed at once: the start goes on into a drain, which alone knows what is owed.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Harmless, or an error of the call that meets it: a job in the background that prints, a file over its limit.
IGNORED = (
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGPIPE, signal.SIGXFSZ),
)
AGAIN_SECONDS = 1.0  # a supervisor that sends one to the process and one to its group means it once
TYPED_AGAIN_SECONDS = (
    0.1  # so does a terminal with a parent that passes it on; people press Ctrl-C more slowly
)
TRY_LATER = 75

Listener = Callable[[int, float], object]


class Inbox:
    """Keeps signals, each with its monotonic time, until they are delivered. Main thread only."""

    def __init__(self) -> None:
        """Nothing is changed before ``open``."""
        self._kept: list[tuple[int, float]] = []
        self._listener: Listener | None = None
        self._handled: list[signal.Signals] = []

    def open(self) -> None:
        """Handle signals from now on, whatever the parent had ignored or blocked.

        A hang-up that it ignores stays ignored: that is what nohup is for.
        """
        is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._handled = [*STOPS] if is_nohup else [*STOPS, signal.SIGHUP]
        for number in self._handled:
            signal.signal(number, self._hear)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, no child's exit status could be had
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def deliver(self, listener: Listener) -> None:
        """Tell ``listener`` what came and what comes: the number and the monotonic time."""
        self._listener = listener
        while self._kept:
            listener(*self._kept.pop(0))

    def close(self) -> None:
        """Ignore signals: the exit status is decided, and no late one may replace it."""
        for number in self._handled:
            signal.signal(number, signal.SIG_IGN)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        at = time.monotonic()
        if self._listener is not None:
            self._listener(number, at)
            return
        self._kept.append((number, at))
        stops = [when for kept, when in self._kept if kept in STOPS]
        if stops and is_again(number, stops[0], at):
            raise SystemExit(TRY_LATER)


def is_again(number: int, first_seconds: float, at_seconds: float) -> bool:
    """Tell whether a second signal to stop is one of its own, and means: at once."""
    within_seconds = TYPED_AGAIN_SECONDS if number == signal.SIGINT else AGAIN_SECONDS
    return at_seconds - first_seconds > within_seconds
