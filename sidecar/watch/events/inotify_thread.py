"""Runs one watcher of watchfiles' over folders that are named to it, in a thread that empties it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from watchfiles._rust_notify import RustNotify

STEP_MS = 10  # how long events gather: half of what a file waits for its notice
QUIET_STEP_MS = 40  # the same while nothing happens: watchfiles takes 50 us of CPU for each step
POLL_MS = 200
RETIRED_STEPS = 4  # in which a retired net catches nothing, before it ends
QUIET_POLLS = 15  # so many in a row that brought nothing, three seconds, make it quiet


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
        self._ending = _Ending()
        self._thread = threading.Thread(target=self._empty, name="watch-events", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def retire(self) -> None:
        """End soon, once everything is handed over that was caught before this call."""
        self._ending.is_retired = True

    def end(self) -> None:
        """Begin to end, within a step; what was caught last is lost."""
        self._ending.is_over = True

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _empty(self) -> None:
        try:
            found: object = None
            empty_polls = 0
            while found != "stop":
                step_ms = STEP_MS if empty_polls < QUIET_POLLS else QUIET_STEP_MS
                # What comes while watchfiles gives up waiting it forgets: let it seldom give up.
                self._ending.quiet_steps = 0
                found = self._notify.watch(STEP_MS, step_ms, POLL_MS, self._ending)
                empty_polls += 1
                if isinstance(found, set):
                    self._take(found)
                    empty_polls = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, events are lost; the loop decides
            self._fail(error)
        finally:
            self._notify.close()


class _Ending:
    """Is asked by watchfiles at each of its steps whether to end, which forgets what it caught.

    It hands over what it caught within two steps: so what a retired one has not handed over after some more
    came later, and another net has it.
    """

    def __init__(self) -> None:
        """Let it go on."""
        self.is_over, self.is_retired = False, False
        self.quiet_steps = 0  # of a retired one, since it handed something over

    def is_set(self) -> bool:
        """Answer one step."""
        self.quiet_steps += self.is_retired
        return self.is_over or self.quiet_steps > RETIRED_STEPS


def _start_watcher(paths: list[str]) -> RustNotify:
    try:
        return RustNotify(paths, False, False, 0, False, False)  # noqa: FBT003 - no keywords
    except (FileNotFoundError, PermissionError):  # gone, or closed to us, since it was seen
        notify = RustNotify(paths, False, False, 0, False, True)  # noqa: FBT003 - the same
        # That one has not said whether watches ran out: ask for one more.
        RustNotify(paths[:1], False, False, 0, False, False).close()  # noqa: FBT003 - the same
        return notify
