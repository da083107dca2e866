"""Runs one watcher of watchfiles' over folders that are named to it, in a thread that empties it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from watchfiles._rust_notify import RustNotify

STEP_MS = 10  # how long events gather: half of what a file waits for its notice
QUIET_STEP_MS = 40  # the same while nothing happens: watchfiles takes 50 us of CPU for each step
POLL_MS = 200  # how soon a net that is not needed any more ends
QUIET_POLLS = 50  # so many in a row that brought nothing, some ten seconds, make it quiet


class InotifyThread:
    """``take`` receives what is caught, ``fail`` why nothing will be any more; both in the net's thread."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        take: Callable[[set[tuple[int, str]]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Return once every one of the folders is watched; the first is the root of all.

        Raises OSError where the system refuses, RuntimeError of watchfiles' for want of inotify instances.
        """
        self._notify, self._take, self._fail = _start_watcher(list(paths)), take, fail
        self._gone, self._ends = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._empty, name="watch-events", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def retire(self) -> None:
        """End soon, once everything is handed over that was caught before this call."""
        self._gone.set()

    def end(self) -> None:
        """Begin to end, within a step; what was caught last is lost."""
        self._ends.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _empty(self) -> None:
        try:
            retires, empty_polls = False, 0
            while not retires and not self._ends.is_set():
                retires = self._gone.is_set()
                step_ms = STEP_MS if empty_polls < QUIET_POLLS else QUIET_STEP_MS
                # What comes while watchfiles gives up waiting it forgets: let it seldom give up.
                found = self._notify.watch(STEP_MS, step_ms, 1 if retires else POLL_MS, self._ends)
                empty_polls += 1
                if isinstance(found, set):
                    self._take(found)
                    empty_polls = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, events are lost; the loop decides
            self._fail(error)
        finally:
            self._notify.close()


def _start_watcher(paths: list[str]) -> RustNotify:
    try:
        return RustNotify(paths, False, False, 0, False, False)  # noqa: FBT003 - no keywords
    except (FileNotFoundError, PermissionError):  # gone, or closed to us, since it was seen
        notify = RustNotify(paths, False, False, 0, False, True)  # noqa: FBT003 - the same
        # That one has not said whether watches ran out: ask for one more.
        RustNotify(paths[:1], False, False, 0, False, False).close()  # noqa: FBT003 - the same
        return notify
