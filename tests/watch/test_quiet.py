"""What a watched tree costs while nothing happens in it: counted, no clock is looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sidecar.watch.events import inotify_thread
from sidecar.watch.events.inotify_thread import POLL_MS, QUIET_POLLS, QUIET_STEP_MS, STEP_MS, InotifyThread

CHANGE = {(1, "/renders/one.mp4")}


class Script:
    """Stands for watchfiles: says what it is told to, and notes at which steps it was polled."""

    def __init__(self, answers: Iterator[str | set[tuple[int, str]]]) -> None:
        """Each answer is what one wait brings."""
        self._answers, self.steps, self.over = answers, list[int](), threading.Event()

    def watch(self, _: int, step_ms: int, timeout_ms: int, __: threading.Event) -> str | set[tuple[int, str]]:
        """Answer at once; raise at the end of the script."""
        assert timeout_ms == POLL_MS
        self.steps.append(step_ms)
        try:
            return next(self._answers)
        except StopIteration:
            raise RuntimeError("the script is over") from None

    def close(self) -> None:
        """End."""
        self.over.set()


def polled(monkeypatch: pytest.MonkeyPatch, answers: list[str | set[tuple[int, str]]]) -> list[int]:
    """Return the steps at which a tree was polled that said so."""
    script, failed = Script(iter(answers)), list[BaseException]()
    monkeypatch.setattr(inotify_thread, "_start_watcher", lambda _: script)
    thread = InotifyThread(["/renders"], take=lambda _: None, fail=failed.append)
    thread.start()
    thread.join()
    assert [str(error) for error in failed] == ["the script is over"]
    return script.steps


def test_a_tree_is_polled_less_often_once_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll costs CPU that the renderer needs."""
    steps = polled(monkeypatch, ["timeout"] * QUIET_POLLS)
    assert steps == [STEP_MS] * QUIET_POLLS + [QUIET_STEP_MS]
    assert QUIET_STEP_MS >= 4 * STEP_MS


def test_it_is_polled_as_before_from_the_first_event_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first file after a silence is noticed some hundredths of a second later."""
    steps = polled(monkeypatch, ["timeout"] * QUIET_POLLS + [CHANGE, "timeout"])
    assert steps[-3:] == [QUIET_STEP_MS, STEP_MS, STEP_MS]
